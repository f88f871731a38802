use super::*;
use crate::revision::Revision::{V2024_11_05, V2025_03_26, V2025_06_18, V2025_11_25, V2026_07_28};

const TOOL: &str = r#"{"name":"t","title":"T","description":"d","icons":[],"inputSchema":{"type":"object"},"outputSchema":{"type":"object"},"annotations":{},"execution":{},"_meta":{"ui":1}}"#;

fn check(revision: Revision, kind: ListKind, definition: &'static str, expected: &str) {
    let raw = Raw::from_static(definition);
    let shown = entry(revision, kind, &raw, TaskSupport::Required);
    assert_eq!(shown.as_str(), expected, "{revision:?}");
}

#[test]
fn a_tool_has_what_its_revision_knows() {
    let whole = r#"{"name":"t","title":"T","description":"d","icons":[],"inputSchema":{"type":"object"},"outputSchema":{"type":"object"},"annotations":{},"_meta":{"ui":1}}"#;
    for (revision, expected) in [
        (
            V2024_11_05,
            r#"{"name":"t","description":"d","inputSchema":{"type":"object"}}"#,
        ),
        (
            V2025_03_26,
            r#"{"name":"t","description":"d","inputSchema":{"type":"object"},"annotations":{}}"#,
        ),
        (
            V2025_06_18,
            r#"{"name":"t","title":"T","description":"d","inputSchema":{"type":"object"},"outputSchema":{"type":"object"},"annotations":{},"_meta":{"ui":1}}"#,
        ),
        (
            V2025_11_25,
            r#"{"name":"t","title":"T","description":"d","icons":[],"inputSchema":{"type":"object"},"outputSchema":{"type":"object"},"annotations":{},"_meta":{"ui":1},"execution":{"taskSupport":"required"}}"#,
        ),
        (V2026_07_28, whole),
    ] {
        check(revision, ListKind::Tools, TOOL, expected);
    }
}

#[test]
fn an_output_schema_without_an_object_root_is_for_the_newest_only() {
    for schema in [
        r#"{"name":"t","inputSchema":{},"outputSchema":{"type":"array"}}"#,
        r#"{"name":"t","inputSchema":{},"outputSchema":{"anyOf":[{"type":"object"}]}}"#,
        r#"{"name":"t","inputSchema":{},"outputSchema":true}"#,
    ] {
        let bare = r#"{"name":"t","inputSchema":{}}"#;
        check(V2025_06_18, ListKind::Tools, schema, bare);
        check(V2026_07_28, ListKind::Tools, schema, schema);
    }
}

#[test]
fn reserved_meta_is_never_listed() {
    let resource = r#"{"uri":"a:b","_meta":{"dev.mcp/x":1,"com.acme/y":2}}"#;
    let expected = r#"{"uri":"a:b","_meta":{"com.acme/y":2}}"#;
    check(V2026_07_28, ListKind::Resources, resource, expected);
    let bare = r#"{"uri":"a:b","_meta":{"dev.mcp/x":1}}"#;
    check(V2026_07_28, ListKind::Resources, bare, r#"{"uri":"a:b"}"#);
}

#[test]
fn annotations_of_resources_are_older_than_those_of_tools() {
    let resource = r#"{"uri":"a:b","annotations":{"priority":1}}"#;
    check(V2024_11_05, ListKind::Resources, resource, resource);
}

#[test]
fn an_entry_that_needs_no_change_is_the_definition_itself() {
    let raw = Raw::from_static(r#"{"name":"p",  "arguments" : [ ]}"#);
    let shown = entry(V2025_11_25, ListKind::Prompts, &raw, TaskSupport::None);
    assert_eq!(shown.bytes().as_ptr(), raw.bytes().as_ptr());
}

/// [T-16]
#[test]
fn task_support_is_said_only_where_clients_ask_for_tasks() {
    let tool = Raw::from_static(r#"{"name":"t","inputSchema":{}}"#);
    for revision in Revision::ALL {
        for (task, said) in [
            (TaskSupport::None, None),
            (TaskSupport::Optional, Some("optional")),
            (TaskSupport::Required, Some("required")),
        ] {
            let shown = entry(*revision, ListKind::Tools, &tool, task);
            let shown = shown.to::<serde_json::Value>().expect("JSON");
            let said = said.filter(|_| *revision == V2025_11_25);
            assert_eq!(shown["execution"]["taskSupport"].as_str(), said);
        }
    }
}
