//! Extensions: apps in both eras, skills in the modern one.

use bytes::Bytes;
use ostler_protocol::{
    Raw, Revision,
    facet::{SKILLS_EXTENSION, TASKS_EXTENSION, UI_EXTENSION},
    inbound::ListKind,
    listing::{self, TaskSupport},
    reply::{self, ServerCapabilities},
};

use serde_json::{Value, json};

use crate::golden::{BOTH, LEGACY, MODERN, Sheet, id, shaped};

const EXTENDED: ServerCapabilities = ServerCapabilities {
    tools: true,
    prompts: false,
    resources: true,
    subscribe: false,
    logging: false,
    completions: false,
    tasks: true,
    apps: true,
    skills: true,
    skill_directories: true,
};

#[test]
fn each_era_declares_the_extensions_it_may() {
    let extensions = |message: &Bytes| {
        let message: Value = serde_json::from_slice(message).expect("JSON");
        message["result"]["capabilities"]["extensions"].clone()
    };
    let legacy = shaped(LEGACY, |shape| {
        reply::initialize(shape, &id(), EXTENDED, None)
    });
    assert_eq!(extensions(&legacy), json!({UI_EXTENSION: {}}));
    for older in [Revision::V2024_11_05, Revision::V2025_03_26] {
        let message = shaped(older, |shape| {
            reply::initialize(shape, &id(), EXTENDED, None)
        });
        assert_eq!(
            extensions(&message),
            Value::Null,
            "its tools have no `_meta`"
        );
    }
    let modern = |capabilities| {
        let message = shaped(MODERN, |shape| {
            reply::discover(shape, &id(), capabilities, None)
        });
        Sheet::default().result("discover", MODERN, "DiscoverResult", &message);
        extensions(&message)
    };
    let wanted =
        |skills: Value| json!({TASKS_EXTENSION: {}, UI_EXTENSION: {}, SKILLS_EXTENSION: skills});
    assert_eq!(modern(EXTENDED), wanted(json!({"directoryRead": true})));
    let plain = ServerCapabilities {
        skill_directories: false,
        ..EXTENDED
    };
    assert_eq!(modern(plain), wanted(json!({})));
}

/// [EX-3]: what a worker says of apps comes through untouched.
#[test]
fn apps_pass_through_in_both_eras() {
    let tool = r#"{"name":"t","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://w","visibility":["app"]},"ui/resourceUri":"ui://w"}}"#;
    let page = r#"{"uri":"ui://w","name":"w","mimeType":"text/html;profile=mcp-app","_meta":{"ui":{"csp":{"connectDomains":["https://x.example"]},"prefersBorder":true}}}"#;
    for revision in BOTH {
        for (kind, entry) in [(ListKind::Tools, tool), (ListKind::Resources, page)] {
            let definition = Raw::from_static(entry);
            let shown = listing::entry(revision, kind, &definition, TaskSupport::None);
            assert_eq!(shown.as_str(), entry, "{revision:?}");
        }
        let contents = format!(
            r#"{{"contents":[{},"text":"<p>"}}]}}"#,
            page.trim_end_matches('}')
        );
        let contents = contents.replace("true,", "true}},");
        let raw = Raw::parse(contents.clone().into(), 64).expect("JSON");
        let kind = ostler_types::CallKind::Resource;
        let message = shaped(revision, |shape| {
            reply::call_result(shape, &id(), kind, &raw)
        });
        let message = String::from_utf8(message.expect("good").to_vec()).expect("text");
        let inner = contents.trim_start_matches('{').trim_end_matches('}');
        assert!(message.contains(inner.trim_end_matches("]")), "{message}");
    }
}

#[test]
fn skills_are_listed_got_and_kept_as_long_as_other_lists() {
    let entry = Raw::from_static(
        r#"{"uri":"skill://pdf/SKILL.md","frontmatter":{"name":"pdf","description":"d"},"resources":"dynamic"}"#,
    );
    let mut sheet = Sheet::default();
    let listed = shaped(MODERN, |shape| {
        reply::list(
            shape,
            &id(),
            ListKind::Skills,
            std::slice::from_ref(&entry),
            Some("next"),
        )
    });
    sheet.result("list", MODERN, "CacheableResult", &listed);
    let got = shaped(MODERN, |shape| reply::skill(shape, &id(), &entry));
    sheet.result("get", MODERN, "CacheableResult", &got);
    insta::assert_snapshot!(sheet.text());
}
