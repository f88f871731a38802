//! `requestState` is in the client's hands: nothing of it is believed ([MR-5], [MR-6], [TR-8]).

use ostler_testkit::{Door, Modern, Response};
use serde_json::{Value, json};

use crate::world::{World, text};

fn transfer(amount: i64) -> Modern {
    Modern::call("transfer", json!({"amount": amount})).can(json!({"elicitation": {}}))
}

fn yes() -> Value {
    json!({"confirm": {"action": "accept", "content": {"ok": true}}})
}

/// The second round of `call` with another state.
async fn retry(door: &Door, call: &Modern, state: &str) -> Response {
    let asked = json!({"requestState": state});
    call.retry(&asked, yes()).send(door).await
}

async fn state_of(door: &Door) -> String {
    let asked = transfer(5).result(door).await;
    let state = asked["requestState"].as_str();
    state.expect("a parked call has a state").to_owned()
}

fn check_refused(about: &str, response: &Response) {
    let told = (response.status, response.code());
    assert_eq!(told, (400, -32602), "{about}: {}", response.text());
}

#[tokio::test]
async fn a_state_bent_at_any_byte_is_refused() {
    let world = World::open().await;
    let door = world.door();
    let state = state_of(&door).await;
    for at in 0..state.len() {
        let mut bent = state.clone().into_bytes();
        bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
        let bent = String::from_utf8(bent).unwrap();
        check_refused(
            &format!("byte {at}"),
            &retry(&door, &transfer(5), &bent).await,
        );
    }
    for bent in [
        "",
        "x",
        &state[1..],
        &state[..state.len() - 1],
        &format!("{state}-TAMPERED"),
    ] {
        check_refused(bent, &retry(&door, &transfer(5), bent).await);
    }
    let done = retry(&door, &transfer(5), &state).await;
    assert_eq!(text(&done.json()["result"]), r#"5: accept {"ok":true}"#);
    world.stop().await;
}

/// RPC-051, RPC-052.
#[tokio::test]
async fn a_state_serves_only_its_principal_tool_and_arguments() {
    let world = World::tenants().await;
    let [a1, a2, b1] = world.principals();
    let state = state_of(&a1).await;
    check_refused("another principal", &retry(&a2, &transfer(5), &state).await);
    check_refused("another tenant", &retry(&b1, &transfer(5), &state).await);
    check_refused("other arguments", &retry(&a1, &transfer(6), &state).await);
    let echo = Modern::call("echo", json!({"text": "x"})).can(json!({"elicitation": {}}));
    check_refused("another tool", &retry(&a1, &echo, &state).await);
    let degrade = Modern::call("degrade", json!({})).can(json!({"elicitation": {}}));
    check_refused("another asking tool", &retry(&a1, &degrade, &state).await);
    let done = retry(&a1, &transfer(5), &state).await;
    assert_eq!(text(&done.json()["result"]), r#"5: accept {"ok":true}"#);
    world.stop().await;
}

/// A state of a past round gets what is current, and feeds nothing (design.md 5).
#[tokio::test]
async fn a_state_used_twice_gives_the_same_and_does_nothing_twice() {
    let world = World::open().await;
    let door = world.door();
    let state = state_of(&door).await;
    let once = retry(&door, &transfer(5), &state).await.json();
    let no = json!({"confirm": {"action": "decline"}});
    let again = transfer(5).retry(&json!({"requestState": state}), no);
    let twice = again.result(&door).await;
    assert_eq!(twice, once["result"]);
    world.stop().await;
}

/// [MR-7], [MR-12].
#[tokio::test]
async fn a_bad_or_missing_answer_is_asked_for_again_or_refused() {
    let world = World::open().await;
    let door = world.door();
    let asked = transfer(5).result(&door).await;
    for answers in [json!({}), json!({"wrong": 1})] {
        let again = transfer(5)
            .retry(&asked, answers.clone())
            .result(&door)
            .await;
        assert_eq!(again["resultType"], "input_required", "{answers}: {again}");
        assert!(
            again["inputRequests"]["confirm"].is_object(),
            "{answers}: {again}"
        );
    }
    let bad = [
        json!(5),
        json!({"action": "maybe"}),
        json!({"action": "accept", "content": {"ok": "x"}}),
    ];
    for answer in bad {
        let again = transfer(5)
            .retry(&asked, json!({"confirm": answer}))
            .send(&door)
            .await;
        let result = again.json();
        let completed = result["result"]["resultType"] == "complete";
        assert!(!completed, "{answer}: {result}");
    }
    let done = transfer(5).retry(&asked, yes()).result(&door).await;
    assert_eq!(text(&done), r#"5: accept {"ok":true}"#);
    world.stop().await;
}
