//! What clients of 2024-11-05 to 2025-06-18 do with a node over Streamable HTTP (protocol.md 1.1, 3).

use std::time::Duration;

use ostler_testkit::Session;
use serde_json::{Value, json};

use crate::world::{World, text};

const OLDER: [&str; 3] = ["2024-11-05", "2025-03-26", "2025-06-18"];

/// [LIF-4], [CAP-1], [T-16].
#[tokio::test]
async fn a_server_describes_itself_as_far_as_the_revision_goes() {
    let world = World::open().await;
    for version in OLDER {
        let session = Session::open_as(version, &world.door(), json!({})).await;
        let opened = &session.initialized;
        assert_eq!(opened["protocolVersion"], version);
        assert_eq!(opened["instructions"], "For tests.");
        let capabilities = &opened["capabilities"];
        let completions = capabilities["completions"].is_object();
        assert_eq!(completions, version >= "2025-03-26", "{capabilities}");
        for newer in ["tasks", "extensions"] {
            assert_eq!(capabilities[newer], Value::Null, "{version}");
        }
        let tools = session.result(1, "tools/list", json!({})).await;
        for tool in tools["tools"].as_array().unwrap() {
            for newer in ["execution", "icons"] {
                assert_eq!(tool[newer], Value::Null, "{tool}");
            }
        }
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

/// [SP-3], [S2C-2]: forms are older than their modes.
#[tokio::test]
async fn a_client_of_the_first_forms_is_asked_in_its_words_and_answers() {
    let world = World::open().await;
    let session = Session::open_as("2025-06-18", &world.door(), json!({"elicitation": {}})).await;
    let call = session.call(1, "transfer", json!({"amount": 4}));
    let mut live = session.door.open(&call).await;
    let asked = live.message().await;
    let schema =
        json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]});
    let params = json!({"message": "Transfer 4?", "requestedSchema": schema});
    assert_eq!(asked["params"], params);
    let yes = json!({"action": "accept", "content": {"ok": true}});
    assert_eq!(session.answer(&asked, yes).await.status, 202);
    let last = live.message().await;
    assert_eq!(text(&last["result"]), r#"4: accept {"ok":true}"#, "{last}");
    world.end(session).await;
}

