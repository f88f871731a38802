//! One client that calls a server again and again, and counts how its calls end.

use std::{collections::BTreeMap, fmt};

use anyhow::ensure;
use ostler_env::{Env, JoinHandle};
use ostler_testkit::{Door, Modern, Response, Session};
use serde_json::{Value, json};
use tokio::sync::oneshot;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    Legacy,
    Modern,
}

/// Whether the server of a lane is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    Calm,
    Storm,
}

pub struct Lane {
    stop: oneshot::Sender<()>,
    calls: JoinHandle<Tally>,
}

/// How the calls of lanes of one kind ended.
pub struct Tally {
    era: Era,
    temper: Temper,
    answered: u64,
    /// By what was told instead of the answer.
    failed: BTreeMap<String, u64>,
    /// Ends that nobody defined.
    wrong: Vec<String>,
}

/// One in so many calls is never answered by the server, so that deaths meet calls.
const HANGS_EVERY: u64 = 16;

/// Enough to see what is wrong.
const WRONG_MAX: usize = 10;

impl Lane {
    pub fn start(env: &Env, door: Door, era: Era, temper: Temper) -> Lane {
        let (stop, stopped) = oneshot::channel();
        let calls = env.spawn("loadtests.lane", run(door, era, temper, stopped));
        Lane { stop, calls }
    }

    pub async fn finish(self) -> anyhow::Result<Tally> {
        let _ = self.stop.send(());
        Ok(self.calls.await?)
    }
}

async fn run(door: Door, era: Era, temper: Temper, mut stopped: oneshot::Receiver<()>) -> Tally {
    let session = match era {
        Era::Legacy => Some(Session::open(&door, json!({})).await),
        Era::Modern => None,
    };
    let mut tally = Tally {
        era,
        temper,
        answered: 0,
        failed: BTreeMap::new(),
        wrong: Vec::new(),
    };
    let mut number = 0;
    while stopped.try_recv().is_err() {
        number += 1;
        let hangs = temper == Temper::Storm && number % HANGS_EVERY == 0;
        let tool = if hangs { "hang" } else { "echo" };
        let text = format!("{number}");
        let response = call(&door, session.as_ref(), number, tool, &text).await;
        tally.count(&response, &text);
    }
    tally
}

async fn call(door: &Door, session: Option<&Session>, id: u64, tool: &str, text: &str) -> Response {
    let arguments = json!({"text": text});
    match session {
        Some(session) => door.send(&session.call(id, tool, arguments)).await,
        None => Modern::call(tool, arguments).id(id).send(door).await,
    }
}

/// The message that answers, of a body or of a stream.
fn reply(response: &Response) -> Option<Value> {
    let messages = match response.is_stream() {
        true => response.messages(),
        false => vec![response.json()],
    };
    messages
        .into_iter()
        .find(|message| !message["id"].is_null())
}

/// Whether a server takes calls by now.
pub async fn is_served(door: &Door) -> bool {
    let response = call(door, None, 1, "echo", "hi").await;
    response.status == 200 && reply(&response).is_some_and(|reply| reply["result"].is_object())
}

/// Has a server start what outlives it. It may be dead just now.
pub async fn fork(door: &Door) {
    drop(call(door, None, 1, "fork", "").await);
}

impl Tally {
    fn count(&mut self, response: &Response, text: &str) {
        let reply = reply(response).unwrap_or_default();
        let result = &reply["result"];
        if result["content"][0]["text"] == text && result["isError"] != true {
            self.answered += 1;
        } else if reply["error"]["code"].is_i64() || result["isError"] == true {
            let end = match reply["error"]["code"].as_i64() {
                Some(code) => format!("error {code}"),
                None => "tool error".to_owned(),
            };
            *self.failed.entry(end).or_default() += 1;
        } else if self.wrong.len() < WRONG_MAX {
            self.wrong.push(format!("{text}: {response:?}"));
        }
    }

    pub fn is_of(&self, other: &Tally) -> bool {
        (self.era, self.temper) == (other.era, other.temper)
    }

    pub fn add(&mut self, other: Tally) {
        self.answered += other.answered;
        self.wrong.extend(other.wrong);
        for (end, count) in other.failed {
            *self.failed.entry(end).or_default() += count;
        }
    }

    /// Every call ended as defined, and where nothing was killed, with its answer.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(self.wrong.is_empty(), "{self}: {:#?}", self.wrong);
        ensure!(self.answered > 0, "{self}: nothing answered");
        let calm = self.temper == Temper::Calm;
        ensure!(
            !calm || self.failed.is_empty(),
            "{self}: a bystander was harmed"
        );
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            era,
            temper,
            answered,
            failed,
            wrong,
        } = self;
        let wrong = wrong.len();
        write!(
            f,
            "{temper:?} {era:?}: {answered} answered, {failed:?} failed, {wrong} wrong"
        )
    }
}
