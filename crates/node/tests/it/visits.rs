//! Pages that users are sent to ([SP-4], [SP-5]).

use ostler_testkit::{Modern, Session};
use serde_json::{Value, json};

use crate::world::{World, text};

const URL: &str = "https://example.com/sign-in?state=42";

fn visits() -> Value {
    json!({"elicitation": {"url": {}}})
}

fn consent() -> Value {
    json!({"action": "accept"})
}

#[tokio::test]
async fn a_legacy_client_is_sent_to_a_page_and_told_when_it_is_done() {
    let world = World::open().await;
    let session = Session::open(&world.door(), visits()).await;
    let call = session.call(1, "sign_in", json!({"gate": "page"}));
    let mut live = session.door.open(&call).await;
    let asked = live.message().await;
    assert_eq!(asked["method"], "elicitation/create");
    assert_eq!(
        (&asked["params"]["mode"], &asked["params"]["url"]),
        (&json!("url"), &json!(URL))
    );
    let id = asked["params"]["elicitationId"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_ne!(
        asked["id"], id,
        "one is unique in the session, the other beyond it"
    );
    world.script.open("page");
    assert_eq!(session.answer(&asked, consent()).await.status, 202);
    let told = live.message().await;
    assert_eq!(told["method"], "notifications/elicitation/complete");
    assert_eq!(told["params"], json!({"elicitationId": id}));
    assert_eq!(text(&live.message().await["result"]), "accept");
    world.end(session).await;
}

/// [SP-5]: only the client that agreed to go.
#[tokio::test]
async fn the_end_of_a_visit_is_told_to_nobody_else() {
    let world = World::open().await;
    let mut visitors = Vec::new();
    for gate in ["first", "second"] {
        let session = Session::open(&world.door(), visits()).await;
        let call = session.call(1, "sign_in", json!({"gate": gate}));
        let mut live = session.door.open(&call).await;
        let asked = live.message().await;
        visitors.push((gate, session, live, asked));
    }
    for (gate, session, mut live, asked) in visitors {
        world.script.open(gate);
        assert_eq!(session.answer(&asked, consent()).await.status, 202);
        // Whatever was told of the other's visit would have come before this.
        let told = live.message().await;
        let id = &asked["params"]["elicitationId"];
        assert_eq!(told["method"], "notifications/elicitation/complete");
        assert_eq!(told["params"]["elicitationId"], *id);
        assert_eq!(text(&live.message().await["result"]), "accept");
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

#[tokio::test]
async fn the_ids_of_two_clients_differ() {
    let world = World::open().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let session = Session::open(&world.door(), visits()).await;
        let call = session.call(1, "sign_in", json!({"gate": "page"}));
        let asked = session.door.open(&call).await.message().await;
        ids.push(asked["params"]["elicitationId"].clone());
        assert_eq!(session.delete().await.status, 204);
    }
    assert_ne!(ids[0], ids[1]);
    world.node.end().await;
}

/// Consent is no more than that: until the page is done, a retry gets another round.
#[tokio::test]
async fn a_modern_client_is_asked_in_rounds_until_the_page_is_done() {
    let world = World::open().await;
    let door = world.door();
    let call = Modern::call("sign_in", json!({"gate": "page"})).can(visits());
    let first = call.result(&door).await;
    assert_eq!(first["resultType"], "input_required");
    let params = &first["inputRequests"]["sign-in"]["params"];
    assert_eq!(
        (&params["mode"], &params["url"]),
        (&json!("url"), &json!(URL))
    );
    assert_eq!(params["elicitationId"], Value::Null);
    let second = call
        .retry(&first, json!({"sign-in": consent()}))
        .result(&door)
        .await;
    assert_eq!(
        second["resultType"], "input_required",
        "the page is not done"
    );
    assert_ne!(second["requestState"], first["requestState"]);
    let asked = second["inputRequests"].as_object().expect("questions");
    let (key, _) = asked.iter().next().expect("one question");
    world.script.open("page");
    let last = call
        .retry(&second, json!({key: consent()}))
        .result(&door)
        .await;
    assert_eq!(
        (text(&last), &last["resultType"]),
        ("accept", &json!("complete"))
    );
    world.stop().await;
}

/// Nobody need answer the second round when the page is done before.
#[tokio::test]
async fn a_modern_visit_ends_while_its_client_is_asked_again() {
    let world = World::open().await;
    let door = world.door();
    let call = Modern::call("sign_in", json!({"gate": "page"})).can(visits());
    let first = call.result(&door).await;
    let second = call
        .retry(&first, json!({"sign-in": consent()}))
        .result(&door)
        .await;
    assert_eq!(second["resultType"], "input_required");
    world.script.open("page");
    let answers = json!({"sign-in-2": {"action": "cancel"}});
    let last = call.retry(&second, answers).result(&door).await;
    assert_eq!(
        (text(&last), &last["resultType"]),
        ("accept", &json!("complete"))
    );
    world.stop().await;
}

#[tokio::test]
async fn declining_to_go_ends_the_visit_in_both_eras() {
    let world = World::open().await;
    let door = world.door();
    let call = Modern::call("sign_in", json!({"gate": "page"})).can(visits());
    let first = call.result(&door).await;
    let answers = json!({"sign-in": {"action": "decline"}});
    assert_eq!(
        text(&call.retry(&first, answers).result(&door).await),
        "decline"
    );
    let session = Session::open(&door, visits()).await;
    let call = session.call(1, "sign_in", json!({"gate": "page"}));
    let mut live = session.door.open(&call).await;
    let asked = live.message().await;
    session.answer(&asked, json!({"action": "cancel"})).await;
    assert_eq!(text(&live.message().await["result"]), "cancel");
    world.end(session).await;
}