/// What the revision lacks becomes text, or goes [ERA-7].
#[tokio::test]
async fn results_are_brought_down_to_the_revision() {
    let world = World::open().await;
    let shown = |result: &Value| {
        let blocks = result["content"].as_array().unwrap().iter();
        let types = blocks.map(|block| block["type"].as_str().unwrap().to_owned());
        let structured = result["structuredContent"].is_object();
        (types.collect::<Vec<_>>(), structured)
    };
    for (version, types, structured) in [
        ("2024-11-05", ["text", "text", "text"], false),
        ("2025-03-26", ["text", "audio", "text"], false),
        ("2025-06-18", ["text", "audio", "resource_link"], true),
        ("2025-11-25", ["text", "audio", "resource_link"], true),
    ] {
        let session = Session::open_as(version, &world.door(), json!({})).await;
        let call = json!({"name": "rich", "arguments": {}});
        let result = session.result(1, "tools/call", call).await;
        let wanted = (types.map(str::to_owned).to_vec(), structured);
        assert_eq!(shown(&result), wanted, "{version}: {result}");
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

/// [SSE-2], [P-7]: no empty data for parsers that take it for a message.
#[tokio::test]
async fn streams_begin_with_a_message_and_are_resumed_from_their_first_stored_event() {
    let world = World::with(|config| config.edge.stream_after = Duration::from_millis(20)).await;
    for version in OLDER {
        let can = json!({"sampling": {}});
        let session = Session::open_as(version, &world.door(), can).await;
        let params = json!({"name": "progress", "arguments": {"count": 2},
            "_meta": {"progressToken": 7}});
        let response = session.ask(1, "tools/call", params).await;
        let events = response.events();
        assert!(
            events.iter().all(|event| !event.data.is_empty()),
            "{events:?}"
        );
        for step in &response.messages()[..events.len() - 1] {
            let has_message = step["params"]["message"].is_string();
            assert_eq!(has_message, version >= "2025-03-26", "{step}");
        }
        // A question is stored before it is shown: from there on nothing is lost.
        let mut live = session
            .door
            .open(&session.call(2, "sample", json!({})))
            .await;
        let asked = live.event().await.expect("a question");
        drop(live);
        let reply = json!({"role": "assistant", "model": "m",
            "content": {"type": "text", "text": "hi"}});
        assert_eq!(session.answer(&asked.json(), reply).await.status, 202);
        let mut resumed = session.resume(&asked.id.expect("stored")).await;
        let last = resumed.message().await;
        assert_eq!((&last["id"], text(&last["result"])), (&json!(2), "hi"));
        assert_eq!(resumed.event().await, None);
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

/// [CAN-1], [CAN-2].
#[tokio::test]
async fn a_lost_socket_is_no_cancel_and_a_notification_is() {
    let world = World::with(|config| config.edge.stream_after = Duration::from_millis(20)).await;
    for version in OLDER {
        let session = Session::open_as(version, &world.door(), json!({})).await;
        let gates = [format!("{version} kept"), format!("{version} cancelled")];
        let hold = |id: i32, gate: &str| session.call(id, "hold", json!({"gate": gate}));
        let lost = session.door.open(&hold(1, &gates[0])).await;
        let left = session.door.open(&hold(2, &gates[1])).await;
        for gate in &gates {
            world.script.seen(&format!("started:{gate}")).await;
        }
        drop(lost);
        let cancel = json!({"requestId": 2});
        let told = session.notify("notifications/cancelled", cancel).await;
        assert_eq!(told.status, 202);
        world.script.seen(&format!("cancelled:{}", gates[1])).await;
        assert!(left.finish().await.messages().is_empty());
        world.script.open(&gates[0]);
        world.script.seen(&format!("passed:{}", gates[0])).await;
        assert_eq!(session.delete().await.status, 204);
    }
    world.stop().await;
}

/// [SSE-12], [SSE-4]: a client without a priming event has nothing to come back with.
#[tokio::test]
async fn a_draining_node_breaks_no_answer_off_that_cannot_be_resumed() {
    let world = World::with(|config| config.edge.stream_after = Duration::from_millis(20)).await;
    let mut streams = Vec::new();
    for version in OLDER.into_iter().chain(["2025-11-25"]) {
        let session = Session::open_as(version, &world.door(), json!({})).await;
        let hold = session.call(1, "hold", json!({"gate": version}));
        let live = session.door.open(&hold).await;
        world.script.seen(&format!("started:{version}")).await;
        streams.push((version, live));
    }
    let script = world.script.clone();
    let (_, mut newest) = streams.pop().expect("the last");
    assert!(newest.event().await.expect("a priming event").is_priming());
    let clients = async {
        // It is sent away, with a cursor: the node drains from then on.
        let told = newest.event().await.expect("a last word");
        assert!(told.retry_ms.is_some(), "{told:?}");
        assert_eq!(newest.event().await, None);
        for (version, live) in streams {
            script.open(version);
            let answers = live.finish().await.messages();
            assert_eq!(answers.len(), 1, "{version}");
            assert_eq!(text(&answers[0]["result"]), format!("passed {version}"));
        }
    };
    tokio::join!(world.node.end(), clients);
}

/// [LIF-5]: the session's own revision holds, whichever of those with sessions the header names.
#[tokio::test]
async fn a_version_header_changes_no_session() {
    let world = World::open().await;
    let session = Session::open_as("2024-11-05", &world.door(), json!({})).await;
    let call = || session.request(1, "tools/call", json!({"name": "rich", "arguments": {}}));
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let request = call().header("MCP-Protocol-Version", version);
        let response = session.door.send(&request).await;
        assert_eq!(response.status, 200, "{version}: {}", response.text());
        let block = &response.json()["result"]["content"][1];
        assert_eq!(block["type"], "text", "{version}");
    }
    world.end(session).await;
}

/// [C-1], [S2C-1].
#[tokio::test]
async fn a_client_of_2025_06_18_is_asked_with_forms() {
    let world = World::open().await;
    let can = json!({"elicitation": {}, "roots": {}, "sampling": {}});
    let session = Session::open_as("2025-06-18", &world.door(), can).await;
    let call = session.call(1, "ask_several", json!({}));
    let mut live = session.door.open(&call).await;
    for _ in 0..3 {
        let asked = live.message().await;
        let reply = match asked["method"].as_str().unwrap() {
            "elicitation/create" => {
                assert_eq!(asked["params"]["mode"], Value::Null, "{asked}");
                json!({"action": "accept", "content": {"name": "Ann"}})
            }
            "roots/list" => json!({"roots": [{"uri": "file:///r"}]}),
            _ => json!({"role": "assistant", "model": "m",
                "content": {"type": "text", "text": "hi"}}),
        };
        assert_eq!(session.answer(&asked, reply).await.status, 202);
    }
    let last = live.message().await;
    assert_eq!(text(&last["result"]), r#"accept {"name":"Ann"}, hi, 1"#);
    world.end(session).await;
}
