//! Results of calls.

use ostler_protocol::{
    Raw, Revision,
    call::{Failure, Question, QuestionKind},
    facet::Capability,
    reply,
};
use ostler_types::CallKind;

use crate::golden::{BOTH, LEGACY, MODERN, Sheet, id, shaped};

pub fn definition(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Tool => "CallToolResult",
        CallKind::Prompt => "GetPromptResult",
        CallKind::Resource => "ReadResourceResult",
        CallKind::Completion => "CompleteResult",
    }
}

pub fn add(
    sheet: &mut Sheet,
    name: &str,
    revision: Revision,
    kind: CallKind,
    result: &'static str,
) {
    let result = Raw::from_static(result);
    let message = shaped(revision, |shape| {
        reply::call_result(shape, &id(), kind, &result)
    });
    sheet.result(name, revision, definition(kind), &message.expect(name));
}

pub const RESULTS: &[(&str, CallKind, &str)] = &[
    (
        "text",
        CallKind::Tool,
        r#"{"content":[{"type":"text","text":"hello"}]}"#,
    ),
    ("nothing", CallKind::Tool, r#"{"content":[]}"#),
    (
        "every content type",
        CallKind::Tool,
        r#"{"content":[{"type":"text","text":"a\"\\\u2028","annotations":{"audience":["user"],"priority":0.5,"lastModified":"2026-01-01T00:00:00Z"}},{"type":"image","data":"aGk=","mimeType":"image/png"},{"type":"audio","data":"aGk=","mimeType":"audio/wav"},{"type":"resource","resource":{"uri":"test://a","mimeType":"text/plain","text":"x"}},{"type":"resource","resource":{"uri":"test://b","blob":"aGk="}},{"type":"resource_link","uri":"test://c","name":"c","size":5}]}"#,
    ),
    (
        "error for the model",
        CallKind::Tool,
        r#"{"content":[{"type":"text","text":"no"}],"isError":true}"#,
    ),
    (
        "structured object, numbers and order untouched",
        CallKind::Tool,
        r#"{"structuredContent":{"z":1.10,"a":12345678901234567890123,"e":1E40},"content":[{"type":"text","text":"{}"}]}"#,
    ),
    (
        "structured array beside text",
        CallKind::Tool,
        r#"{"content":[{"type":"text","text":"[1]"}],"structuredContent":[1]}"#,
    ),
    (
        "structured number alone",
        CallKind::Tool,
        r#"{"content":[],"structuredContent":42}"#,
    ),
    (
        "meta of vendors passes, of the protocol not",
        CallKind::Tool,
        r#"{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"evil","version":"0"},"ui":{"a":1},"com.acme/x":2,"dev.mcp/y":3},"content":[{"type":"text","text":"x","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"},"com.acme/z":[1]}},{"type":"resource","resource":{"uri":"ui://w","text":"","_meta":{"ui":{},"mcp.dev/q":1}}}],"resultType":"complete"}"#,
    ),
    (
        "meta of the protocol only",
        CallKind::Tool,
        r#"{"content":[{"type":"text","text":"x","_meta":{"dev.mcp/y":3}}],"_meta":{"dev.mcp/y":3}}"#,
    ),
    (
        "prompt",
        CallKind::Prompt,
        r#"{"description":"d","messages":[{"role":"user","content":{"type":"text","text":"x"}},{"content":{"type":"image","data":"aGk=","mimeType":"image/png"},"role":"assistant"}]}"#,
    ),
    (
        "resource",
        CallKind::Resource,
        r#"{"contents":[{"uri":"test://a","mimeType":"text/plain","text":"x"},{"uri":"test://a/b","blob":"aGk=","_meta":{"dev.mcp/y":1}}]}"#,
    ),
    (
        "resource with cache hints",
        CallKind::Resource,
        r#"{"contents":[],"ttlMs":60000,"cacheScope":"public"}"#,
    ),
    (
        "completion",
        CallKind::Completion,
        r#"{"completion":{"values":["a","b"],"total":2,"hasMore":false}}"#,
    ),
];

#[test]
fn results_of_workers_have_the_form_of_each_revision() {
    let mut sheet = Sheet::default();
    for (name, kind, result) in RESULTS {
        for revision in BOTH {
            add(&mut sheet, name, revision, *kind, result);
        }
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn the_platforms_own_results_have_the_form_of_each_revision() {
    let mut sheet = Sheet::default();
    for revision in BOTH {
        shaped(revision, |shape| {
            sheet.result(
                "empty",
                revision,
                "EmptyResult",
                &reply::empty(shape, &id()),
            );
            let error = reply::tool_error(shape, &id(), "name: \"x\" is missing\n");
            sheet.result("tool error", revision, "CallToolResult", &error);
        });
    }
    shaped(MODERN, |shape| {
        let end = reply::listen_end(shape, &id());
        sheet.result("listen end", MODERN, "SubscriptionsListenResult", &end);
    });
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn an_outcome_is_a_result_an_error_for_the_model_or_an_error() {
    let mut sheet = Sheet::default();
    for revision in BOTH {
        let mut add = |name, kind, definition: &str, failure: Failure| {
            let outcome = Err(failure);
            let message = shaped(revision, |shape| {
                reply::outcome(shape, &id(), kind, "test://x", &outcome)
            });
            match definition {
                "JSONRPCErrorResponse" => sheet.message(name, revision, definition, &message),
                _ => sheet.result(name, revision, definition, &message),
            }
        };
        let error = "JSONRPCErrorResponse";
        let lacking = || Failure::NeedsCapability(vec![Capability::Sample]);
        let for_model = if revision == LEGACY {
            "CallToolResult"
        } else {
            error
        };
        add(
            "needs capability, tool",
            CallKind::Tool,
            for_model,
            lacking(),
        );
        add(
            "needs capability, prompt",
            CallKind::Prompt,
            error,
            lacking(),
        );
        let scope = Failure::NeedsScope(vec!["a".into(), "b".into()]);
        add("needs scopes", CallKind::Tool, "CallToolResult", scope);
        add(
            "timed out",
            CallKind::Tool,
            "CallToolResult",
            Failure::TimedOut,
        );
        let missing = Failure::NotFound {
            message: "?".into(),
        };
        add("no resource", CallKind::Resource, error, missing);
        add("deadline", CallKind::Tool, error, Failure::Deadline);
    }
    let bad = Ok(Raw::from_static(r#"{"content":5}"#));
    let message = shaped(MODERN, |shape| {
        reply::outcome(shape, &id(), CallKind::Tool, "t", &bad)
    });
    sheet.message("bad result", MODERN, "JSONRPCErrorResponse", &message);
    insta::assert_snapshot!(sheet.text());
}

fn questions() -> Vec<Question> {
    let question = |key: &str, kind, params| Question {
        key: key.into(),
        kind,
        params: Raw::from_static(params),
    };
    vec![
        question(
            "user_name",
            QuestionKind::ElicitForm,
            r#"{"message":"Name?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}}}}"#,
        ),
        question("client_roots", QuestionKind::Roots, "{}"),
    ]
}

#[test]
fn input_required_names_questions_and_state() {
    let mut sheet = Sheet::default();
    shaped(MODERN, |shape| {
        let message = reply::input_required(shape, &id(), &questions(), "sealed");
        sheet.result("questions", MODERN, "InputRequiredResult", &message);
        let message = reply::input_required(shape, &id(), &[], "sealed");
        sheet.result("state only", MODERN, "InputRequiredResult", &message);
    });
    insta::assert_snapshot!(sheet.text());
}
