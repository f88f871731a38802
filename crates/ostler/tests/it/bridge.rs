//! `ostler bridge` as an operator runs it.

use ostler_testkit::{Modern, Script, TestNode, soon, until};
use serde_json::{Value, json};

use crate::world::{BINARY, program, url};

/// The command it hosts is one of this binary: a remote server on a pipe.
#[tokio::test]
async fn a_command_becomes_a_server_until_the_bridge_is_told_to_end() {
    let far = TestNode::anonymous().await;
    let worker = far.worker(&Script::new()).await;
    let near = TestNode::anonymous().await;
    let hub = near.workers.to_string();
    let mut bridge = program();
    bridge.args(["bridge", "--hub", &hub, "--server", "default", "--"]);
    bridge.args([BINARY, "connect", &url(&far)]);
    let mut bridge = bridge.spawn().expect("the binary runs");
    until("a linked bridge", || {
        let links = near.metric("ostler_hub_links_opened_total", &[]);
        (links > 0.0).then_some(())
    })
    .await;
    let echo = Modern::call("echo", json!({"text": "hi"}));
    let result: Value = echo.result(&near.door()).await;
    assert_eq!(result["content"][0]["text"], "hi", "{result}");
    let pid = bridge.id().expect("it runs").cast_signed();
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid is no zero");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
    let ended = soon("the end of a bridge", bridge.wait()).await;
    assert!(ended.expect("it is our child").success());
    near.stop().await;
    drop(worker);
    far.stop().await;
}

#[tokio::test]
async fn what_must_not_run_is_refused_at_the_start() {
    for (command, why) in [
        ("sh", "is a shell"),
        ("no-such-program-anywhere", "not found"),
    ] {
        let mut bridge = program();
        bridge.args(["bridge", "--", command]);
        let ended = soon("the end of a bridge", bridge.output()).await;
        let ended = ended.expect("the binary runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains(why), "{said}");
    }
}
