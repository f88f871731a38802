//! What clients up to 2025-06-18 get: every message, against their own schemas, and in results
//! nothing that their schema does not name.

use ostler_protocol::{
    Raw, Revision, ask,
    call::{Failure, Log, LogLevel, Progress, Question, QuestionKind},
    facet::{Capability, ClientFacet},
    inbound::ListKind,
    listing::{self, TaskSupport},
    notify,
    reply::{self, Shape},
};
use ostler_types::CallKind;

use crate::{
    descriptions::ALL,
    errors::faults,
    golden::{OLDER, Sheet, id, shaped},
    lists::ENTRIES,
    results::{self, RESULTS},
};

/// What the newest revision has and the older ones lack, in places of its own.
const NEWER: &[(CallKind, &str)] = &[
    (
        CallKind::Tool,
        r#"{"structuredContent":{"n":1},"content":[{"type":"image","data":"aGk=","mimeType":"image/png"}],"isError":false}"#,
    ),
    (
        CallKind::Tool,
        r#"{"content":[{"type":"audio","data":"aGk=","mimeType":"audio/wav","annotations":{"priority":1,"lastModified":"x"}}],"structuredContent":[2]}"#,
    ),
    (
        CallKind::Tool,
        r#"{"content":[{"type":"resource_link","uri":"test://c","name":"c","title":"C","icons":[{"src":"https://x.example/i.png"}],"annotations":{"lastModified":"2026-01-01T00:00:00Z","priority":1}}]}"#,
    ),
    (
        CallKind::Tool,
        r#"{"content":[{"type":"resource","annotations":{"lastModified":"x"},"_meta":{"ui":1},"resource":{"uri":"ui://w","text":"","_meta":{"ui":{}}}}]}"#,
    ),
    (
        CallKind::Prompt,
        r#"{"messages":[{"role":"user","content":{"type":"audio","data":"aGk=","mimeType":"audio/wav"}},{"role":"user","content":{"type":"resource_link","uri":"test://c","name":"c"}}]}"#,
    ),
    (
        CallKind::Resource,
        r#"{"contents":[{"uri":"test://a","text":"x","_meta":{"com.acme/x":1}}]}"#,
    ),
];

