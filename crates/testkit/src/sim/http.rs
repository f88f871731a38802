//! HTTP over wires that may break at any byte.

use std::time::Duration;

use ostler_env::Env;
use serde_json::Value;

use super::{
    network::{Network, Port},
    wire::Wire,
};
use crate::{
    http::{Connection, Request, Response},
    sse::{Event, Parser},
};

/// How long a client waits for a byte before it gives a connection up. Comments come more often.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What came back.
pub enum Answer {
    /// The connection broke before there was a whole answer, or there was none.
    Broken,
    Whole(Whole),
    Stream(EventStream),
}

/// A response with a body, or without one.
pub struct Whole {
    pub status: u16,
    pub session: Option<String>,
    pub body: Value,
}

/// A response that is read event by event.
pub struct EventStream {
    env: Env,
    connection: Connection<Wire>,
    head: Response,
    parser: Parser,
}

/// Sends a request on a connection of its own.
pub async fn exchange(env: &Env, network: &Network, request: &Request) -> Answer {
    let answer = answer(env, network, request).await;
    answer.unwrap_or(Answer::Broken)
}

async fn answer(env: &Env, network: &Network, request: &Request) -> Option<Answer> {
    let wire = network.connect(Port::Edge).await.ok()?;
    let mut connection = Connection::over(wire);
    connection.try_send(&request.to_bytes()).await.ok()?;
    let head = env.until(env.now() + SILENCE_MAX, connection.head());
    let (status, headers) = head.await??;
    let head = Response {
        status,
        headers,
        body: Vec::new(),
    };
    if head.is_stream() {
        return Some(Answer::Stream(EventStream {
            env: env.clone(),
            connection,
            head,
            parser: Parser::default(),
        }));
    }
    let mut body = Vec::new();
    while let Some(piece) = connection.piece(&head).await {
        body.extend(piece);
    }
    let length = head.header("content-length");
    let is_whole = length.is_none_or(|length| length == body.len().to_string());
    is_whole.then_some(())?;
    Some(Answer::Whole(Whole {
        status: head.status,
        session: head.header("mcp-session-id").map(str::to_owned),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }))
}

impl EventStream {
    /// The next event; `None` when the stream ended, or broke: a client cannot tell.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.parser.next_event() {
                return Some(event);
            }
            let until = self.env.now() + SILENCE_MAX;
            let piece = self.env.until(until, self.connection.piece(&self.head));
            self.parser.feed(&piece.await??);
        }
    }
}
