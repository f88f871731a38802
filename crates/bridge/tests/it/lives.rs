//! An upstream at a URL that is another one by now, or has a bad moment, while nobody calls.

use std::sync::Arc;

use ostler_bridge::config::Table;
use ostler_testkit::{Modern, Replay, Seen, Stub, TestNode, until};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    lists::{listen, names},
    world::{Bridge, node},
};

/// What the upstream is now.
#[derive(Clone, Copy)]
enum Life {
    /// A legacy server with this session, as libraries make one.
    Legacy(&'static str),
    /// The same, which cannot say at the moment what it offers.
    Confused(&'static str),
    Modern,
}

struct World {
    life: Arc<Mutex<Life>>,
    stub: Stub,
    near: TestNode,
    bridge: Bridge,
}

impl World {
    async fn open() -> World {
        let life = Arc::new(Mutex::new(Life::Legacy("first")));
        let now = life.clone();
        let stub = Stub::start(move |seen: &Seen| answer(seen, *now.lock())).await;
        let near = TestNode::anonymous().await;
        let member = Table {
            refresh_s: 1,
            ..node("far", stub.address, "auto")
        };
        let bridge = Bridge::start(&near, vec![member]).await;
        World {
            life,
            stub,
            near,
            bridge,
        }
    }

    fn asked(&self, about: &str) -> usize {
        let abouts = self.stub.abouts();
        abouts.iter().filter(|it| *it == about).count()
    }

    async fn stop(self) {
        self.bridge.stop().await;
        self.near.stop().await;
    }
}

fn answer(seen: &Seen, life: Life) -> Replay {
    let about = seen.about();
    match (life, about.as_str()) {
        (_, "notifications/initialized") => Replay::status(202),
        (_, "GET") => Replay::status(405),
        (_, "DELETE") => Replay::status(204),
        (Life::Modern, _) => modern(seen, &about),
        (Life::Legacy(session) | Life::Confused(session), "initialize") => {
            let capabilities = json!({"tools": {}});
            let initialized = json!({"protocolVersion": "2025-06-18", "capabilities": capabilities,
                "serverInfo": {"name": "stub", "version": "1"}});
            result(seen, initialized).header("Mcp-Session-Id", session)
        }
        (Life::Legacy(session) | Life::Confused(session), _)
            if seen.header("mcp-session-id") != Some(session) =>
        {
            bad(&Value::Null, "no such session")
        }
        (_, "tools/call") => bad(&seen.json()["params"]["arguments"]["id"], "no such color"),
        (_, "ping") => result(seen, json!({})),
        (Life::Confused(_), "tools/list") => error(seen, 200, -32603),
        (Life::Legacy(session), "tools/list") => result(seen, json!({"tools": [tool(session)]})),
        _ => error(seen, 200, -32601),
    }
}

fn modern(seen: &Seen, about: &str) -> Replay {
    let whole = |mut members: Value| {
        members["resultType"] = "complete".into();
        members["ttlMs"] = 0.into();
        members["cacheScope"] = "private".into();
        result(seen, members)
    };
    match about {
        "server/discover" => {
            whole(json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}))
        }
        "tools/list" if seen.header("mcp-protocol-version") == Some("2026-07-28") => {
            whole(json!({"tools": [tool("modern")]}))
        }
        _ => error(seen, 400, -32022),
    }
}

fn tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

fn result(seen: &Seen, result: Value) -> Replay {
    let body = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
    Replay::json(200, &body)
}

fn error(seen: &Seen, status: u16, code: i64) -> Replay {
    let error = json!({"code": code, "message": "no"});
    let body = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error});
    Replay::json(status, &body)
}

/// A bad request, as the examples of libraries say it of a session that they do not know.
fn bad(id: &Value, why: &str) -> Replay {
    let error = json!({"code": -32000, "message": why});
    Replay::json(400, &json!({"jsonrpc": "2.0", "id": id, "error": error}))
}

#[tokio::test]
async fn an_upstream_that_was_started_anew_is_followed_with_no_list_lost_between() {
    for (life, wanted) in [(Life::Legacy("second"), "second"), (Life::Modern, "modern")] {
        let world = World::open().await;
        let door = world.near.door();
        assert_eq!(names(&door).await, ["first"]);
        let mut live = listen(&door, json!({"toolsListChanged": true})).await;
        *world.life.lock() = life;
        let told = live.message().await;
        assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
        assert_eq!(names(&door).await, [wanted]);
        drop(live);
        world.stop().await;
    }
}

/// Whether or not the upstream names it, as long as it knows the session.
#[tokio::test]
async fn a_call_that_is_called_bad_is_told_so_and_harms_no_other() {
    let world = World::open().await;
    for id in [json!(null), json!(9)] {
        let call = Modern::call("first", json!({"id": id}));
        let refused = call.send(&world.near.door()).await;
        let said = refused.json()["error"]["message"].clone();
        assert_eq!(said, "no such color", "{refused:?}");
    }
    let all = ["tools/call", "initialize", "DELETE"].map(|about| world.asked(about));
    assert_eq!(all, [2, 1, 0]);
    world.stop().await;
}

#[tokio::test]
async fn a_list_that_is_refused_for_a_moment_stands_as_it_was() {
    let world = World::open().await;
    let door = world.near.door();
    *world.life.lock() = Life::Confused("first");
    let before = world.asked("tools/list");
    // What the first answer did is shown when the second is asked for.
    until("two refusals", || {
        (world.asked("tools/list") > before + 1).then_some(())
    })
    .await;
    assert_eq!(names(&door).await, ["first"]);
    world.stop().await;
}
