//! Servers over standard input and output, through the bridge.

use ostler_testkit::{Modern, Session, TestNode, until};
use serde_json::json;

use crate::world::{Bridge, process, text};

#[tokio::test]
async fn a_process_of_any_era_serves_clients_of_both() {
    for only in ["both", "legacy", "modern"] {
        let near = TestNode::anonymous().await;
        let bridge = Bridge::start(&near, vec![process("echo", &[only])]).await;
        let echo = Modern::call("echo", json!({"text": "hi"}));
        assert_eq!(text(&echo.result(&near.door()).await), "hi", "{only}");
        let session = Session::open(&near.door(), json!({})).await;
        let call = json!({"name": "echo", "arguments": {"text": "hi"}});
        let echo = session.result(1, "tools/call", call).await;
        assert_eq!(text(&echo), "hi", "{only}");
        bridge.stop().await;
        near.stop().await;
    }
}

#[tokio::test]
async fn all_callers_share_a_process_unless_each_has_its_own() {
    let near = TestNode::anonymous().await;
    let isolated = ostler_bridge::config::Table {
        isolation: ostler_bridge::scope::Isolation::PerSession,
        prefix: "own".to_owned(),
        ..process("isolated", &["both"])
    };
    let bridge = Bridge::start(&near, vec![process("shared", &["both"]), isolated]).await;
    let sessions = [
        Session::open(&near.door(), json!({})).await,
        Session::open(&near.door(), json!({})).await,
    ];
    let mut pids = Vec::new();
    for session in &sessions {
        for tool in ["pid", "own_pid"] {
            let call = json!({"name": tool, "arguments": {}});
            let result = session.result(1, "tools/call", call).await;
            pids.push(text(&result).to_owned());
        }
    }
    let [shared, own, shared_again, other] = &pids[..] else {
        panic!("four calls: {pids:?}");
    };
    assert!(
        shared == shared_again && own != other && own != shared,
        "{pids:?}"
    );
    bridge.stop().await;
    near.stop().await;
}

#[tokio::test]
async fn a_process_that_is_killed_is_started_again_and_harms_no_other() {
    let near = TestNode::anonymous().await;
    let members = vec![process("one", &["both"]), process("two", &["both"])];
    let members = members
        .into_iter()
        .map(|table| ostler_bridge::config::Table {
            prefix: table.name.clone().unwrap(),
            ..table
        });
    let bridge = Bridge::start(&near, members.collect()).await;
    let door = near.door();
    let pid = async |tool: &str| {
        let result = Modern::call(tool, json!({})).result(&door).await;
        text(&result).parse::<i32>().unwrap()
    };
    let hang = Modern::call("one_hang", json!({})).to(&door);
    let hanging = door.begin(&hang).await;
    until("a call at work", || {
        (near.calls_running() > 0.0).then_some(())
    })
    .await;
    // What comes later on the same pipe is answered, so the first call has arrived.
    let (one, two) = (pid("one_pid").await, pid("two_pid").await);
    let victim = rustix::process::Pid::from_raw(one).unwrap();
    rustix::process::kill_process(victim, rustix::process::Signal::KILL).unwrap();
    let lost = hanging.head().await.finish().await;
    assert_eq!(lost.code(), -31003, "{lost:?}");
    assert_eq!(lost.json()["error"]["data"]["executed"], "unknown");
    assert_eq!(pid("two_pid").await, two);
    let again = loop {
        let call = Modern::call("one_pid", json!({})).send(&door).await;
        match call.code() {
            // It is being started.
            -31008 => tokio::task::yield_now().await,
            _ => break text(&call.json()["result"]).parse::<i32>().unwrap(),
        }
    };
    assert_ne!(again, one);
    bridge.stop().await;
    near.stop().await;
}
