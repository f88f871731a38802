//! An HTTP server whose every answer is settled by a test, for clients under test.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use ostler_env::{Env, JoinHandle};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// One request for each connection, answered by a function of the test. It ends with the value.
pub struct Stub {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Seen {
    /// The message in it; `null` without one.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// What it is about: the JSON-RPC method, `response`, or the HTTP method.
    pub fn about(&self) -> String {
        let message = self.json();
        match (message["method"].as_str(), self.body.is_empty()) {
            (Some(method), _) => method.to_owned(),
            (None, false) => "response".to_owned(),
            (None, true) => self.method.clone(),
        }
    }
}

/// What goes back.
pub struct Replay {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

enum Body {
    Whole(String),
    /// Not even a status, until the client goes away.
    Silence,
    /// Pieces as they come; the end of the channel ends the body.
    Pieces(mpsc::Receiver<String>, End),
}

/// How a body of pieces ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Cut,
}

impl Replay {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Whole(String::new()),
        }
    }

    /// No answer at all.
    pub fn silence() -> Self {
        let mut replay = Self::status(0);
        replay.body = Body::Silence;
        replay
    }

    pub fn json(status: u16, body: &Value) -> Self {
        let mut replay = Self::status(status).header("content-type", "application/json");
        replay.body = Body::Whole(body.to_string());
        replay
    }

    /// An event stream of these pieces.
    pub fn stream(pieces: &[&str]) -> Self {
        let (tx, rx) = mpsc::channel(pieces.len().max(1));
        for piece in pieces {
            tx.try_send((*piece).to_owned())
                .expect("there is room for each piece");
        }
        Self::fed(rx)
    }

    /// An event stream of whatever is sent.
    pub fn fed(pieces: mpsc::Receiver<String>) -> Self {
        let mut replay = Self::status(200).header("content-type", "text/event-stream");
        replay.body = Body::Pieces(pieces, End::Whole);
        replay
    }

    /// The connection breaks after the last piece.
    pub fn cut(mut self) -> Self {
        if let Body::Pieces(_, end) = &mut self.body {
            *end = End::Cut;
        }
        self
    }

    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Stub {
    pub async fn start(answer: impl Fn(&Seen) -> Replay + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let env = Env::system();
        let (answer, log) = (Arc::new(answer), seen.clone());
        let serve = {
            let env = env.clone();
            async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let (answer, log) = (answer.clone(), log.clone());
                    // It ends with its connection, or with the runtime of the test.
                    drop(env.spawn("test.stub", exchange(socket, answer, log)));
                }
            }
        };
        Self {
            address,
            seen,
            server: env.spawn("test.stubs", serve),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests until now.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    /// What they were about, in order.
    pub fn abouts(&self) -> Vec<String> {
        self.seen.lock().iter().map(Seen::about).collect()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn exchange<A>(mut socket: TcpStream, answer: Arc<A>, log: Arc<Mutex<Vec<Seen>>>)
where
    A: Fn(&Seen) -> Replay + Send + Sync,
{
    let Some(seen) = read(&mut socket).await else {
        return;
    };
    log.lock().push(seen.clone());
    let replay = answer(&seen);
    // A client that went away is a part of some tests.
    let _ = write(&mut socket, replay).await;
}

async fn read(socket: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_len = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_len].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    while bytes.len() < head_len + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen {
        method,
        target,
        headers,
        body: bytes[head_len..].to_vec(),
    })
}

async fn write(socket: &mut TcpStream, replay: Replay) -> std::io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} Settled\r\nConnection: close\r\n",
        replay.status
    );
    for (name, value) in &replay.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match replay.body {
        Body::Silence => while socket.read_u8().await.is_ok() {},
        Body::Whole(body) => {
            let text = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            socket.write_all(text.as_bytes()).await?;
        }
        Body::Pieces(mut pieces, end) => {
            let head = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
            socket.write_all(head.as_bytes()).await?;
            while let Some(piece) = pieces.recv().await {
                let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
                socket.write_all(chunk.as_bytes()).await?;
            }
            if end == End::Whole {
                socket.write_all(b"0\r\n\r\n").await?;
            }
        }
    }
    socket.shutdown().await
}
