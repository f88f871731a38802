//! A node of its own process, killed with SIGKILL while clients listen (SSE-020).

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use ostler_env::Env;
use ostler_testkit::{Door, Event, Live, Script, Session, TestWorker, m_ok, soon, within};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::world::BINARY;

const STREAMS: usize = 1_000;
const STREAMS_PER_SESSION: usize = 10;
const ROUNDS: usize = 3;
/// Each takes 256 calls.
const WORKERS: usize = 8;
/// Clients at work at once; the others wait for their turn.
const AT_ONCE: usize = 64;

/// So long after the restart every stream is there again. The promise is ten seconds; a debug build
/// beside other tests gets more.
const RESUMED_MAX: Duration = Duration::from_secs(60);

/// A node and where it listens.
struct Node {
    process: Child,
    edge: SocketAddr,
    workers: SocketAddr,
}

impl Node {
    async fn start(config: &Path) -> Self {
        let mut process = Command::new(BINARY)
            .args(["serve", "--anonymous", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary runs");
        let log = process.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(log).lines();
        let serving = async {
            loop {
                let line = lines.next_line().await.expect("a log is text");
                let line = line.expect("it goes on until it serves");
                let line: Value = serde_json::from_str(&line).expect("JSON lines");
                if line["message"] == "serving" {
                    return line;
                }
            }
        };
        let serving = soon("a node that serves", serving).await;
        // The rest of the log must not hold it up. It ends with the process.
        Env::system().spawn("test.log", async move {
            while let Ok(Some(_)) = lines.next_line().await {}
        });
        let address = |name: &str| {
            let address = serving[name].as_str().and_then(|text| text.parse().ok());
            address.expect("the log says where it serves")
        };
        Self {
            edge: address("edge"),
            workers: address("workers"),
            process,
        }
    }

    fn door(&self) -> Door {
        Door {
            address: self.edge,
            path: "/mcp".to_owned(),
            key: None,
        }
    }

    /// Waits until its worker is there.
    async fn works(&self) {
        let works = async { while m_ok().send(&self.door()).await.status != 200 {} };
        soon("a linked worker", works).await;
    }

    /// SIGKILL; nothing of it is left afterwards.
    async fn kill(mut self) {
        self.process.kill().await.expect("it can be killed");
    }
}

fn write_config(dir: &Path, listen: [SocketAddr; 2]) -> PathBuf {
    let [edge, workers] = listen;
    let text = format!(
        "[edge]\nlisten = \"{edge}\"\nstream_after_ms = 20\n\
         [workers]\nlisten = \"{workers}\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\
         [store]\npath = \"{}\"\n\
         [log]\nformat = \"json\"\n",
        dir.join("data").display()
    );
    let path = dir.join("ostler.toml");
    std::fs::write(&path, text).expect("the directory is ours");
    path
}

/// What one client saw of its call.
struct Seen {
    name: String,
    session: Session,
    live: Option<Live>,
    /// Of the last event.
    cursor: String,
    /// Every message once, in its order.
    messages: Vec<Value>,
    /// So many of them.
    answered: usize,
}

impl Seen {
    async fn open(session: Session, name: String) -> Self {
        let arguments = json!({"name": name, "rounds": ROUNDS});
        let call = session.call(name.as_str(), "interview", arguments);
        let mut live = session.door.open(&call).await;
        let priming = live.event().await.expect("a stream begins");
        assert!(priming.is_priming(), "{priming:?}");
        Self {
            name,
            session,
            live: Some(live),
            cursor: priming.id.expect("a cursor"),
            messages: Vec::new(),
            answered: 0,
        }
    }

    async fn resume(&mut self) {
        let resumed = self.session.resume(&self.cursor).await;
        assert_eq!(resumed.head().status, 200, "{}", self.name);
        self.live = Some(resumed);
    }

    /// Reads up to the next message.
    async fn read(&mut self) -> &Value {
        let live = self.live.as_mut().expect("it is open");
        loop {
            let event: Event = live.event().await.expect("the stream goes on");
            let message = (!event.data.is_empty()).then(|| event.json());
            self.cursor = event.id.unwrap_or(std::mem::take(&mut self.cursor));
            if let Some(message) = message {
                self.messages.push(message);
                return self.messages.last().expect("just pushed");
            }
        }
    }

    async fn answer(&mut self) {
        self.answered = self.messages.len();
        let round = self.answered.to_string();
        let asked = self.messages.last().expect("a question");
        let yes = json!({"action": "accept", "content": {"answer": round}});
        assert_eq!(self.session.answer(asked, yes).await.status, 202);
    }

    /// To the end of the call.
    async fn finish(mut self) {
        while self.messages.len() <= ROUNDS {
            if self.answered < self.messages.len() {
                self.answer().await;
            }
            self.read().await;
        }
        for (at, asked) in self.messages[..ROUNDS].iter().enumerate() {
            let message = format!("{} {}", self.name, at + 1);
            assert_eq!(asked["params"]["message"], message);
        }
        let last = &self.messages[ROUNDS]["result"]["content"][0]["text"];
        assert_eq!(*last, format!("{}: 1 2 3", self.name));
        let mut live = self.live.expect("it is open");
        assert_eq!(live.event().await, None, "{}", self.name);
    }
}

/// Some questions are read and answered, some are on their way when the node dies.
#[tokio::test]
async fn a_thousand_streams_go_on_at_the_restarted_node() {
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let node = Node::start(&write_config(dir.path(), [anywhere; 2])).await;
    let config = write_config(dir.path(), [node.edge, node.workers]);
    let script = Script::new();
    let worker = |number: usize| {
        let id = format!("w{number}");
        TestWorker::start(node.workers, &id, "default", "default", &script)
    };
    let _workers: Vec<_> = (0..WORKERS).map(worker).collect();
    node.works().await;

    let mut sessions = BTreeMap::new();
    for number in 0..STREAMS / STREAMS_PER_SESSION {
        let session = Session::open(&node.door(), json!({"elicitation": {}})).await;
        sessions.insert(number, session);
    }
    let opened = stream::iter(0..STREAMS).map(|number| {
        let session = sessions[&(number / STREAMS_PER_SESSION)].clone();
        async move {
            let mut seen = Seen::open(session, format!("call{number}")).await;
            if number % 3 > 0 {
                seen.read().await;
            }
            if number % 3 > 1 {
                seen.answer().await;
            }
            seen
        }
    });
    let mut clients: Vec<Seen> = opened.buffer_unordered(AT_ONCE).collect().await;

    node.kill().await;
    let node = Node::start(&config).await;
    let resumed = stream::iter(&mut clients).map(Seen::resume);
    let resumed = resumed.buffer_unordered(AT_ONCE).collect::<Vec<()>>();
    within(RESUMED_MAX, "every stream again", resumed).await;
    node.works().await;
    let finished = stream::iter(clients).map(Seen::finish);
    finished
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<()>>()
        .await;
    node.kill().await;
}
