//! Questions to clients.

use ostler_protocol::{
    Raw, ask,
    call::{Question, QuestionKind},
    reply,
};
use serde_json::Value;

use crate::{
    golden::{LEGACY, MODERN, Sheet, id, shaped},
    schema::Schema,
};

const QUESTIONS: &[(QuestionKind, &str, &str)] = &[
    (
        QuestionKind::ElicitForm,
        "ElicitRequest",
        r#"{"mode":"form","message":"Who?","requestedSchema":{"type":"object","properties":{"name":{"type":"string","minLength":1,"default":"x"},"age":{"type":"integer","minimum":0,"maximum":150},"ok":{"type":"boolean"},"size":{"type":"string","enum":["s","m"],"enumNames":["Small","Medium"]},"color":{"type":"string","oneOf":[{"const":"r","title":"Red"}]},"tags":{"type":"array","items":{"type":"string","enum":["a","b"]},"minItems":1},"more":{"type":"array","items":{"anyOf":[{"const":"a","title":"A"}]}}},"required":["name"]}}"#,
    ),
    (
        QuestionKind::ElicitForm,
        "ElicitRequest",
        r#"{"message":"no mode, and what is not the worker's to write","requestedSchema":{"type":"object","properties":{}},"task":{"ttl":1},"_meta":{"progressToken":5,"io.modelcontextprotocol/related-task":{"taskId":"x"},"com.acme/a":1}}"#,
    ),
    (
        QuestionKind::ElicitUrl,
        "ElicitRequest",
        r#"{"mode":"url","message":"Sign in","url":"https://x.example/a?b=c","elicitationId":"forged"}"#,
    ),
    (
        QuestionKind::Sample,
        "CreateMessageRequest",
        r#"{"messages":[{"role":"user","content":{"type":"text","text":"hi"}}],"maxTokens":100,"temperature":0.70,"tools":[{"name":"t","inputSchema":{"type":"object"}}],"toolChoice":{"mode":"auto"}}"#,
    ),
    (QuestionKind::Roots, "ListRootsRequest", "{}"),
];

fn question(key: &str, kind: QuestionKind, params: &'static str) -> Question {
    Question {
        key: key.into(),
        kind,
        params: Raw::from_static(params),
    }
}

#[test]
fn questions_are_sound() {
    for (kind, _, params) in QUESTIONS {
        assert_eq!(ask::check_question(&question("k", *kind, params)), Ok(()));
    }
}

#[test]
fn a_legacy_client_is_asked_by_request() {
    let mut sheet = Sheet::default();
    for (kind, definition, params) in QUESTIONS {
        let message = ask::to_request(
            LEGACY,
            "s-1",
            || "e-1".to_owned(),
            &question("k", *kind, params),
        );
        sheet.message(definition, LEGACY, definition, &message);
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn a_modern_client_is_asked_in_a_result() {
    let mut sheet = Sheet::default();
    let keyed = |(at, (kind, _, params)): (usize, &(QuestionKind, &str, &'static str))| {
        question(&format!("k\"{at}"), *kind, params)
    };
    let questions: Vec<_> = QUESTIONS.iter().enumerate().map(keyed).collect();
    let message = shaped(MODERN, |shape| {
        reply::input_required(shape, &id(), &questions, "state")
    });
    sheet.result("all kinds", MODERN, "InputRequiredResult", &message);
    let value: Value = serde_json::from_slice(&message).expect("JSON");
    let requests = value["result"]["inputRequests"].as_object().expect("a map");
    assert_eq!(requests.len(), QUESTIONS.len());
    for ((_, request), (_, definition, _)) in requests.iter().zip(QUESTIONS) {
        Schema::Mcp(MODERN).check(definition, request);
        assert!(
            request["params"].get("elicitationId").is_none(),
            "{request}"
        );
        assert!(request.get("id").is_none(), "{request}");
    }
    insta::assert_snapshot!(sheet.text());
}
