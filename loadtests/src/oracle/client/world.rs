//! What all clients of this process share: the way to the node, the ledger, the past.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ostler_env::Env;
use ostler_testkit::{Door, Live, Modern, Request, Response, Session};
use ostler_types::Instant;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::oracle::{
    fact::{Fact, Outcome, Tool},
    ledger::Ledger,
};

/// Between two attempts to reach a node that is away.
const PAUSE: Duration = Duration::from_millis(25);
/// How much of the past is kept, of each kind.
const PAST_LEN: usize = 48;

#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    env: Env,
    door: Door,
    ledger: Ledger,
    numbers: AtomicU64,
    finishing: AtomicBool,
    past: Mutex<Past>,
}

/// What was acknowledged and must still be true.
#[derive(Default)]
pub struct Past {
    pub sessions: BTreeMap<String, Session>,
    pub deleted: VecDeque<Session>,
    pub streams: VecDeque<PastStream>,
    pub tasks: VecDeque<PastTask>,
    /// Tasks that their clients stopped.
    pub cancelled: VecDeque<PastTask>,
    pub parked: VecDeque<PastParked>,
}

/// A stream that was read to its end.
#[derive(Clone)]
pub struct PastStream {
    pub session: Session,
    pub name: String,
    /// Of its events, in their order.
    pub ids: Vec<String>,
}

/// A task whose result was told.
#[derive(Clone)]
pub struct PastTask {
    pub id: String,
    pub call: String,
}

/// A call that was parked, with its last round.
#[derive(Clone)]
pub struct PastParked {
    pub call: String,
    pub retry: Modern,
    /// Before this its `requestState` is good.
    pub until: Instant,
}

/// Adds to a past that forgets.
pub fn remember<T>(past: &mut VecDeque<T>, new: T) {
    if past.len() == PAST_LEN {
        past.pop_front();
    }
    past.push_back(new);
}

impl World {
    pub fn new(env: &Env, door: Door, ledger: Ledger) -> Self {
        Self(Arc::new(Inner {
            env: env.clone(),
            door,
            ledger,
            numbers: AtomicU64::new(1),
            finishing: AtomicBool::new(false),
            past: Mutex::default(),
        }))
    }

    pub fn env(&self) -> &Env {
        &self.0.env
    }

    pub fn door(&self) -> &Door {
        &self.0.door
    }

    pub fn past(&self) -> &Mutex<Past> {
        &self.0.past
    }

    pub fn number(&self) -> u64 {
        self.0.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A name that no other call has.
    pub fn name(&self) -> String {
        format!("c{}", self.number())
    }

    /// Stories that have begun are told to their end, and none begins any more.
    pub fn finish(&self) {
        self.0.finishing.store(true, Ordering::Release);
    }

    pub fn is_finishing(&self) -> bool {
        self.0.finishing.load(Ordering::Acquire)
    }

    pub async fn write(&self, fact: Fact) {
        self.0.ledger.write(fact).await;
    }

    pub async fn sent(&self, call: &str, tool: Tool) {
        let call = call.to_owned();
        self.write(Fact::Sent { call, tool }).await;
    }

    pub async fn told(&self, call: &str, message: &Value) {
        let (call, outcome) = (call.to_owned(), outcome(message));
        self.write(Fact::Told { call, outcome }).await;
    }

    pub async fn missing(&self, what: impl Into<String>) {
        self.write(Fact::Missing { what: what.into() }).await;
    }

    pub async fn pause(&self) {
        self.0.env.sleep(PAUSE).await;
    }

    /// A request that may be sent once only, up to the head of its response.
    pub async fn once(&self, request: &Request) -> Option<Live> {
        self.door().try_open(request).await.ok()
    }

    /// The whole response to a request that may be repeated. A node that is away or busy is tried
    /// again.
    pub async fn patiently(&self, request: &Request) -> Response {
        loop {
            if let Some(live) = self.once(request).await
                && let Some(response) = live.finish_whole().await
                && !is_busy(response.status)
            {
                return response;
            }
            self.pause().await;
        }
    }

    /// The same up to the head.
    pub async fn open_patiently(&self, request: &Request) -> Live {
        loop {
            if let Some(live) = self.once(request).await
                && !is_busy(live.head().status)
            {
                return live;
            }
            self.pause().await;
        }
    }
}

/// It says that trying again helps; any other refusal breaks a promise.
pub fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// The message of a whole response. One that has another status than a message is no outcome.
pub fn said(response: &Response) -> Value {
    match response.status {
        200 => response.json(),
        status => json!({"status": status, "body": response.text()}),
    }
}

/// What a response says of its call. No tool of the oracle's workers fails unless it was told
/// what is not for it.
pub fn outcome(message: &Value) -> Outcome {
    const WORKER_LOST: i64 = -31003;
    if message["result"]["isError"] == true {
        return Outcome::Other(message.to_string());
    }
    if let Some(text) = message["result"]["content"][0]["text"].as_str() {
        return Outcome::Text(text.to_owned());
    }
    if message["status"] == "cancelled" {
        return Outcome::Cancelled;
    }
    let error = &message["error"];
    let executed = error["data"]["executed"].as_str();
    match (error["code"].as_i64(), executed) {
        (Some(WORKER_LOST), Some(executed)) => Outcome::WorkerLost {
            executed: executed.to_owned(),
        },
        _ => Outcome::Other(message.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome_of(status: u16, body: &Value) -> Outcome {
        outcome(&said(&Response {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }))
    }

    fn text(is_error: bool) -> Value {
        let content = json!([{"type": "text", "text": "x"}]);
        json!({"result": {"content": content, "isError": is_error}})
    }

    #[test]
    fn only_what_a_tool_said_that_did_not_fail_is_its_text() {
        assert_eq!(outcome_of(200, &text(false)), Outcome::Text("x".to_owned()));
        for (status, body) in [(200, text(true)), (404, text(false)), (500, json!({}))] {
            let found = outcome_of(status, &body);
            assert!(matches!(found, Outcome::Other(_)), "{status}: {found:?}");
        }
    }

    #[test]
    fn only_who_says_that_trying_again_helps_refuses() {
        let refused: Vec<u16> = (100..600).filter(|status| is_busy(*status)).collect();
        assert_eq!(refused, [429, 503]);
    }
}
