//! Everything the client says, checked against the official schema of its revision.

use jsonschema::Validator;
use ostler_client::{
    Abilities, Answer, Answering, Ask, Client, EraChoice, Filter, Host, ListKind, Notice, Request,
    object, parse,
};
use ostler_env::Env;
use ostler_protocol::{Raw, Revision};
use ostler_testkit::{Replay, Seen, Stub, soon};
use serde_json::{Value, json};

use crate::world::{at, call, event, fixed, form, legacy, modern, ok, options, result};

const SCHEMAS: [(&str, &str); 5] = [
    (
        "2024-11-05",
        include_str!("../../../protocol/tests/schema/mcp-2024-11-05.json"),
    ),
    (
        "2025-03-26",
        include_str!("../../../protocol/tests/schema/mcp-2025-03-26.json"),
    ),
    (
        "2025-06-18",
        include_str!("../../../protocol/tests/schema/mcp-2025-06-18.json"),
    ),
    (
        "2025-11-25",
        include_str!("../../../protocol/tests/schema/mcp-2025-11-25.json"),
    ),
    (
        "2026-07-28",
        include_str!("../../../protocol/tests/schema/mcp-2026-07-28.json"),
    ),
];
const TASKS: &str = include_str!("../../../protocol/tests/schema/ext-tasks.json");

fn validator(text: &str, definition: &str) -> Validator {
    let schema: Value = serde_json::from_str(text).expect("a published schema is JSON");
    let key = if schema.get("$defs").is_some() {
        "$defs"
    } else {
        "definitions"
    };
    assert!(
        schema[key].get(definition).is_some(),
        "it has no {definition}"
    );
    let part = json!({"$ref": format!("#/{key}/{definition}"), key: schema[key]});
    jsonschema::validator_for(&part).expect("a published schema compiles")
}

/// The definition that a message must follow.
fn definition(date: &str, message: &Value) -> &'static str {
    match (message["method"].as_str(), message.get("id")) {
        (Some("tasks/get"), _) if date == "2026-07-28" => "GetTaskRequest",
        (Some("tasks/update"), _) => "UpdateTaskRequest",
        (Some("tasks/cancel"), _) if date == "2026-07-28" => "CancelTaskRequest",
        (Some(_), Some(_)) => "ClientRequest",
        (Some(_), None) => "ClientNotification",
        (None, _) => "ClientResult",
    }
}

fn check(date: &str, seen: &[Seen]) {
    let said = seen.iter().filter(|seen| !seen.body.is_empty());
    let mut checked = 0;
    for message in said.map(Seen::json) {
        check_message(date, &message);
        checked += 1;
    }
    assert!(checked > 8, "{date}: only {checked} messages");
}

/// Checks one message of the client.
pub fn check_message(date: &str, message: &Value) {
    let (_, text) = SCHEMAS
        .iter()
        .find(|(known, _)| *known == date)
        .expect("a known date");
    let definition = definition(date, message);
    let text = if definition.ends_with("TaskRequest") {
        TASKS
    } else {
        text
    };
    if message.get("error").is_some() {
        return;
    }
    let value = if definition == "ClientResult" {
        &message["result"]
    } else {
        message
    };
    let validator = validator(text, definition);
    let errors: Vec<_> = validator
        .iter_errors(value)
        .map(|why| why.to_string())
        .collect();
    assert!(
        errors.is_empty(),
        "{date} {definition}: {errors:#?}\n{message:#}"
    );
    assert_eq!(message["jsonrpc"], "2.0");
}

/// Answers everything, each in its way.
struct Obliging;

impl Host for Obliging {
    fn notice(&mut self, _: Notice) {}

