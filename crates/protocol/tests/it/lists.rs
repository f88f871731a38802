//! Pages of lists.

use ostler_protocol::{
    Raw,
    inbound::ListKind,
    listing::{self, TaskSupport},
    reply,
};

use crate::golden::{BOTH, Sheet, id, shaped};

pub const ENTRIES: &[(ListKind, &str, &str)] = &[
    (
        ListKind::Tools,
        "ListToolsResult",
        r##"{"name":"t","title":"T","description":"d","icons":[{"src":"https://x.example/i.png"}],"inputSchema":{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","$defs":{"a":{"$anchor":"a","type":"string"}},"properties":{"n":{"$ref":"#/$defs/a","x-mcp-header":"N"}},"if":{},"then":{},"allOf":[{}],"additionalProperties":false},"outputSchema":{"type":"array","items":{}},"annotations":{"readOnlyHint":true},"execution":{"taskSupport":"required"},"_meta":{"ui":{"resourceUri":"ui://w"},"io.modelcontextprotocol/x":1}}"##,
    ),
    (
        ListKind::Tools,
        "ListToolsResult",
        r#"{"name":"u","inputSchema":{"type":"object"},"outputSchema":{"type":"object","properties":{"sum":{"type":"number"}}}}"#,
    ),
    (
        ListKind::Prompts,
        "ListPromptsResult",
        r#"{"name":"p","title":"P","arguments":[{"name":"a","required":true}]}"#,
    ),
    (
        ListKind::Resources,
        "ListResourcesResult",
        r#"{"uri":"test://a","name":"a","size":3,"annotations":{"priority":1},"_meta":{"dev.mcp/x":1}}"#,
    ),
    (
        ListKind::Templates,
        "ListResourceTemplatesResult",
        r#"{"uriTemplate":"test://{id}","name":"t","mimeType":"application/json"}"#,
    ),
];

#[test]
fn pages_have_the_form_of_each_revision() {
    let mut sheet = Sheet::default();
    for (kind, definition, entry) in ENTRIES {
        for revision in BOTH {
            let definition_raw = Raw::from_static(entry);
            let entry = listing::entry(revision, *kind, &definition_raw, TaskSupport::Optional);
            let message = shaped(revision, |shape| {
                reply::list(shape, &id(), *kind, &[entry], Some("next"))
            });
            sheet.result("one entry", revision, definition, &message);
        }
    }
    for revision in BOTH {
        let message = shaped(revision, |shape| {
            reply::list(shape, &id(), ListKind::Tools, &[], None)
        });
        sheet.result("no entry", revision, "ListToolsResult", &message);
    }
    insta::assert_snapshot!(sheet.text());
}
