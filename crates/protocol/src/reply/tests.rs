use super::*;
use crate::revision::Revision::{V2024_11_05, V2025_03_26, V2025_06_18, V2025_11_25, V2026_07_28};

/// Why a worker's result is refused, whatever the revision; empty when it is not.
fn refusal(kind: CallKind, result: &str) -> String {
    let raw = Raw::parse(result.to_owned().into(), 64).expect("strict JSON");
    let server_info = Raw::empty_object();
    let refusals = Revision::ALL.iter().map(|&revision| {
        let shape = Shape {
            revision,
            server_info: &server_info,
        };
        match result_object(&shape, kind, &raw) {
            Ok(_) => String::new(),
            Err(Failure::BadResult(reason)) => reason,
            Err(Failure::TooLarge) => "too large".to_owned(),
            Err(other) => panic!("{other:?}"),
        }
    });
    let mut refusals: Vec<_> = refusals.collect();
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "revisions agree on {result}");
    refusals.remove(0)
}

fn check_bad(kind: CallKind, cases: &[(&str, &str)]) {
    for (result, reason) in cases {
        assert_eq!(refusal(kind, result), *reason, "{result}");
    }
}

/// The result of a tool, shaped.
fn tool(revision: Revision, result: &'static str) -> String {
    let shape = Shape {
        revision,
        server_info: &Raw::from_static(r#"{"name":"i","version":"1"}"#),
    };
    let raw = Raw::from_static(result);
    let shaped = result_object(&shape, CallKind::Tool, &raw).expect("a good result");
    Raw::parse(shaped.bytes().clone(), 64).expect("what is written is strict JSON");
    shaped.to_string()
}

#[test]
fn bad_results_of_tools_are_refused_with_a_reason() {
    check_bad(
        CallKind::Tool,
        &[
            ("[]", "the result must be an object"),
            ("{}", "`content` is missing"),
            (r#"{"content":null}"#, "`content` must be an array"),
            (r#"{"content":[5]}"#, "content[0]: must be an object"),
            (r#"{"content":[{}]}"#, "content[0]: `type` is missing"),
            (
                r#"{"content":[{"type":"text","text":"x"},{"type":"video"}]}"#,
                "content[1]: unknown content type \"video\"",
            ),
            (
                r#"{"content":[{"type":"text"}]}"#,
                "content[0]: `text` is missing",
            ),
            (
                r#"{"content":[{"type":"text","text":1}]}"#,
                "content[0]: `text` must be a string",
            ),
            (
                r#"{"content":[{"type":"image","data":"x"}]}"#,
                "content[0]: `mimeType` is missing",
            ),
            (
                r#"{"content":[{"type":"resource"}]}"#,
                "content[0]: `resource` is missing",
            ),
            (
                r#"{"content":[{"type":"resource","resource":{"uri":"a:b"}}]}"#,
                "content[0]: `text` or `blob` is missing",
            ),
            (
                r#"{"content":[{"type":"resource_link","uri":"a:b"}]}"#,
                "content[0]: `name` is missing",
            ),
            (
                r#"{"content":[{"type":"text","text":"","annotations":[]}]}"#,
                "content[0]: `annotations` must be an object",
            ),
            (
                r#"{"content":[],"isError":"no"}"#,
                "`isError` must be a boolean",
            ),
            (r#"{"content":[],"_meta":[]}"#, "`_meta` must be an object"),
            (
                r#"{"content":[],"resultType":"task"}"#,
                "`resultType` \"task\" is the platform's to write",
            ),
            (
                r#"{"content":[],"result\u0054ype":"input_required"}"#,
                "`resultType` \"input_required\" is the platform's to write",
            ),
            (
                r#"{"content":[],"requestState":"x"}"#,
                "`requestState` is the platform's to write",
            ),
        ],
    );
}

#[test]
fn bad_results_of_other_calls_are_refused_with_a_reason() {
    check_bad(
        CallKind::Prompt,
        &[
            ("{}", "`messages` is missing"),
            (
                r#"{"messages":[{"role":"system","content":{"type":"text","text":""}}]}"#,
                "messages[0]: `role` must be \"user\" or \"assistant\"",
            ),
            (
                r#"{"messages":[{"role":"user"}]}"#,
                "messages[0]: `content` is missing",
            ),
            (
                r#"{"messages":[{"role":"user","content":[]}]}"#,
                "messages[0]: content: must be an object",
            ),
            (
                r#"{"messages":[],"description":1}"#,
                "`description` must be a string",
            ),
        ],
    );
    check_bad(
        CallKind::Resource,
        &[
            (r#"{"content":[]}"#, "`contents` is missing"),
            (
                r#"{"contents":[{"text":"x"}]}"#,
                "contents[0]: `uri` is missing",
            ),
            (
                r#"{"contents":[],"ttlMs":-1}"#,
                "`ttlMs` must be a non-negative integer",
            ),
            (
                r#"{"contents":[],"cacheScope":"all"}"#,
                "`cacheScope` must be \"private\" or \"public\"",
            ),
        ],
    );
    check_bad(
        CallKind::Completion,
        &[
            ("{}", "`completion` is missing"),
            (r#"{"completion":{}}"#, "completion.values must be an array"),
            (
                r#"{"completion":{"values":[1]}}"#,
                "completion.values must be strings",
            ),
            (
                r#"{"completion":{"values":[],"total":1.5}}"#,
                "completion.total must be an integer",
            ),
        ],
    );
}

/// GRPC-027.
#[test]
fn the_number_of_items_is_bounded() {
    let items = |count: usize| {
        let items = vec![r#"{"type":"text","text":""}"#; count].join(",");
        format!(r#"{{"content":[{items}]}}"#)
    };
    assert_eq!(refusal(CallKind::Tool, &items(10_000)), "");
    assert_eq!(refusal(CallKind::Tool, &items(10_001)), "too large");
    let values = vec!["\"\""; 101].join(",");
    let completion = format!(r#"{{"completion":{{"values":[{values}]}}}}"#);
    let reason = "more than 100 completion.values";
    assert_eq!(refusal(CallKind::Completion, &completion), reason);
}

#[test]
fn older_revisions_get_content_they_know() {
    let result = r#"{"content":[{"type":"audio","data":"aGk=","mimeType":"audio/wav"},{"type":"resource_link","uri":"a:b","name":"n"}]}"#;
    let check = |revision, expected: &str| assert_eq!(tool(revision, result), expected);
    check(
        V2024_11_05,
        r#"{"content":[{"type":"text","text":"[audio, audio/wav]"},{"type":"text","text":"n: a:b"}]}"#,
    );
    check(
        V2025_03_26,
        r#"{"content":[{"type":"audio","data":"aGk=","mimeType":"audio/wav"},{"type":"text","text":"n: a:b"}]}"#,
    );
    check(V2025_06_18, result);
    check(V2025_11_25, result);
}

#[test]
fn structured_content_goes_only_where_it_is_known() {
    let object = r#"{"content":[{"type":"text","text":"x"}],"structuredContent":{"a":1}}"#;
    let plain = r#"{"content":[{"type":"text","text":"x"}]}"#;
    for (revision, expected) in [
        (V2024_11_05, plain),
        (V2025_03_26, plain),
        (V2025_06_18, object),
        (V2025_11_25, object),
    ] {
        assert_eq!(tool(revision, object), expected);
    }
}

#[test]
fn structured_content_that_cannot_go_becomes_text_if_nothing_else_is_there() {
    let array = r#"{"structuredContent":["a\"b"],"content":[]}"#;
    assert_eq!(
        tool(V2025_11_25, array),
        r#"{"content":[{"type":"text","text":"[\"a\\\"b\"]"}]}"#
    );
    let modern = tool(V2026_07_28, array);
    assert!(
        modern.contains(r#""content":[],"structuredContent":["a\"b"]"#),
        "{modern}"
    );
}

#[test]
fn members_nobody_knows_pass_as_they_are() {
    let result = r#"{"content":[],"x-acme":{"n":1.0e2 , "m":[ ]}}"#;
    assert_eq!(tool(V2025_11_25, result), result);
}

#[test]
fn a_legacy_result_that_needs_no_change_is_a_copy() {
    let result = r#"{"content":[{"type":"text","text":"x","extra":1}],"isError":false}"#;
    assert_eq!(tool(V2025_11_25, result), result);
}