    fn answer(&mut self, ask: Ask, _: Option<&str>) -> Answering {
        let answer = match ask {
            Ask::Form { .. } => Answer::accepted(Some(Raw::from_static(r#"{"name":"Ada"}"#))),
            Ask::Visited | Ask::Url { .. } => Answer::accepted(None),
            Ask::Sample { .. } => Answer::sampled("Paris", "a person"),
            Ask::Roots { .. } => Answer::roots(["file:///a"]),
        };
        Box::pin(async move { answer })
    }
}

/// One of each request, then a listen until the server has enough.
async fn say_everything(stub: &Stub, choice: EraChoice) {
    let (mut options, _stopper) = options(choice);
    options.abilities = Abilities {
        form: true,
        url: true,
        sample: true,
        sample_tools: true,
        sample_context: true,
        roots: true,
        ui: true,
    };
    options.log_level = Some("info".to_owned());
    let client = soon(
        "a client",
        Client::connect(Env::system(), &at(stub), options),
    )
    .await
    .expect("it connects");
    let host = &mut Obliging;
    let arguments = object([("a", Raw::from_text("b"))]);
    let requests = [
        call("t"),
        Request::Read {
            uri: "a:b".to_owned(),
        },
        Request::Get {
            name: "p".to_owned(),
            arguments: arguments.clone(),
        },
        Request::Complete {
            reference: parse(r#"{"type":"ref/prompt","name":"p"}"#).expect("it is JSON"),
            argument: "a".to_owned(),
            value: "b".to_owned(),
            settled: arguments,
        },
    ];
    for request in &requests {
        let done = soon("a result", client.run(request, host)).await;
        assert!(done.is_ok(), "{request:?}: {done:?}");
    }
    for kind in ListKind::ALL {
        assert!(soon("a list", client.list(kind, host)).await.is_ok());
    }
    let filter = Filter {
        uris: vec!["a:b".to_owned()],
    };
    assert!(
        soon("the end", client.listen(fixed(&filter), host))
            .await
            .is_err()
    );
    client.close().await;
}

/// The lists and the rest, empty.
fn rest(seen: &Seen) -> Value {
    match seen.about().as_str() {
        "tools/list" => json!({"tools": []}),
        "prompts/list" => json!({"prompts": []}),
        "resources/list" => json!({"resources": []}),
        "resources/templates/list" => json!({"resourceTemplates": []}),
        _ => json!({}),
    }
}

#[tokio::test]
async fn what_is_said_in_a_session_follows_its_revision() {
    for date in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let stub = legacy(date, move |seen| match seen.about().as_str() {
            "tools/call" => {
                let ask = |id: u64, method: &str| {
                    let ask =
                        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": form()});
                    event(&id.to_string(), &ask)
                };
                let elicits = if date < "2025-06-18" {
                    "ping"
                } else {
                    "elicitation/create"
                };
                let pieces = [
                    ask(1, elicits),
                    ask(2, "sampling/createMessage"),
                    ask(3, "roots/list"),
                    ask(4, "ping"),
                    event("5", &result(seen, json!({"content": []}))),
                ];
                Replay::stream(&pieces.each_ref().map(String::as_str))
            }
            "GET" => Replay::status(404),
            _ => ok(seen, rest(seen)),
        })
        .await;
        let revision = Revision::parse(date).unwrap();
        say_everything(&stub, EraChoice::Only(revision)).await;
        check(date, &stub.seen());
    }
}

#[tokio::test]
async fn what_is_said_without_one_follows_its_revision() {
    let asked = |method: &str| json!({"method": method, "params": form()});
    let stub = modern(move |seen| {
        let asks = json!({"f": asked("elicitation/create"), "s": asked("sampling/createMessage"),
            "r": asked("roots/list")});
        let params = &seen.json()["params"];
        let body = match seen.about().as_str() {
            "tools/call" if params.get("inputResponses").is_none() => {
                json!({"resultType": "input_required", "inputRequests": asks, "requestState": "s"})
            }
            "tools/call" => json!({"resultType": "task", "taskId": "t", "status": "working"}),
            "tasks/get" if seen.json()["id"].as_u64() < Some(5) => {
                json!({"taskId": "t", "status": "input_required", "inputRequests": asks})
            }
            "tasks/get" => json!({"taskId": "t", "status": "completed", "result": {"content": []}}),
            "subscriptions/listen" => return Replay::status(400),
            _ => rest(seen),
        };
        ok(seen, body)
    })
    .await;
    say_everything(&stub, EraChoice::Modern).await;
    assert!(stub.abouts().contains(&"tasks/update".to_owned()));
    check("2026-07-28", &stub.seen());
}

/// Without this, a validator that accepts everything would make every other test pass.
#[test]
fn the_validators_reject_broken_messages() {
    for (date, text) in SCHEMAS {
        let broken = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}});
        assert!(
            !validator(text, "ClientRequest").is_valid(&broken),
            "{date}"
        );
    }
}
