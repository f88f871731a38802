//! What an upstream asks in the middle of a call, and who is asked.

use ostler_bridge::config::Table;
use ostler_testkit::{Modern, Replay, Seen, Session, Stub, TestNode};
use serde_json::{Value, json};

use crate::{
    process::example,
    world::{Bridge, ERAS, World, node, text},
};

/// Calls a tool that asks, answers each question of one modern client, and says how it ended.
async fn converse(world: &World, call: Modern, answers: &[Value]) -> Value {
    let door = world.door();
    let mut result = call.result(&door).await;
    for answer in answers {
        assert_eq!(result["resultType"], "input_required", "{result}");
        let asked = result["inputRequests"].as_object().unwrap();
        let keyed = asked.keys().map(|key| (key.clone(), answer.clone()));
        result = call.retry(&result, keyed.collect()).result(&door).await;
    }
    assert_eq!(result["resultType"], "complete", "{result}");
    result
}

fn everything() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}})
}

#[tokio::test]
async fn a_modern_client_is_asked_whatever_the_upstream_speaks() {
    let model =
        json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "hi"}});
    for era in ERAS {
        let world = World::open(era).await;
        let call = |tool: &str, arguments: Value| Modern::call(tool, arguments).can(everything());
        let yes = json!({"action": "accept", "content": {"ok": true}});
        let done = converse(&world, call("transfer", json!({"amount": 5})), &[yes]).await;
        assert_eq!(text(&done), r#"5: accept {"ok":true}"#);
        let no = json!({"action": "decline"});
        let done = converse(&world, call("transfer", json!({"amount": 5})), &[no]).await;
        assert_eq!(text(&done), "5: decline");
        let rounds =
            ["a", "b", "c"].map(|text| json!({"action": "accept", "content": {"answer": text}}));
        let interview = call("interview", json!({"name": "Ada", "rounds": 3}));
        let done = converse(&world, interview, &rounds).await;
        assert_eq!(text(&done), "Ada: a b c");
        let done = converse(
            &world,
            call("sample", json!({})),
            std::slice::from_ref(&model),
        )
        .await;
        assert_eq!(text(&done), "hi");
        let roots = json!({"roots": [{"uri": "file:///a"}]});
        let done = converse(&world, call("roots", json!({})), &[roots]).await;
        assert_eq!(text(&done), "file:///a");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_legacy_client_is_asked_on_its_stream() {
    for era in ERAS {
        let world = World::open(era).await;
        let session = Session::open(&world.door(), everything()).await;
        let call = session.call(7, "transfer", json!({"amount": 5}));
        let mut live = world.door().open(&call).await;
        let asked = live.message().await;
        assert_eq!(asked["method"], "elicitation/create", "{asked}");
        assert_eq!(asked["params"]["message"], "Transfer 5?");
        let yes = json!({"action": "accept", "content": {"ok": true}});
        assert_eq!(session.answer(&asked, yes).await.status, 202);
        let done = live.message().await;
        assert_eq!(text(&done["result"]), r#"5: accept {"ok":true}"#, "{done}");
        drop(live);
        assert_eq!(session.delete().await.status, 204);
        world.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_told_what_it_lacks_or_the_tool_goes_on_without() {
    let world = World::open("legacy").await;
    let door = world.door();
    // A legacy upstream hears a refusal, and decides itself what to make of it.
    let done = Modern::call("degrade", json!({})).result(&door).await;
    assert!(text(&done).starts_with("without"), "{done}");
    world.stop().await;
    let world = World::open("modern").await;
    let call = Modern::call("transfer", json!({"amount": 5}));
    let lacks = call.send(&world.door()).await;
    assert_eq!(lacks.code(), -32021, "{lacks:?}");
    world.stop().await;
}

#[tokio::test]
async fn consent_to_a_page_is_passed_on() {
    for era in ERAS {
        let world = World::open(era).await;
        let call = Modern::call("visit", json!({})).can(everything());
        let done = converse(&world, call, &[json!({"action": "accept"})]).await;
        assert_eq!(text(&done), "accept");
        world.stop().await;
    }
}

/// What answers the questions of `ask_several`.
fn answer_to(method: &Value) -> Value {
    match method.as_str() {
        Some("sampling/createMessage") => {
            let content = json!({"type": "text", "text": "hi"});
            json!({"role": "assistant", "model": "m", "content": content})
        }
        Some("roots/list") => json!({"roots": [{"uri": "file:///a"}]}),
        _ => json!({"action": "accept", "content": {"name": "Ada"}}),
    }
}

#[tokio::test]
async fn what_an_upstream_asks_at_once_a_modern_client_is_asked_at_once() {
    for era in ERAS {
        let world = World::open(era).await;
        let door = world.door();
        let call = Modern::call("ask_several", json!({})).can(everything());
        let mut told = call.result(&door).await;
        let mut keys = Vec::new();
        // What a legacy one says over HTTP comes piece by piece: on a slow machine one may be late.
        while let Some(requests) = told["inputRequests"].as_object() {
            assert!(era == "legacy" || requests.len() == 3, "{told}");
            keys.extend(requests.keys().cloned());
            let answers = requests
                .iter()
                .map(|(key, request)| (key.clone(), answer_to(&request["method"])));
            told = call.retry(&told, answers.collect()).result(&door).await;
        }
        keys.sort();
        assert_eq!(keys.len(), 3, "{era}");
        if era == "modern" {
            assert_eq!(keys, ["model", "name", "roots"], "they are its own");
        }
        assert_eq!(text(&told), r#"accept {"name":"Ada"}, hi, 1"#);
        world.stop().await;
    }
}

#[tokio::test]
async fn what_an_upstream_asks_at_once_a_legacy_client_is_asked_before_it_answers() {
    for era in ERAS {
        let world = World::open(era).await;
        let session = Session::open(&world.door(), everything()).await;
        let call = session.call(7, "ask_several", json!({}));
        let mut live = world.door().open(&call).await;
        let asked = [
            live.message().await,
            live.message().await,
            live.message().await,
        ];
        for question in asked.iter().rev() {
            let answer = answer_to(&question["method"]);
            assert_eq!(session.answer(question, answer).await.status, 202);
        }
        let done = live.message().await;
        assert_eq!(text(&done["result"]), r#"accept {"name":"Ada"}, hi, 1"#);
        drop(live);
        assert_eq!(session.delete().await.status, 204);
        world.stop().await;
    }
}

/// It takes the answers only when it has both.
#[tokio::test]
async fn two_questions_of_a_process_are_one_round() {
    let near = TestNode::anonymous().await;
    let program = example("asks_stdio").display().to_string();
    let member = Table {
        name: Some("asks".to_owned()),
        command: vec![program],
        grace_s: 1,
        ..Table::default()
    };
    let bridge = Bridge::start(&near, vec![member]).await;
    let door = near.door();
    let call = Modern::call("two", json!({})).can(everything());
    let asked = call.result(&door).await;
    let requests = asked["inputRequests"].as_object().unwrap();
    assert_eq!(requests.len(), 2, "{asked}");
    let yes = json!({"action": "accept", "content": {}});
    let answers = requests.keys().map(|key| (key.clone(), yes.clone()));
    let done = call.retry(&asked, answers.collect()).result(&door).await;
    assert_eq!(text(&done), "one accept, two accept");
    near.calls_close().await;
    bridge.stop().await;
    near.stop().await;
}

/// [SP-5]: a modern upstream has no word for it, and says it by going on.
#[tokio::test]
async fn a_legacy_client_hears_that_a_page_is_done_whatever_the_upstream_speaks() {
    for era in ERAS {
        let world = World::open(era).await;
        let session = Session::open(&world.door(), everything()).await;
        let call = session.call(7, "sign_in", json!({"gate": "page"}));
        let mut live = world.door().open(&call).await;
        let asked = live.message().await;
        assert_eq!(asked["params"]["mode"], "url", "{asked}");
        world.script.open("page");
        let yes = json!({"action": "accept"});
        assert_eq!(session.answer(&asked, yes).await.status, 202);
        let told = live.message().await;
        assert_eq!(told["method"], "notifications/elicitation/complete");
        let id = &asked["params"]["elicitationId"];
        assert_eq!(&told["params"]["elicitationId"], id, "{told}");
        let done = live.message().await;
        assert_eq!(text(&done["result"]), "accept", "{done}");
        drop(live);
        assert_eq!(session.delete().await.status, 204);
        world.stop().await;
    }
}

/// A modern server that sends the user to two pages under one key. Without `ends` the rest of it
/// breaks off.
fn two_pages(seen: &Seen, ends: bool) -> Replay {
    let params = &seen.json()["params"];
    let page = |state: &str| {
        let url = json!({"mode": "url", "message": "sign in", "url": "https://a.test/"});
        let request = json!({"method": "elicitation/create", "params": url});
        json!({"resultType": "input_required", "inputRequests": {"auth": request},
            "requestState": state})
    };
    let whole = |mut members: Value| {
        members["resultType"] = "complete".into();
        members["ttlMs"] = 0.into();
        members["cacheScope"] = "private".into();
        members
    };
    let result = match (seen.about().as_str(), params["requestState"].as_str()) {
        ("server/discover", _) => {
            whole(json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}))
        }
        ("tools/list", _) => {
            whole(json!({"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}))
        }
        (_, None) => page("1"),
        (_, Some("1")) => page("2"),
        (_, Some(_)) if ends => whole(json!({"content": []})),
        (_, Some(_)) => return Replay::status(502),
    };
    let body = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
    Replay::json(200, &body)
}

#[tokio::test]
async fn each_page_is_done_when_the_upstream_goes_on_whatever_its_key() {
    for ends in [true, false] {
        let stub = Stub::start(move |seen: &Seen| two_pages(seen, ends)).await;
        let near = TestNode::anonymous().await;
        let bridge = Bridge::start(&near, vec![node("far", stub.address, "modern")]).await;
        let session = Session::open(&near.door(), everything()).await;
        let mut live = near.door().open(&session.call(7, "t", json!({}))).await;
        let mut asked = Vec::new();
        let end = loop {
            let told = live.message().await;
            match told["method"].as_str() {
                Some("elicitation/create") => {
                    let yes = json!({"action": "accept"});
                    assert_eq!(session.answer(&told, yes).await.status, 202);
                    asked.push(told["params"]["elicitationId"].clone());
                }
                Some("notifications/elicitation/complete") => {
                    let id = told["params"]["elicitationId"].clone();
                    asked.retain(|it| *it != id);
                }
                _ => break told,
            }
        };
        assert_eq!(end.get("result").is_some(), ends, "{end}");
        // The page of which nothing came was not done.
        assert_eq!(asked.len(), usize::from(!ends), "{asked:?}");
        drop(live);
        assert_eq!(session.delete().await.status, 204);
        bridge.stop().await;
        near.stop().await;
    }
}
