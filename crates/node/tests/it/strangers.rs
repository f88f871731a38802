//! What is foreign looks like what does not exist, byte for byte ([SEC-11], [SES-7], [TK-2]).

use ostler_testkit::{Door, Modern, Request, Response, Session};
use serde_json::json;

use crate::world::World;

fn same(about: &str, one: &Response, other: &Response) {
    let told = |response: &Response| {
        let headers = response.headers.iter();
        let headers = headers.filter(|(name, _)| name != "date").cloned();
        (
            response.status,
            headers.collect::<Vec<_>>(),
            response.body.clone(),
        )
    };
    assert_eq!(told(one), told(other), "{about}");
}

/// An id of the same form that nobody ever got.
fn bent(id: &str) -> String {
    let first = if id.starts_with('A') { "B" } else { "A" };
    format!("{first}{}", &id[1..])
}

fn session_requests(door: &Door, session: &Session, id: &str) -> Vec<Request> {
    let here = Session {
        door: door.clone(),
        id: id.to_owned(),
        ..session.clone()
    };
    let answer = json!({"jsonrpc": "2.0", "id": "x", "result": {}});
    let notice = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    vec![
        here.request(1, "ping", json!({})),
        here.call(2, "echo", json!({"text": "x"})),
        here.post(&answer),
        here.post(&notice),
        here.get(),
        here.get().also("Last-Event-ID", "x"),
        here.request(1, "ping", json!({}))
            .without("MCP-Protocol-Version"),
    ]
}

#[tokio::test]
async fn a_foreign_session_is_an_unknown_one() {
    let world = World::tenants().await;
    let [a1, a2, b1] = world.principals();
    let session = Session::open(&a1, json!({})).await;
    for stranger in [&a2, &b1] {
        let foreign = session_requests(stranger, &session, &session.id);
        let unknown = session_requests(stranger, &session, &bent(&session.id));
        for (foreign, unknown) in foreign.iter().zip(&unknown) {
            let foreign = stranger.send(foreign).await;
            assert_eq!(foreign.status, 404, "{foreign:?}");
            same("a session", &foreign, &stranger.send(unknown).await);
        }
    }
    assert_eq!(session.result(9, "ping", json!({})).await, json!({}));
    world.end(session).await;
}

/// RPC-058.
#[tokio::test]
async fn a_foreign_task_is_an_unknown_one() {
    let world = World::tenants().await;
    let [a1, a2, b1] = world.principals();
    let call = Modern::call("job", json!({"gate": "g"})).can_follow(json!({}));
    let task = call.result(&a1).await;
    let id = task["taskId"].as_str().unwrap();
    for stranger in [&a2, &b1] {
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let ask = |id: &str| {
                let params = json!({"taskId": id, "inputResponses": {}});
                Modern::new(method, params).can_follow(json!({}))
            };
            let foreign = ask(id).send(stranger).await;
            assert_eq!(
                (foreign.status, foreign.code()),
                (400, -32602),
                "{}",
                foreign.text()
            );
            same(method, &foreign, &ask(&bent(id)).send(stranger).await);
            same(method, &foreign, &ask("x").send(stranger).await);
        }
        let filter = json!({"notifications": {"taskIds": [id]}});
        let listen = Modern::new("subscriptions/listen", filter).can_follow(json!({}));
        let mut live = listen.open(stranger).await;
        let acknowledged = live.message().await;
        let honored = &acknowledged["params"]["notifications"]["taskIds"];
        assert!(honored.is_null() || honored == &json!([]), "{acknowledged}");
    }
    let get = Modern::new("tasks/get", json!({"taskId": id})).can_follow(json!({}));
    assert_eq!(get.result(&a1).await["status"], "working");
    world.script.open("g");
    world.stop().await;
}

#[tokio::test]
async fn a_foreign_tenant_is_an_unknown_one() {
    let world = World::tenants().await;
    let [a1, ..] = world.principals();
    let at = |path: &str, key: Option<&str>| Door {
        address: a1.address,
        path: path.to_owned(),
        key: key.map(str::to_owned),
    };
    let key = a1.key.as_deref();
    for key in [key, None, Some("x")] {
        let list = Modern::new("tools/list", json!({}));
        let foreign = list.send(&at("/b/main/mcp", key)).await;
        assert_eq!(foreign.status, 401, "{foreign:?}");
        same(
            "a tenant",
            &foreign,
            &list.send(&at("/nobody/main/mcp", key)).await,
        );
        same(
            "a Server",
            &foreign,
            &list.send(&at("/b/nothing/mcp", key)).await,
        );
    }
    world.stop().await;
}

/// The worker is told who calls by the platform, never by the client [AU-15].
#[tokio::test]
async fn a_worker_sees_the_caller_that_was_proven() {
    let world = World::tenants().await;
    let wanted = ["a/a1", "a/a2", "b/b1"];
    for (door, wanted) in world.principals().iter().zip(wanted) {
        let forged = Modern::call("whoami", json!({}))
            .meta("tenant", "b")
            .meta("subject", "b1");
        let result = forged.result(door).await;
        assert_eq!(crate::world::text(&result), format!("{wanted} "));
        let session = Session::open(door, json!({})).await;
        let params = json!({"name": "whoami", "arguments": {}});
        let result = session.result(1, "tools/call", params).await;
        let said = crate::world::text(&result).split_once(' ');
        let (caller, _session) = said.expect("two words");
        assert_eq!(caller, wanted);
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

/// RPC-043: a tool of another tenant's Server.
#[tokio::test]
async fn a_foreign_tool_is_an_unknown_one() {
    let world = World::tenants().await;
    let [a1, _, b1] = world.principals();
    Modern::call("change", json!({"text": "secret"}))
        .result(&a1)
        .await;
    Modern::call("secret", json!({})).result(&a1).await;
    let foreign = Modern::call("secret", json!({})).send(&b1).await;
    let unknown = Modern::call("terces", json!({})).send(&b1).await;
    assert_eq!(
        (foreign.status, foreign.code()),
        (400, -32602),
        "{}",
        foreign.text()
    );
    let told = foreign.text().replace("secret", "terces");
    assert_eq!(told, unknown.text());
    world.stop().await;
}

/// [P-3], RPC-048.
#[tokio::test]
async fn a_cursor_of_another_tenant_is_refused() {
    let world = World::tenants().await;
    let [a1, _, b1] = world.principals();
    for number in 0..2000 {
        let name = format!("t{number}");
        let tool =
            ostler_worker::Tool::new(&name, "One of many.", |_ctx: ostler_worker::Ctx| async {});
        world.script.server().add(tool);
    }
    let list = Modern::new("tools/list", json!({}));
    let page = loop {
        let page = list.result(&a1).await;
        if page["nextCursor"].is_string() {
            break page;
        }
    };
    let cursor = page["nextCursor"].as_str().unwrap();
    for (door, cursor, wanted) in [
        (&a1, cursor.to_owned(), 200),
        (&b1, cursor.to_owned(), 400),
        (&a1, bent(cursor), 400),
        (&a1, "x".repeat(1 << 20), 400),
    ] {
        let response = list.clone().param("cursor", cursor).send(door).await;
        assert_eq!(response.status, wanted, "{}", response.text());
        assert!(wanted == 200 || response.code() == -32602);
    }
    world.stop().await;
}
