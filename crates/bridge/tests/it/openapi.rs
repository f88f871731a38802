//! Whole descriptions: what becomes of each operation.

use ostler_bridge::{
    Member,
    openapi::{Config, Credential, Error, KeyPlace, OpenApi, Pattern},
};
use ostler_env::Env;
use ostler_types::Secret;
use serde_json::{Value, json};

pub const PETS: &str = include_str!("pets.yaml");

/// The shop, whose key is configured and whose administration is not offered.
pub fn pets() -> Config {
    let mut config = Config::new(PETS);
    config.credential = Some(Credential::Key {
        place: KeyPlace::Query,
        name: "api_key".to_owned(),
        key: Secret::new("s3cret"),
    });
    config.exclude = vec![Pattern::new("tag:admin"), Pattern::new("GET /nowhere")];
    config
}

fn read(config: &Config) -> Result<OpenApi, Error> {
    OpenApi::new(Env::system(), config)
}

fn tools(member: &OpenApi) -> Vec<Value> {
    let offer = member.offer().borrow().clone();
    let tools = offer.tools.iter();
    tools
        .map(|tool| serde_json::from_str(tool.as_str()).expect("a tool is JSON"))
        .collect()
}

/// A description with these paths, and what its report says.
fn report(paths: &Value) -> String {
    let description = json!({"openapi": "3.1.0", "info": {"title": "t", "version": "1"},
                             "servers": [{"url": "http://a.example"}], "paths": paths});
    let member = read(&Config::new(description.to_string()));
    let member = member.expect("it can be read");
    member.report().to_string()
}

#[test]
fn a_report_says_what_became_of_each_operation() {
    let member = read(&pets()).unwrap();
    insta::assert_snapshot!(member.report());
}

#[test]
fn operations_become_tools() {
    let tools = tools(&read(&pets()).unwrap());
    let text = serde_json::to_string_pretty(&tools).unwrap();
    insta::assert_snapshot!(text);
}

/// Every definition is a `Tool` of the newest revision, and of the first that has all its members.
#[test]
fn tools_are_what_the_protocol_says() {
    let schemas = [
        include_str!("../../../protocol/tests/schema/mcp-2025-06-18.json"),
        include_str!("../../../protocol/tests/schema/mcp-2026-07-28.json"),
    ];
    for schema in schemas {
        let mut schema: Value = serde_json::from_str(schema).unwrap();
        let defs = if schema["$defs"].is_object() {
            "$defs"
        } else {
            "definitions"
        };
        schema["$ref"] = format!("#/{defs}/Tool").into();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for tool in tools(&read(&pets()).unwrap()) {
            let wrong = validator.iter_errors(&tool).map(|why| why.to_string());
            assert_eq!(wrong.collect::<Vec<_>>(), [""; 0], "{tool}");
        }
    }
}

#[test]
fn json_and_yaml_read_the_same() {
    let as_json = json!({"openapi": "3.1.0", "paths": {"/a": {"get": {"operationId": "a"}}}});
    let as_yaml = "openapi: 3.1.0\npaths:\n  /a:\n    get: {operationId: a}\n";
    let [one, other] = [as_json.to_string(), as_yaml.to_owned()].map(|text| {
        let mut config = Config::new(text);
        config.base = Some("http://a.example/b/".to_owned());
        let member = read(&config).unwrap();
        (tools(&member), member.report().clone())
    });
    assert_eq!(one, other);
    assert_eq!(one.1.base, "http://a.example/b");
}

#[test]
fn filters_choose_and_those_that_fit_nothing_are_told() {
    let mut config = pets();
    config.include = vec![Pattern::new("tag:pets"), Pattern::new("tag:admin")];
    let report = read(&config).unwrap().report().clone();
    let names: Vec<_> = report
        .served
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["listPets", "listPets_2", "GET_pets_petId"]);
    assert_eq!(report.notes.last().unwrap().0, "GET /nowhere");
}

#[test]
fn a_description_that_cannot_be_served_at_all_says_why() {
    let check = |text: &str, base: Option<&str>, why: &str| {
        let mut config = Config::new(text);
        config.base = base.map(str::to_owned);
        let refused = read(&config).expect_err(why).to_string();
        assert!(refused.contains(why), "{refused}");
    };
    check("swagger: '2.0'", None, "2.0");
    check("openapi: 3.1.0\npaths: {", None, "cannot be read");
    check("openapi: 3.1.0", None, "name the base");
    check(
        "openapi: 3.1.0\nservers: [{url: /v1}]",
        None,
        "name the base",
    );
    check("openapi: 3.1.0", Some("file:///etc"), "no http or https");
    check(
        "openapi: 3.1.0",
        Some("http://a.example/?x="),
        "end with its path",
    );
    let with_password = Some("http://me:s3cret@a.example");
    check(
        "openapi: 3.1.0",
        with_password,
        "base cannot be used: it is no",
    );
    let mut config = pets();
    config.credential = Some(Credential::Bearer(Secret::new("a\r\nHost: evil")));
    assert_eq!(read(&config).err(), Some(Error::Header));
}

/// GRPC-014, CON-007: hostile operations are refused one by one, quickly, and the rest is served.
#[test]
fn hostile_operations_do_not_sink_the_others() {
    let body = |schema: Value| json!({"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}});
    let mut nested = json!({"type": "string"});
    for _ in 0..50 {
        nested = json!({"allOf": [nested]});
    }
    let report = report(&json!({
        "/branches": body(json!({"anyOf": vec![json!({}); 10_000]})),
        "/dynamic": body(json!({"$dynamicRef": "#x"})),
        "/nested": body(nested),
        "/circle": {"$ref": "#/paths/~1circle"},
        "/up/../admin": {"get": {}},
        "/up/%2e%2E/admin": {"get": {}},
        "//evil.example/x": {"get": {}},
        "/many": {"get": {"parameters": (0..1_000).map(|n| json!({"name": format!("p{n}"), "in": "query"}))
                  .collect::<Vec<_>>()}},
        "/no-object": {"get": 1, "post": {"parameters": [{"in": "query"}]}},
        "/fine": {"get": {}},
    }));
    insta::assert_snapshot!(report);
}

#[test]
fn a_huge_description_is_served_up_to_the_bound() {
    let paths = (0..3_000).map(|n| (format!("/p{n:04}"), json!({"get": {"operationId": "same"}})));
    let report = report(&Value::Object(paths.collect()));
    assert!(report.contains("tools: 2000"), "{report}");
    assert!(report.contains("skipped: 1000"), "{report}");
    assert!(report.contains("same_2000"), "{report}");
}