#[test]
fn results_are_brought_down_to_what_the_revision_knows() {
    let mut sheet = Sheet::default();
    let newer = NEWER.iter().map(|(kind, result)| ("newer", *kind, *result));
    for (name, kind, result) in RESULTS.iter().copied().chain(newer) {
        for revision in OLDER {
            results::add(&mut sheet, name, revision, kind, result);
        }
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn lists_are_brought_down_to_what_the_revision_knows() {
    let mut sheet = Sheet::default();
    let newer = [
        (
            ListKind::Prompts,
            "ListPromptsResult",
            r#"{"name":"p","arguments":[{"name":"a","title":"A","required":true},{"name":"b"}]}"#,
        ),
        (
            ListKind::Templates,
            "ListResourceTemplatesResult",
            r#"{"uriTemplate":"test://{id}","name":"t","annotations":{"audience":["user"],"lastModified":"x"}}"#,
        ),
    ];
    for (kind, definition, entry) in ENTRIES.iter().copied().chain(newer) {
        for revision in OLDER {
            let raw = Raw::from_static(entry);
            let entry = listing::entry(revision, kind, &raw, TaskSupport::Optional);
            let message = shaped(revision, |shape| {
                reply::list(shape, &id(), kind, &[entry], Some("next"))
            });
            sheet.result("one entry", revision, definition, &message);
        }
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn a_server_describes_itself_as_far_as_the_revision_goes() {
    let mut sheet = Sheet::default();
    let server_info = Raw::from_static(
        r#"{"name":"i","title":"I","version":"1","icons":[{"src":"https://x.example/i.png"}],"websiteUrl":"https://x.example/","description":"d"}"#,
    );
    for revision in OLDER {
        let shape = Shape {
            revision,
            server_info: &server_info,
        };
        let message = reply::initialize(&shape, &id(), ALL, Some("Ask."));
        sheet.result("everything", revision, "InitializeResult", &message);
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn the_platforms_own_results_have_the_form_of_each_revision() {
    let mut sheet = Sheet::default();
    for revision in OLDER {
        shaped(revision, |shape| {
            let empty = reply::empty(shape, &id());
            sheet.result("empty", revision, "EmptyResult", &empty);
            let error = reply::tool_error(shape, &id(), "name is missing");
            sheet.result("tool error", revision, "CallToolResult", &error);
            let lacking = Err(Failure::NeedsCapability(vec![Capability::Sample]));
            let lacking = reply::outcome(shape, &id(), CallKind::Tool, "t", &lacking);
            sheet.result("needs capability", revision, "CallToolResult", &lacking);
            let lost = Err(Failure::NotFound {
                message: "?".into(),
            });
            let lost = reply::outcome(shape, &id(), CallKind::Resource, "test://x", &lost);
            sheet.message("no resource", revision, "JSONRPCErrorResponse", &lost);
        });
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn errors_have_the_form_of_each_revision() {
    let mut sheet = Sheet::default();
    for fault in faults() {
        for revision in OLDER {
            let message = reply::error(revision, Some(&id()), &fault);
            let name = fault.to_string();
            sheet.message(&name, revision, "JSONRPCErrorResponse", &message);
        }
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn notifications_have_the_form_of_each_revision() {
    let mut sheet = Sheet::default();
    let token = Raw::from_static("\"tok\"");
    let progress = Progress {
        progress: 50.0,
        total: Some(100.0),
        message: Some("half way".into()),
    };
    let log = Log {
        level: LogLevel::Warning,
        logger: Some("db".into()),
        data: Raw::from_static(r#"{"n":1}"#),
    };
    for revision in OLDER {
        let mut add = |definition: &str, message| {
            sheet.message(definition, revision, definition, &message);
        };
        let progressed = notify::progress(&token, &progress, revision);
        add("ProgressNotification", progressed);
        add("LoggingMessageNotification", notify::log(&log));
        for (kind, definition) in [
            (ListKind::Tools, "ToolListChangedNotification"),
            (ListKind::Prompts, "PromptListChangedNotification"),
            (ListKind::Templates, "ResourceListChangedNotification"),
        ] {
            add(definition, notify::list_changed(kind, None));
        }
        let updated = notify::resource_updated("test://a", None);
        add("ResourceUpdatedNotification", updated);
        add("CancelledNotification", notify::cancelled("s1", Some("x")));
    }
    insta::assert_snapshot!(sheet.text());
}

/// A client that declares everything is asked what its revision has.
#[test]
fn questions_have_the_form_of_each_revision() {
    let questions = [
        (
            QuestionKind::ElicitForm,
            "ElicitRequest",
            r#"{"message":"Who?","requestedSchema":{"type":"object","properties":{"name":{"type":"string","minLength":1},"age":{"type":"integer","minimum":0},"ok":{"type":"boolean","default":true},"size":{"type":"string","enum":["s","m"],"enumNames":["Small","Medium"]}},"required":["name"]}}"#,
        ),
        // What came with 2025-11-25 is brought down [SP-3].
        (
            QuestionKind::ElicitForm,
            "ElicitRequest",
            r#"{"message":"Which?","requestedSchema":{"type":"object","properties":{"name":{"type":"string","default":"x"},"color":{"type":"string","oneOf":[{"const":"r","title":"Red"}],"default":"r"}}}}"#,
        ),
        (
            QuestionKind::ElicitUrl,
            "ElicitRequest",
            r#"{"message":"Sign in","url":"https://x.example/"}"#,
        ),
        (
            QuestionKind::Sample,
            "CreateMessageRequest",
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"hi"}}],"maxTokens":100,"includeContext":"none"}"#,
        ),
        (QuestionKind::Roots, "ListRootsRequest", "{}"),
    ];
    let all = Raw::from_static(
        r#"{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{},"context":{}},"roots":{}}"#,
    );
    let mut sheet = Sheet::default();
    for revision in OLDER {
        let facet = ClientFacet::from_capabilities(&all, revision).expect("good");
        for (kind, definition, params) in questions {
            let question = Question {
                key: "k".into(),
                kind,
                params: Raw::from_static(params),
            };
            if ask::gate(revision, &facet, &question).is_ok() {
                let message = ask::to_request(revision, "s-1", || "e-1".to_owned(), &question);
                sheet.message(definition, revision, definition, &message);
            }
        }
    }
    insta::assert_snapshot!(sheet.text());
}

/// [BAT-4]
#[test]
fn a_batch_is_answered_in_one_array() {
    let mut sheet = Sheet::default();
    let revision = Revision::V2025_03_26;
    let one = shaped(revision, |shape| reply::empty(shape, &id()));
    let two = reply::error(revision, Some(&id()), &faults()[2]);
    sheet.batch("one", revision, &reply::batch([one.clone()].into_iter()));
    sheet.batch("two", revision, &reply::batch([one, two].into_iter()));
    insta::assert_snapshot!(sheet.text());
}
