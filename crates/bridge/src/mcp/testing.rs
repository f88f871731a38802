//! A legacy server on the other end of a pipe in memory, which answers as a test wants.

use ostler_client::{Client, EraChoice, Limits, Options, Pipe, stopper};
use ostler_env::Env;
use ostler_protocol::Revision;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex};

use super::{Connection, scope};

/// Answers a request by its method; none to be silent.
pub(super) type Answers = fn(&str, u32) -> Option<Value>;

/// What it declares, which a test may ask for as for a result.
fn capabilities(answers: Answers) -> Value {
    let plain = json!({"tools": {}, "prompts": {}, "resources": {}});
    answers("capabilities", 0)
        .filter(|wanted| *wanted != json!({}))
        .unwrap_or(plain)
}

/// A connection to a server that says this; it is told how often the method was asked before.
pub(super) async fn connection(env: &Env, answers: Answers) -> Connection {
    let (near, far) = duplex(1 << 16);
    env.spawn("test.server", serve(far, answers));
    let (reader, writer) = tokio::io::split(near);
    let pipe = Pipe {
        reader: Box::new(reader),
        writer: Box::new(writer),
    };
    let (_, stop) = stopper();
    let options = Options {
        choice: EraChoice::Only(Revision::LATEST_LEGACY),
        abilities: scope::EVERYTHING,
        log_level: None,
        limits: Limits::default(),
        stop,
    };
    let client = Client::over(env.clone(), pipe, options).await;
    Connection::new(client.expect("it speaks"), None)
}

async fn serve(far: tokio::io::DuplexStream, answers: Answers) {
    let (reader, mut writer) = tokio::io::split(far);
    let mut lines = BufReader::new(reader).lines();
    let mut asked = std::collections::BTreeMap::<String, u32>::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let message: Value = serde_json::from_str(&line).expect("a client writes JSON");
        let method = message["method"].as_str().unwrap_or_default();
        let times = asked.entry(method.to_owned()).or_default();
        let result = match method {
            "initialize" => Some(json!({
                "protocolVersion": Revision::LATEST_LEGACY.as_str(),
                "capabilities": capabilities(answers),
                "serverInfo": {"name": "test", "version": "1"},
            })),
            method => answers(method, *times),
        };
        *times += 1;
        let (Some(result), Some(id)) = (result, message.get("id")) else {
            continue;
        };
        let reply = json!({"jsonrpc": "2.0", "id": id, "result": result});
        let sent = writer.write_all(format!("{reply}\n").as_bytes()).await;
        sent.expect("the client reads");
    }
}
