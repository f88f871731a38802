//! Whatever of a worker's is accepted goes out valid: results are mutated at random, and what
//! passes the check must pass the schema of each revision.

use ostler_protocol::{Raw, Revision, reply};
use ostler_types::CallKind;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    golden::{id, shaped},
    schema::Schema,
};

fn good_results() -> Vec<(CallKind, &'static str, Value)> {
    let annotations = json!({ "audience": ["user"], "priority": 1, "lastModified": "x" });
    let content = json!([
        { "type": "text", "text": "x", "annotations": annotations, "_meta": { "a": 1 } },
        { "type": "image", "data": "aGk=", "mimeType": "image/png" },
        { "type": "audio", "data": "aGk=", "mimeType": "audio/wav" },
        { "type": "resource", "resource": { "uri": "a:b", "text": "x", "mimeType": "t/p" } },
        { "type": "resource", "resource": { "uri": "a:b", "blob": "aGk=", "_meta": {} } },
        { "type": "resource_link", "uri": "a:b", "name": "n", "mimeType": "t/p" },
    ]);
    let messages = json!([{ "role": "user", "content": content[0] }]);
    vec![
        (
            CallKind::Tool,
            "CallToolResult",
            json!({ "content": content, "structuredContent": {}, "isError": false, "_meta": {} }),
        ),
        (
            CallKind::Prompt,
            "GetPromptResult",
            json!({ "messages": messages, "description": "d" }),
        ),
        (
            CallKind::Resource,
            "ReadResourceResult",
            json!({ "contents": [{ "uri": "a:b", "text": "x" }], "ttlMs": 5, "cacheScope": "public" }),
        ),
        (
            CallKind::Completion,
            "CompleteResult",
            json!({ "completion": { "values": ["a"], "total": 1, "hasMore": true } }),
        ),
    ]
}

/// Every place within a value, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                places(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Accepted means valid, whatever the revision.
fn check(kind: CallKind, definition: &str, result: &Value) -> bool {
    let raw = Raw::from_value(result);
    let accepted = Revision::ALL.iter().map(|&revision| {
        let message = shaped(revision, |shape| {
            reply::call_result(shape, &id(), kind, &raw)
        });
        let Ok(message) = message else { return false };
        let message = Raw::parse(message, 64).expect("strict JSON");
        let value: Value = message.to().expect("JSON");
        Schema::Mcp(revision).check(definition, &value["result"]);
        true
    });
    let accepted: Vec<bool> = accepted.collect();
    let same = accepted.windows(2).all(|pair| pair[0] == pair[1]);
    assert!(same, "{accepted:?} {result}");
    accepted[0]
}

#[test]
fn good_results_are_accepted() {
    for (kind, definition, result) in good_results() {
        assert!(check(kind, definition, &result), "{result}");
    }
}

fn junk() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        (-2.0f64..2.0).prop_map(Value::from),
        "[a-z:]{0,6}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!(["user", 1])),
        Just(json!({ "io.modelcontextprotocol/serverInfo": 5, "dev.mcp/x": {}, "v": [] })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_accepted_of_a_mutated_result_is_valid(
        which in 0usize..4,
        place in any::<prop::sample::Index>(),
        junk in junk(),
    ) {
        let (kind, definition, mut result) = good_results().swap_remove(which);
        let mut found = Vec::new();
        places(&result, "", &mut found);
        // What is a URI is for the client to judge; the schema's format is not enforced.
        found.retain(|place| !place.ends_with("/uri"));
        let place = place.get(&found);
        *result.pointer_mut(place).expect("a place") = junk;
        check(kind, definition, &result);
    }
}
