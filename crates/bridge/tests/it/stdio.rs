//! The example server, as itself.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::process::example;

fn talk(only: Option<&str>, messages: &[Value]) -> Vec<Value> {
    let mut server = Command::new(example("echo_stdio"))
        .args(only)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is built");
    let mut stdin = server.stdin.take().expect("it is piped");
    for message in messages {
        writeln!(stdin, "{message}").expect("it reads");
    }
    drop(stdin);
    let said = server.wait_with_output().expect("it ends").stdout;
    let lines = said
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let messages = lines.map(|line| serde_json::from_slice(line).expect("it is JSON"));
    messages.collect()
}

fn call(id: u32, meta: Value) -> Value {
    let params = json!({"name": "echo", "arguments": {"text": "hi"}, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

fn modern() -> Value {
    json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"})
}

#[test]
fn it_speaks_both_eras() {
    let initialize = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}},
    });
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let messages = [
        initialize,
        initialized,
        call(2, json!({})),
        call(3, modern()),
    ];
    let replies = talk(None, &messages);
    assert_eq!(replies[0]["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(replies[1]["result"]["content"][0]["text"], "hi");
    assert_eq!(replies[1]["result"]["resultType"], Value::Null);
    assert_eq!(replies[2]["result"]["resultType"], "complete");
}

#[test]
fn it_speaks_one_era_if_told() {
    for (only, works) in [("legacy", 1), ("modern", 2)] {
        let replies = talk(Some(only), &[call(1, json!({})), call(2, modern())]);
        let served = replies.iter().filter(|reply| reply["result"].is_object());
        let served: Vec<_> = served.map(|reply| reply["id"].clone()).collect();
        assert_eq!(served, [works], "{only}");
    }
}
