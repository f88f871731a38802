//! A desktop host that runs `ostler connect`.

use ostler_testkit::soon;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

use crate::world::program;

/// A desktop host with its command.
pub struct Host {
    pub process: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// What came while something else was waited for.
    pub others: Vec<Value>,
}

impl Host {
    pub fn start(url: &str) -> Self {
        Self::start_with(url, &[], None)
    }

    pub fn start_with(url: &str, arguments: &[&str], token: Option<&str>) -> Self {
        let mut command = program();
        command.args(["connect", url]).args(arguments);
        command.envs(token.map(|token| ("OSTLER_TOKEN", token)));
        command.stdin(std::process::Stdio::piped());
        let mut process = command.spawn().expect("the binary runs");
        let output = process.stdout.take().expect("it is piped");
        Self {
            input: process.stdin.take().expect("it is piped"),
            lines: BufReader::new(output).lines(),
            process,
            others: Vec::new(),
        }
    }

    /// With a session.
    pub async fn open(url: &str, version: &str, capabilities: Value) -> Self {
        let mut host = Self::start(url);
        let answer = host.ask(initialize(version, capabilities)).await;
        assert_eq!(answer["result"]["protocolVersion"], version, "{answer}");
        host.notify("notifications/initialized", json!({})).await;
        host
    }

    pub async fn write(&mut self, line: &str) {
        let written = async {
            self.input.write_all(line.as_bytes()).await?;
            self.input.write_all(b"\n").await
        };
        soon("a line written", written).await.expect("it reads");
    }

    pub async fn send(&mut self, message: &Value) {
        self.write(&message.to_string()).await;
    }

    pub async fn notify(&mut self, method: &str, params: Value) {
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        self.send(&message).await;
    }

    pub async fn line(&mut self) -> Value {
        let line = soon("a line", self.lines.next_line()).await;
        let line = line.expect("it is text").expect("it goes on");
        serde_json::from_str(&line).expect("each line is JSON")
    }

    /// The next message that is wanted; the others are kept.
    pub async fn next(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.line().await;
            if is_wanted(&message) {
                return message;
            }
            self.others.push(message);
        }
    }

    pub async fn answer(&mut self, id: &Value) -> Value {
        self.next(|message| message.get("method").is_none() && message["id"] == *id)
            .await
    }

    pub async fn told(&mut self, method: &str) -> Value {
        self.next(|message| message["method"] == method).await
    }

    pub async fn ask(&mut self, message: Value) -> Value {
        self.send(&message).await;
        self.answer(&message["id"]).await
    }

    /// How it ended, and what it said on standard error.
    pub async fn ended(self) -> (Option<i32>, String) {
        let Self { process, lines, .. } = self;
        drop(lines);
        let ended = soon("the end of the command", process.wait_with_output());
        let ended = ended.await.expect("it runs");
        let err = String::from_utf8(ended.stderr).expect("it writes UTF-8");
        (ended.status.code(), err)
    }

    /// As hosts end it: they close its input.
    pub async fn close(self) -> String {
        let Self {
            process,
            input,
            lines,
            ..
        } = self;
        drop((input, lines));
        let ended = soon("the end of the command", process.wait_with_output());
        let ended = ended.await.expect("it runs");
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        String::from_utf8(ended.stderr).expect("it writes UTF-8")
    }
}

pub fn request(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})
}

pub fn initialize(version: &str, capabilities: Value) -> Value {
    let client = json!({"name": "host", "version": "1"});
    let params =
        json!({"protocolVersion": version, "capabilities": capabilities, "clientInfo": client});
    request("init", "initialize", params)
}

pub fn call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    request(
        id,
        "tools/call",
        json!({"name": tool, "arguments": arguments}),
    )
}

pub fn text(answer: &Value) -> &str {
    let text = answer["result"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("no text: {answer}"))
}
