//! What happened in a simulated world: every step in order, and the facts that the checkers need.

use std::{collections::BTreeMap, fmt, hash::Hasher, sync::Arc};

use ostler_env::Env;
use ostler_types::Instant;
use parking_lot::Mutex;

/// One call, named by the token that its client put into the arguments.
pub type Token = String;

/// The record of one run. Clones write to the same record.
#[derive(Clone)]
pub struct History {
    env: Env,
    record: Arc<Mutex<Record>>,
}

/// What was written down.
#[derive(Debug, Default)]
pub struct Record {
    pub lines: Vec<String>,
    pub calls: BTreeMap<Token, Call>,
    /// Worker processes that crashed, and when.
    pub crashes: BTreeMap<Process, Instant>,
    pub violations: Vec<String>,
}

/// A worker and which of its processes.
pub type Process = (String, u32);

/// What is known of one call.
#[derive(Debug, Default)]
pub struct Call {
    pub tool: String,
    pub runs: Vec<Run>,
    /// The outcome that its client was told, each time it was told.
    pub told: Vec<Told>,
    /// Its client wanted it to stop, or hung up on it.
    pub given_up: bool,
    /// It was refused for the moment, with this code.
    pub refused: Option<i64>,
    /// While it ran its client got what it can come back with: an event's id, a handle, a
    /// `requestState`.
    pub kept: bool,
}

/// One execution at a worker.
#[derive(Debug)]
pub struct Run {
    pub process: Process,
    pub ended: bool,
}

/// How a call ended, in the eyes of its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Text(String),
    ToolError(String),
    Error { code: i64, executed: Option<String> },
}

impl History {
    pub fn new(env: &Env) -> Self {
        Self {
            env: env.clone(),
            record: Arc::default(),
        }
    }

    /// Writes down a step.
    pub fn note(&self, who: &str, what: fmt::Arguments<'_>) {
        let at = self.env.now().since(Instant::default());
        let line = format!("{:>10.3} {who:<8} {what}", at.as_secs_f64());
        self.record.lock().lines.push(line);
    }

    /// Writes down what must never happen.
    pub fn violation(&self, who: &str, what: fmt::Arguments<'_>) {
        self.note(who, format_args!("VIOLATION {what}"));
        self.record.lock().violations.push(format!("{who}: {what}"));
    }

    pub fn has_violation(&self) -> bool {
        !self.record.lock().violations.is_empty()
    }

    /// A client sends a call.
    pub fn sent(&self, token: &str, tool: &str) {
        self.call(token, |call| call.tool = tool.to_owned());
    }

    /// Its client got a handle, which leaves only once its worker keeps the call.
    pub fn kept(&self, token: &str) {
        self.call(token, |call| call.kept = true);
    }

    /// Its client got what the call said on its stream. That means the same only while it runs:
    /// of one that was over before its worker heard that it is to be kept, all that it said is
    /// shown together with its outcome.
    pub fn streamed(&self, token: &str) {
        self.call(token, |call| {
            call.kept |= call.runs.iter().any(|run| !run.ended);
        });
    }

    pub fn refused(&self, token: &str, code: i64) {
        self.call(token, |call| call.refused = Some(code));
    }

    pub fn given_up(&self, token: &str) {
        self.call(token, |call| call.given_up = true);
    }

    /// A worker begins to run a call; the number of this run.
    pub fn run(&self, token: &str, process: &Process) -> usize {
        self.note(&process.0, format_args!("runs {token}"));
        self.call(token, |call| {
            call.runs.push(Run {
                process: process.clone(),
                ended: false,
            });
            call.runs.len() - 1
        })
    }

    pub fn run_ended(&self, token: &str, run: usize, how: &str) {
        let worker = self.call(token, |call| {
            call.runs[run].ended = true;
            call.runs[run].process.0.clone()
        });
        self.note(&worker, format_args!("ended {token}: {how}"));
    }

    /// Calls that workers work on.
    pub fn running(&self) -> Vec<Token> {
        let record = self.record.lock();
        let running = record
            .calls
            .iter()
            .filter(|(_, call)| call.runs.iter().any(|run| !run.ended));
        running.map(|(token, _)| token.clone()).collect()
    }

    /// A client is told how a call ended.
    pub fn told(&self, who: &str, token: &str, told: &Told) {
        self.note(who, format_args!("told {token}: {told:?}"));
        self.call(token, |call| call.told.push(told.clone()));
    }

    pub fn crashed(&self, process: &Process) {
        let now = self.env.now();
        self.record.lock().crashes.insert(process.clone(), now);
    }

    fn call<T>(&self, token: &str, act: impl FnOnce(&mut Call) -> T) -> T {
        let mut record = self.record.lock();
        act(record.calls.entry(token.to_owned()).or_default())
    }

    /// All of it, at the end of the run.
    pub fn take(&self) -> Record {
        std::mem::take(&mut self.record.lock())
    }
}

impl Record {
    /// A number that two histories share only if they are the same, also across processes.
    pub fn digest(&self) -> u64 {
        // FNV-1a: the hashers of the standard library do not promise to stay as they are.
        let mut digest = Fnv(0xcbf2_9ce4_8422_2325);
        for line in &self.lines {
            digest.write(line.as_bytes());
            digest.write_u8(b'\n');
        }
        digest.finish()
    }
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
