//! Error responses.

use std::time::Duration;

use ostler_protocol::{Raw, Revision, call::Executed, facet::Capability, fault::Fault, reply};

use crate::golden::{BOTH, MODERN, Sheet, id};

pub fn faults() -> Vec<Fault> {
    let wait = Duration::from_millis(1500);
    vec![
        Fault::Parse("unexpected end at byte 3".into()),
        Fault::InvalidRequest("the body must be an object".into()),
        Fault::MethodNotFound {
            method: "no/such".into(),
        },
        Fault::MethodNotFound {
            method: "ping".into(),
        },
        Fault::InvalidParams("`name` must be a string".into()),
        Fault::UnknownResource {
            uri: "test://x\"y".into(),
        },
        Fault::HeaderMismatch("Mcp-Name differs from the body".into()),
        Fault::MissingCapability(vec![Capability::Sample, Capability::ElicitUrl]),
        Fault::MissingCapability(vec![Capability::Tasks]),
        Fault::SessionRequired,
        Fault::UnknownSession,
        Fault::ResumeGap {
            oldest: Some("e.4".into()),
        },
        Fault::RateLimited { retry_after: wait },
        Fault::Overloaded { retry_after: wait },
        Fault::Draining,
        Fault::Draining.begun(),
        Fault::NoWorker,
        Fault::Storage,
        Fault::Storage.begun(),
        Fault::Quota("sessions"),
        Fault::Quota("unfinished tasks").begun(),
        Fault::Overloaded { retry_after: wait }.begun(),
        Fault::WorkerLost {
            executed: Executed::Unknown,
        },
        Fault::Deadline,
        Fault::TooLarge,
        Fault::BadResult("secret detail".into()),
        Fault::Forbidden {
            scopes: vec!["a".into()],
        },
        Fault::Cancelled,
        Fault::Protocol {
            code: -32042,
            message: "own".into(),
            data: Some(Raw::from_static(r#"{"n":1.0}"#)),
        },
        Fault::Protocol {
            code: 7,
            message: "own".into(),
            data: None,
        },
        Fault::Internal("secret detail".into()),
    ]
}

#[test]
fn errors_have_the_form_of_each_revision() {
    let mut sheet = Sheet::default();
    for fault in faults() {
        for revision in BOTH {
            let message = reply::error(revision, Some(&id()), &fault);
            sheet.message(
                &fault.to_string(),
                revision,
                "JSONRPCErrorResponse",
                &message,
            );
            let text = String::from_utf8_lossy(&message);
            assert!(!text.contains("secret"), "{text}");
        }
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn an_error_without_a_readable_id_has_none() {
    let mut sheet = Sheet::default();
    for revision in BOTH {
        let message = reply::error(revision, None, &Fault::Parse("x".into()));
        assert!(!String::from_utf8_lossy(&message).contains("\"id\""));
        sheet.message("no id", revision, "JSONRPCErrorResponse", &message);
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn the_errors_of_the_newest_revision_have_their_own_definitions() {
    let mut sheet = Sheet::default();
    for (definition, fault) in [
        (
            "UnsupportedProtocolVersionError",
            Fault::UnsupportedVersion {
                requested: "1999-01-01".into(),
                supported: Revision::SERVED,
            },
        ),
        (
            "MissingRequiredClientCapabilityError",
            Fault::MissingCapability(vec![Capability::Roots, Capability::SampleTools]),
        ),
        (
            "HeaderMismatchError",
            Fault::HeaderMismatch("Mcp-Method is missing".into()),
        ),
    ] {
        let message = reply::error(MODERN, Some(&id()), &fault);
        sheet.message(definition, MODERN, definition, &message);
    }
    insta::assert_snapshot!(sheet.text());
}
