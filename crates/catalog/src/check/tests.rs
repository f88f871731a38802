use ostler_env::Env;
use serde_json::json;

use super::*;
use crate::offer::Declarations;

fn entry(definition: Value) -> OfferedEntry {
    OfferedEntry {
        definition: Raw::from_value(&definition),
        declarations: Declarations::default(),
    }
}

fn offer() -> Offer {
    Offer {
        server_info: Raw::from_static(r#"{"name":"s","version":"1"}"#),
        instructions: None,
        tools: Vec::new(),
        prompts: Vec::new(),
        resources: Vec::new(),
        templates: Vec::new(),
        skills: Vec::new(),
        completions: false,
        logging: false,
        resource_watch: false,
    }
}

fn check_offer(offer: Offer) -> (Option<Checked>, Vec<EntryRefusal>) {
    let mut refusals = Vec::new();
    let checked = check(offer, &Pool::new(&Env::seeded(1)), &mut refusals);
    (checked, refusals)
}

/// Offers a tool beside a good one, and says why it was refused.
fn refused_tool(definition: Value) -> Option<String> {
    let good = entry(json!({"name": "good", "inputSchema": {"type": "object"}}));
    let (checked, refusals) = check_offer(Offer {
        tools: vec![entry(definition), good],
        ..offer()
    });
    let tools = checked.unwrap().tools;
    assert!(
        tools.iter().any(|tool| tool.name == "good"),
        "the other tool stays"
    );
    assert_eq!(tools.len() + refusals.len(), 2, "{refusals:?}");
    refusals.into_iter().next().map(|refusal| refusal.reason)
}

fn tool_with(member: &str, value: Value) -> Value {
    let mut tool = json!({"name": "t", "inputSchema": {"type": "object"}});
    tool[member] = value;
    tool
}

/// GRPC-012, GRPC-013.
#[tokio::test]
async fn a_bad_tool_is_refused_alone_and_with_a_reason() {
    let table = [
        (json!([]), "not an object"),
        (
            json!({"inputSchema": {"type": "object"}}),
            "name is missing",
        ),
        (tool_with("name", json!("a b")), "1 to 128"),
        (tool_with("name", json!("x".repeat(129))), "1 to 128"),
        (json!({"name": "t"}), "inputSchema is missing"),
        (tool_with("inputSchema", json!({})), "\"type\": \"object\""),
        (
            tool_with("inputSchema", json!({"type": "string"})),
            "\"type\": \"object\"",
        ),
        (
            tool_with("inputSchema", json!({"type": ["object"]})),
            "\"type\": \"object\"",
        ),
        (
            tool_with(
                "inputSchema",
                json!({"type": "object", "$ref": "http://169.254.169.254/x"}),
            ),
            "inputSchema: ",
        ),
        (
            tool_with("outputSchema", json!({"$ref": "file:///etc/passwd"})),
            "outputSchema: ",
        ),
        (
            tool_with("description", json!("x".repeat(16_385))),
            "16384 bytes",
        ),
        (tool_with("description", json!("\u{1b}[2J")), "U+001B"),
        (tool_with("description", json!("\u{E0041}")), "U+E0041"),
        (tool_with("title", json!("a\u{202E}b")), "U+202E"),
        (
            tool_with(
                "inputSchema",
                json!({"type": "object", "description": "\u{2066}"}),
            ),
            "U+2066",
        ),
        (
            tool_with(
                "inputSchema",
                json!({"type": "object", "properties": {"\u{202E}": {}}}),
            ),
            "U+202E",
        ),
        (tool_with("title", json!(1)), "title must be a string"),
        (
            tool_with("annotations", json!([])),
            "annotations must be an object",
        ),
        (
            tool_with("icons", json!(["x".repeat(300_000)])),
            "262144 bytes",
        ),
    ];
    for (definition, reason) in table {
        let shown = crate::text::shorten(&definition.to_string(), 200);
        let refused = refused_tool(definition).unwrap_or_default();
        assert!(
            refused.contains(reason),
            "{shown}: {refused:?} should contain {reason:?}"
        );
    }
}

#[tokio::test]
async fn a_good_tool_is_taken_as_it_is_written() {
    let text = r#"{"name":"t","inputSchema":{"type":"object","$schema":"https://json-schema.org/draft/2020-12/schema","x-vendor":1.0,"properties":{"b":{},"a":{}}},"annotations":{"readOnlyHint":true},"unknown":[]}"#;
    let (checked, refusals) = check_offer(Offer {
        tools: vec![OfferedEntry {
            definition: Raw::from_static(text),
            declarations: Declarations::default(),
        }],
        ..offer()
    });
    assert_eq!(refusals, []);
    assert_eq!(checked.unwrap().tools[0].raw.as_str(), text);
}

#[tokio::test]
async fn a_name_is_offered_once() {
    let tool = || entry(json!({"name": "t", "inputSchema": {"type": "object"}}));
    let (checked, refusals) = check_offer(Offer {
        tools: vec![tool(), tool()],
        ..offer()
    });
    assert_eq!(checked.unwrap().tools.len(), 1);
    assert_eq!(refusals[0].reason, "is offered twice");
}

#[tokio::test]
async fn an_offer_has_a_largest_size() {
    let prompt = |n| entry(json!({"name": format!("p{n}")}));
    let (checked, refusals) = check_offer(Offer {
        prompts: (0..ENTRIES_MAX + 5).map(prompt).collect(),
        ..offer()
    });
    assert_eq!(checked.unwrap().prompts.len(), ENTRIES_MAX);
    assert_eq!(refusals.len(), 1);
}

#[tokio::test]
async fn resources_and_templates_have_uris() {
    let (checked, refusals) = check_offer(Offer {
        resources: [
            "mem://a",
            "no scheme",
            "mem://a b",
            "mem://\u{202E}",
            "mem://a",
        ]
        .map(|uri| entry(json!({"uri": uri, "name": "n"})))
        .into(),
        templates: ["mem://{a}", "mem://{a", "{+a}", "{a", "a{b}"]
            .map(|uri| entry(json!({"uriTemplate": uri, "name": "n"})))
            .into(),
        ..offer()
    });
    let checked = checked.unwrap();
    assert_eq!((checked.resources.len(), checked.templates.len()), (1, 2));
    assert_eq!(refusals.len(), 7, "{refusals:?}");
}

#[tokio::test]
async fn a_server_says_who_it_is() {
    for bad in [
        r#"[]"#,
        r#"{}"#,
        r#"{"name":"s"}"#,
        r#"{"name":"s","version":1}"#,
    ] {
        let (checked, refusals) = check_offer(Offer {
            server_info: Raw::from_static(bad),
            ..offer()
        });
        assert!(
            checked.is_none() && refusals[0].kind == EntryKind::Server,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn bad_instructions_are_left_out() {
    let (checked, refusals) = check_offer(Offer {
        instructions: Some("\u{202E}".to_owned()),
        ..offer()
    });
    assert_eq!(checked.unwrap().instructions, None);
    assert_eq!(refusals[0].name, "instructions");
}

#[tokio::test]
async fn contracts_differ_by_schemas_and_declarations_only() {
    let schema = json!({"type": "object", "properties": {"a": {}, "b": {}}});
    let contract = |definition: Value, idempotent: bool| {
        let mut entry = entry(definition);
        entry.declarations.idempotent = idempotent;
        let (checked, _) = check_offer(Offer {
            tools: vec![entry],
            ..offer()
        });
        checked.unwrap().tools[0].contract
    };
    let plain = contract(json!({"name": "t", "inputSchema": schema}), false);
    let described = json!({"name": "t", "description": "d", "inputSchema": schema});
    assert_eq!(contract(described, false), plain);
    assert_ne!(
        contract(json!({"name": "t", "inputSchema": schema}), true),
        plain
    );
    assert_ne!(contract(tool_with("outputSchema", json!({})), false), plain);
}

#[test]
fn the_order_of_members_is_no_difference() {
    let one: Value = serde_json::from_str(r#"{"a":1,"b":[{"c":null,"d":"x"}]}"#).unwrap();
    let other: Value = serde_json::from_str(r#"{"b":[{"d":"x","c":null}],"a":1}"#).unwrap();
    assert_eq!(hash_of(&[Some(&one)]), hash_of(&[Some(&other)]));
    assert_ne!(hash_of(&[Some(&one)]), hash_of(&[None]));
}

/// GRPC-016.
#[tokio::test]
async fn a_tool_with_bad_header_annotations_is_refused() {
    let annotated = |kind: &str, header: &str| json!({"type": kind, "x-mcp-header": header});
    let with = |properties: Value| {
        tool_with(
            "inputSchema",
            json!({"type": "object", "properties": properties}),
        )
    };
    for bad in [
        json!({"a": annotated("string", "Region\r\nX: 1")}),
        json!({"a": annotated("string", "")}),
        json!({"a": annotated("string", "Region"), "b": annotated("string", "region")}),
        json!({"a": annotated("number", "Region")}),
        json!({"a": annotated("array", "Region")}),
        json!({"a": {"oneOf": [annotated("string", "Region")]}}),
    ] {
        let refused = refused_tool(with(bad.clone()));
        assert!(refused.is_some(), "{bad}");
    }
    assert_eq!(
        refused_tool(with(json!({"a": annotated("string", "Region")}))),
        None
    );
}

#[tokio::test]
async fn prompts_have_named_arguments() {
    let prompt = |arguments: Value| entry(json!({"name": "p", "arguments": arguments}));
    for (arguments, is_good) in [
        (json!([]), true),
        (json!([{"name": "a", "required": true}]), true),
        (json!([{}]), false),
        (json!(["a"]), false),
        (json!({}), false),
    ] {
        let (_, refusals) = check_offer(Offer {
            prompts: vec![prompt(arguments.clone())],
            ..offer()
        });
        assert_eq!(refusals.is_empty(), is_good, "{arguments}");
    }
}
