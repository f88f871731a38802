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
    server: &'static str,
    era: Era,
    temper: Temper,
    /// By the text of the call, which no other has.
    ends: Vec<(String, End)>,
    /// Ends that nobody defined.
    wrong: Vec<String>,
}

/// The ends of a call that are defined where servers die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Answered,
    /// It has not run.
    NotRun,
    /// It may have run.
    Unknown,
}

/// One in so many calls is never answered by the server, so that deaths meet calls.
const HANGS_EVERY: u64 = 16;

/// Enough to see what is wrong.
const WRONG_MAX: usize = 10;

impl Lane {
    /// Lanes are told apart by their number.
    pub fn start(
        env: &Env,
        server: &'static str,
        door: Door,
        kind: (Era, Temper),
        lane: usize,
    ) -> Lane {
        let (stop, stopped) = oneshot::channel();
        let calls = run(server, door, kind, lane, stopped);
        let calls = env.spawn("loadtests.lane", calls);
        Lane { stop, calls }
    }

    /// Begins no more calls and waits for the one that it is at.
    pub async fn finish(self) -> anyhow::Result<Tally> {
        let _ = self.stop.send(());
        Ok(self.calls.await?)
    }
}

async fn run(
    server: &'static str,
    door: Door,
    (era, temper): (Era, Temper),
    lane: usize,
    mut stopped: oneshot::Receiver<()>,
) -> Tally {
    let session = match era {
        Era::Legacy => Some(Session::open(&door, json!({})).await),
        Era::Modern => None,
    };
    let mut tally = Tally {
        server,
        era,
        temper,
        ends: Vec::new(),
        wrong: Vec::new(),
    };
    let mut number = 0;
    while let Err(oneshot::error::TryRecvError::Empty) = stopped.try_recv() {
        number += 1;
        let hangs = temper == Temper::Storm && number % HANGS_EVERY == 0;
        let tool = if hangs { "hang" } else { "echo" };
        let text = format!("{server}-{lane}-{number}");
        let response = call(&door, session.as_ref(), number, tool, &text).await;
        tally.count(&response, text);
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

/// What the platform says of a call that a dead server may or may not have run, and of one that
/// it cannot have run.
const LOST: i64 = -31003;
const NOBODY_THERE: i64 = -31008;

impl End {
    fn of(reply: &Value, text: &str) -> Option<End> {
        let (result, error) = (&reply["result"], &reply["error"]);
        if result["content"][0]["text"] == text && result["isError"] != true {
            return Some(End::Answered);
        }
        match (error["code"].as_i64()?, error["data"]["executed"].as_str()?) {
            (LOST, "unknown") => Some(End::Unknown),
            (NOBODY_THERE, "no") => Some(End::NotRun),
            _ => None,
        }
    }

    fn allows(self, runs: u32) -> bool {
        match self {
            End::Answered => runs == 1,
            End::NotRun => runs == 0,
            End::Unknown => runs <= 1,
        }
    }
}

impl Tally {
    fn count(&mut self, response: &Response, text: String) {
        let reply = reply(response).unwrap_or_default();
        match End::of(&reply, &text) {
            Some(end) => self.ends.push((text, end)),
            None if self.wrong.len() < WRONG_MAX => {
                self.wrong.push(format!("{text}: {response:?}"));
            }
            None => {}
        }
    }

    pub fn is_of(&self, other: &Tally) -> bool {
        (self.server, self.era) == (other.server, other.era)
    }

    pub fn add(&mut self, other: Tally) {
        self.ends.extend(other.ends);
        self.wrong.extend(other.wrong);
    }

    fn counted(&self, end: End) -> usize {
        self.ends.iter().filter(|(_, it)| *it == end).count()
    }

    /// Every call ended as defined and ran as often as was told; deaths met calls; and where nothing
    /// was killed, all were answered.
    pub fn check(&self, runs: &BTreeMap<String, u32>) -> anyhow::Result<()> {
        ensure!(self.wrong.is_empty(), "{self}: {:#?}", self.wrong);
        ensure!(self.counted(End::Answered) > 0, "{self}: nothing answered");
        for (text, end) in &self.ends {
            let runs = runs.get(text).copied().unwrap_or_default();
            ensure!(end.allows(runs), "{text} was {end:?} and ran {runs} times");
        }
        match self.temper {
            Temper::Calm => ensure!(
                self.counted(End::Answered) == self.ends.len(),
                "{self}: a bystander was harmed"
            ),
            Temper::Storm => ensure!(
                self.counted(End::Unknown) > 0,
                "{self}: no death met a call"
            ),
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [answered, not_run, unknown] =
            [End::Answered, End::NotRun, End::Unknown].map(|end| self.counted(end));
        let (server, era, wrong) = (self.server, self.era, self.wrong.len());
        write!(
            f,
            "{server} {era:?}: {answered} answered, {not_run} not run, {unknown} lost, {wrong} wrong"
        )
    }
}
