use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn text(text: &str) -> String {
    text.to_owned()
}

/// One of each, with its codes in the modern and in the legacy era.
fn all() -> Vec<(Fault, i32, i32)> {
    let mut all = of_the_message();
    all.extend(of_the_platform());
    all
}

fn of_the_message() -> Vec<(Fault, i32, i32)> {
    let unsupported = Fault::UnsupportedVersion {
        requested: text("1900-01-01"),
        supported: Revision::SERVED,
    };
    vec![
        (Fault::Parse(text("x")), -32700, -32700),
        (Fault::InvalidRequest(text("x")), -32600, -32600),
        (Fault::MethodNotFound { method: text("x") }, -32601, -32601),
        (Fault::InvalidParams(text("x")), -32602, -32602),
        (
            Fault::UnknownResource {
                uri: text("mem://x"),
            },
            -32602,
            -32002,
        ),
        (Fault::HeaderMismatch(text("x")), -32020, -32600),
        (
            Fault::MissingCapability(vec![Capability::Sample]),
            -32021,
            -32600,
        ),
        (unsupported, -32022, -32600),
        (Fault::SessionRequired, -32600, -32600),
        (Fault::UnknownSession, -32600, -32600),
    ]
}

fn of_the_platform() -> Vec<(Fault, i32, i32)> {
    let protocol = Fault::Protocol {
        code: 7,
        message: text("own"),
        data: Some(Raw::from_static("[1]")),
    };
    vec![
        (
            Fault::RateLimited {
                retry_after: SECOND,
            },
            -31001,
            -31001,
        ),
        (
            Fault::Overloaded {
                retry_after: SECOND,
            },
            -31002,
            -31002,
        ),
        (
            Fault::WorkerLost {
                executed: Executed::Unknown,
            },
            -31003,
            -31003,
        ),
        (Fault::Deadline, -31004, -31004),
        (Fault::TooLarge, -31005, -31005),
        (Fault::BadResult(text("secret")), -31006, -31006),
        (Fault::Draining, -31007, -31007),
        (Fault::Draining.begun(), -31007, -31007),
        (Fault::NoWorker, -31008, -31008),
        (
            Fault::Forbidden {
                scopes: vec![text("a"), text("b")],
            },
            -31009,
            -31009,
        ),
        (
            Fault::ResumeGap {
                oldest: Some(text("e.1")),
            },
            -31010,
            -31010,
        ),
        (Fault::Storage, -31011, -31011),
        (Fault::Quota("sessions"), -31012, -31012),
        (Fault::Cancelled, -32603, -32603),
        (Fault::Internal(text("secret")), -32603, -32603),
        (protocol, 7, 7),
    ]
}

#[test]
fn every_fault_has_its_code_in_each_era() {
    for (fault, modern, legacy) in all() {
        for revision in Revision::SERVED {
            let code = match revision.era() {
                Era::Modern => modern,
                Era::Legacy => legacy,
            };
            assert_eq!(fault.code(*revision), code, "{fault} {revision:?}");
        }
    }
}

/// [RPC-7], [ERA-3]
#[test]
fn no_era_sees_a_code_that_means_something_else_to_it() {
    let worker = |code| Fault::Protocol {
        code,
        message: text("x"),
        data: None,
    };
    let of_worker = (-32_800..=-31_990).map(worker);
    for fault in all().into_iter().map(|(fault, ..)| fault).chain(of_worker) {
        for revision in Revision::SERVED {
            let code = fault.code(*revision);
            let is_reserved = (-32768..=-32000).contains(&code);
            let known = match (revision.era(), &fault) {
                (_, _) if matches!(code, -32700 | -32603..=-32600) => true,
                (Era::Modern, Fault::Protocol { .. }) => false,
                (Era::Modern, _) => (-32022..=-32020).contains(&code),
                (Era::Legacy, _) if code == -32042 => *revision == Revision::V2025_11_25,
                (Era::Legacy, _) => code == -32002,
            };
            assert!(!is_reserved || known, "{fault} gave {code} to {revision:?}");
        }
    }
}

#[test]
fn messages_tell_the_client_something_and_never_internals() {
    for (fault, ..) in all() {
        for era in [Era::Legacy, Era::Modern] {
            let message = fault.message(era);
            assert!(
                !message.is_empty() && !message.contains("secret"),
                "{fault}: {message}"
            );
        }
    }
    assert!(
        Fault::Internal(text("secret"))
            .to_string()
            .contains("secret")
    );
    let method = format!("{}\u{1b}[2J", "x".repeat(1_000));
    assert!(Fault::MethodNotFound { method }.message(Era::Modern).len() < 200);
}

#[test]
fn data_says_what_a_program_can_use() {
    let shown: Vec<String> = all()
        .iter()
        .filter_map(|(fault, code, _)| Some(format!("{code} {}", fault.data()?)))
        .collect();
    let expected = [
        r#"-32602 {"uri":"mem://x"}"#,
        r#"-32021 {"requiredCapabilities":{"sampling":{}}}"#,
        r#"-32022 {"requested":"1900-01-01","supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]}"#,
        r#"-31001 {"retryAfterMs":1000}"#,
        r#"-31002 {"retryAfterMs":1000}"#,
        r#"-31003 {"executed":"unknown"}"#,
        r#"-31007 {"executed":"unknown"}"#,
        r#"-31009 {"scopes":["a","b"]}"#,
        r#"-31010 {"oldest":"e.1"}"#,
        "7 [1]",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_failed_call_becomes_a_fault() {
    let not_found = || Failure::NotFound {
        message: text("no such prompt"),
    };
    let resource = Fault::of_call(not_found(), CallKind::Resource, "mem://x");
    assert_eq!(
        resource,
        Fault::UnknownResource {
            uri: text("mem://x")
        }
    );
    let prompt = Fault::of_call(not_found(), CallKind::Prompt, "p");
    assert_eq!(prompt, Fault::InvalidParams(text("no such prompt")));
    let lost = Failure::WorkerLost {
        executed: Executed::No,
    };
    let fault = Fault::of_call(lost, CallKind::Tool, "t");
    assert_eq!(fault.data().unwrap().as_str(), r#"{"executed":"no"}"#);
    assert_eq!(Fault::from(Failure::TimedOut), Fault::Deadline);
}

/// What may have run already is never called a refusal that a retry gets around.
#[test]
fn a_call_that_had_begun_is_not_to_be_sent_again() {
    let overloaded = Fault::Overloaded {
        retry_after: SECOND,
    };
    for want in [
        overloaded,
        Fault::Draining,
        Fault::Storage,
        Fault::Quota("calls"),
        Fault::UnknownSession,
    ] {
        let begun = want.clone().begun();
        let revision = Revision::LATEST_LEGACY;
        assert_eq!(begun.code(revision), want.code(revision));
        let message = begun.message(Era::Modern);
        assert!(message.contains("may have run"), "{message}");
        assert!(!message.contains("again"), "{message}");
        let data = begun.data().map(|data| data.to_string());
        assert_eq!(data.as_deref(), Some(r#"{"executed":"unknown"}"#));
    }
    let own = Fault::InvalidParams(text("no"));
    assert_eq!(own.clone().begun(), own);
}
