//! What the machine wants done: writes first, acts once they are stored.

use std::sync::Arc;

use bytes::Bytes;
use ostler_protocol::{RequestId, call::Answer, fault::Fault};
use ostler_types::CallId;

use crate::{
    state::{AskId, Asked, CallFacts},
    stream::{Chatter, Cursor, Place, StreamId},
};

/// The effects of one turn.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// One batch: all or nothing.
    pub writes: Vec<Write>,
    /// In order, and only after the batch is stored.
    pub acts: Vec<Act>,
    /// The session is over: all its rows go, and the actor stops.
    pub end: bool,
}

impl Effects {
    pub fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    pub fn act(&mut self, act: Act) {
        self.acts.push(act);
    }
}

/// One change of the store.
#[derive(Debug)]
pub(crate) enum Write {
    /// The session's own row, as the machine stands at the end of the turn.
    Session,
    Call {
        stream: StreamId,
        facts: CallFacts,
    },
    /// The call has ended. An outcome that comes again finds nobody, and is forgotten.
    DropCall {
        call: CallId,
    },
    Event {
        stream: StreamId,
        place: Place,
        /// Empty: a priming event, or the end of a stream whose last request was cancelled.
        data: Bytes,
        last: bool,
    },
    /// The stream has more events than are kept.
    DropEvent {
        stream: StreamId,
        place: Place,
    },
    Question {
        call: CallId,
        id: AskId,
        asked: Asked,
    },
    DropQuestion {
        call: CallId,
        id: AskId,
    },
}

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Act {
    /// The calls that arrived get this stream; their reader, if there is one, reads it.
    Keep {
        stream: StreamId,
        arrival: usize,
    },
    /// The calls that arrived cannot be taken: their reader is told, they are cancelled.
    Refuse {
        arrival: usize,
        fault: Fault,
    },
    /// A stored event goes to the stream's reader.
    Show {
        stream: StreamId,
        place: Place,
        data: Bytes,
    },
    /// What is not stored goes to the stream's reader, if there is one and it has room.
    Chat {
        stream: StreamId,
        chatter: Chatter,
        data: Bytes,
    },
    /// Nothing follows on this stream.
    Complete {
        stream: StreamId,
    },
    /// The request's id may be used again.
    Release {
        request: RequestId,
    },
    Answer {
        call: CallId,
        answer: Answer,
    },
    Cancel {
        call: CallId,
        reason: &'static str,
    },
    /// The outcome is safe: the worker may forget it. The call is let go of.
    Recorded {
        call: CallId,
    },
    /// The reader that arrived is the standalone one now; an older one is told to come back.
    Listen {
        arrival: usize,
    },
    /// The reader that arrived gets what follows its cursor, and then what comes.
    Replay {
        cursor: Cursor,
        live: bool,
        arrival: usize,
    },
    Watch {
        uri: Arc<str>,
        arrival: usize,
    },
    /// The call waits for a person: it may run longer.
    Extend {
        call: CallId,
    },
    Unwatch {
        uri: Arc<str>,
    },
    /// The stream's reader, if there is one, is told to come back later, at a time of its own.
    ComeBack {
        stream: StreamId,
    },
    Count(Counted),
}

/// What is worth counting and only the machine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// An answer to nothing we asked, or to what was answered already.
    AnswerUnmatched,
    AnswerInvalid,
    QuestionAsked,
    QuestionUnsupported,
    QuestionTimedOut,
    /// Progress or logs beyond the rate that is relayed.
    ChatterDropped,
}
