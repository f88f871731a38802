//! The far end of a pipe: a server whose every line is settled.

use ostler_client::{Client, EraChoice, Error, Options, Pipe};
use ostler_env::Env;
use ostler_testkit::soon;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};

use crate::{
    schemas::check_message,
    world::{capabilities, initialized, options},
};

/// What a server reads and writes. What it reads must follow the schema of its revision.
pub struct Far {
    date: Option<String>,
    reader: BufReader<ReadHalf<DuplexStream>>,
    writer: WriteHalf<DuplexStream>,
}

pub fn pipe() -> (Pipe, Far) {
    let (near, far) = duplex(64 << 10);
    let (reader, writer) = split(near);
    let pipe = Pipe {
        reader: Box::new(reader),
        writer: Box::new(writer),
    };
    let (reader, writer) = split(far);
    let far = Far {
        date: None,
        reader: BufReader::new(reader),
        writer,
    };
    (pipe, far)
}

impl Far {
    /// The next message; nothing once the client has closed.
    pub async fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = soon("a line", self.reader.read_line(&mut line)).await;
        if read.expect("it reads") == 0 {
            return None;
        }
        let message = serde_json::from_str(&line).expect("one message a line");
        if let Some(date) = &self.date {
            check_message(date, &message);
        }
        Some(message)
    }

    /// The next message, which is of this method.
    pub async fn hear(&mut self, method: &str) -> Value {
        let message = self.next().await.expect("a message");
        assert_eq!(message["method"], method, "{message}");
        message
    }

    pub async fn write(&mut self, text: &str) {
        self.writer
            .write_all(text.as_bytes())
            .await
            .expect("it writes");
    }

    pub async fn say(&mut self, message: Value) {
        self.write(&format!("{message}\n")).await;
    }

    pub async fn result(&mut self, asked: &Value, result: Value) {
        self.say(json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}))
            .await;
    }

    pub async fn error(&mut self, asked: &Value, code: i64) {
        let error = json!({"code": code, "message": "no"});
        self.say(json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}))
            .await;
    }

    pub async fn note(&mut self, method: &str, params: Value) {
        self.say(json!({"jsonrpc": "2.0", "method": method, "params": params}))
            .await;
    }

    pub async fn ask(&mut self, id: u64, method: &str, params: Value) {
        self.say(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
    }

    /// A legacy server's part of the beginning.
    pub async fn open_legacy(&mut self, date: &str) {
        let initialize = self.hear("initialize").await;
        self.date = Some(date.to_owned());
        self.result(&initialize, initialized(date)).await;
        self.hear("notifications/initialized").await;
    }

    /// A modern server's.
    pub async fn open_modern(&mut self) {
        self.date = Some("2026-07-28".to_owned());
        let discover = self.hear("server/discover").await;
        self.result(&discover, discovered()).await;
    }
}

pub fn discovered() -> Value {
    json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
        "cacheScope": "private", "capabilities": capabilities()})
}

/// A client of this pipe.
pub async fn over(pipe: Pipe, choice: EraChoice) -> Result<Client, Error> {
    let (options, _) = options(choice);
    soon("a connection", Client::over(Env::system(), pipe, options)).await
}

/// A client, and the legacy server that it is connected to.
pub async fn legacy(date: &str) -> (Client, Far) {
    legacy_with(date, options(EraChoice::Legacy).0).await
}

pub async fn legacy_with(date: &str, options: Options) -> (Client, Far) {
    let (pipe, mut far) = pipe();
    let opening = far.open_legacy(date);
    let connecting = soon("a connection", Client::over(Env::system(), pipe, options));
    let (client, ()) = tokio::join!(connecting, opening);
    (client.expect("it connects"), far)
}

pub async fn modern() -> (Client, Far) {
    let (pipe, mut far) = pipe();
    let opening = far.open_modern();
    let (client, ()) = tokio::join!(over(pipe, EraChoice::Auto), opening);
    (client.expect("it connects"), far)
}
