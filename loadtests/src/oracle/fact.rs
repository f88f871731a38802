//! What is written down.

use serde::{Deserialize, Serialize};

/// One line of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Wall clock; all processes of a run share a machine.
    pub at_ms: u64,
    #[serde(flatten)]
    pub fact: Fact,
}

/// What somebody saw or did. Calls have names that are used once; the worker hears them as an
/// argument, so that both sides tell of the same call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    // Of a worker.
    /// It started; whatever an earlier one of this id ran is gone.
    Up {
        worker: String,
    },
    /// It ended in order.
    Down {
        worker: String,
    },
    Began {
        call: String,
        tool: Tool,
        run: String,
    },
    /// The outcome of a run, before it is given to the node.
    Ended {
        run: String,
        text: String,
    },
    Cancelled {
        run: String,
    },
    /// The handler was dropped in the middle.
    Dropped {
        run: String,
    },

    // Of a client: sessions.
    Opened {
        session: String,
    },
    /// It is known to the node.
    Answers {
        session: String,
    },
    /// It is not known to the node.
    Gone {
        session: String,
    },
    /// The client is about to end it.
    Deleting {
        session: String,
    },
    /// The node said that it has ended.
    Deleted {
        session: String,
    },
    /// It answered to a request that was sent after its end was told.
    Undead {
        session: String,
    },

    // Of a client: streams whose events have ids.
    /// Reading begins, from the start or after an event.
    Reading {
        read: u64,
        stream: String,
        after: Option<String>,
    },
    Event {
        read: u64,
        id: String,
        text: String,
    },
    /// Reading ends: at the end of the stream, or because something broke.
    ReadOver {
        read: u64,
        end: ReadEnd,
    },
    /// The node does not know an event that it has sent.
    Trimmed {
        stream: String,
        after: String,
    },

    // Of a client: calls.
    /// About to leave.
    Sent {
        call: String,
        tool: Tool,
    },
    /// The client has something to come back with.
    Held {
        call: String,
        handle: Handle,
    },
    /// An outcome was told, for the first time or again.
    Told {
        call: String,
        outcome: Outcome,
    },
    /// The node did not take it.
    Refused {
        call: String,
        why: String,
    },
    /// The connection broke while the client held nothing.
    Broken {
        call: String,
    },
    /// The client went away by itself.
    Left {
        call: String,
    },
    /// The client is about to have it stopped.
    Cancelling {
        call: String,
    },
    /// Something that must come has not come in time.
    Missing {
        what: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadEnd {
    /// The server ended it.
    Whole,
    /// It broke, or the client had seen enough.
    Cut,
}

/// What a client holds of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handle {
    Event,
    Task,
    RequestState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What the tool said.
    Text(String),
    /// The worker is lost (-31003), and what the node says of the execution.
    WorkerLost { executed: String },
    /// It is stopped, as its client wished.
    Cancelled,
    /// Anything else.
    Other(String),
}

/// The worker's tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// Answers at once.
    Echo,
    /// Reports while it works.
    Work,
    /// The same; may run twice.
    WorkAgain,
    /// Works until nobody wants it any more.
    Wait,
    /// Asks, and works between questions.
    Ask,
    /// Works as a task.
    Job,
    /// Asks as a task.
    JobAsks,
    /// Changes a resource.
    Touch,
}

impl Tool {
    pub fn name(self) -> &'static str {
        match self {
            Tool::Echo => "echo",
            Tool::Work => "work",
            Tool::WorkAgain => "work_again",
            Tool::Wait => "wait",
            Tool::Ask => "ask",
            Tool::Job => "job",
            Tool::JobAsks => "job_asks",
            Tool::Touch => "touch",
        }
    }

    pub fn is_idempotent(self) -> bool {
        self == Tool::WorkAgain
    }

    /// Whether a run may be kept before its client has a handle: parked, or as a task.
    pub fn may_be_kept(self) -> bool {
        matches!(self, Tool::Ask | Tool::Job | Tool::JobAsks)
    }
}
