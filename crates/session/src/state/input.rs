//! Everything that can reach the machine.

use std::sync::Arc;

use bytes::Bytes;
use ostler_hub::Placement;
use ostler_protocol::{
    RequestId,
    call::{CallEvent, LogLevel},
    inbound::ClientError,
    json::Raw,
};
use ostler_types::CallId;

use crate::{
    state::{CallFacts, News, Notice},
    stream::{Cursor, Place, StreamId},
};

/// `arrival` is what came along and the machine cannot hold (a call, a reader): its index among
/// the inputs of the turn. Effects name it by that.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    Initialized,
    SetLevel(LogLevel),
    Adopt(Box<Adoption>),
    Event {
        call: CallId,
        event: CallEvent,
    },
    /// The call was found again at its worker.
    Claimed {
        call: CallId,
    },
    /// The call runs elsewhere now.
    Moved {
        call: CallId,
        placement: Placement,
    },
    Answered {
        id: RequestId,
        result: Result<Raw, ClientError>,
    },
    Cancelled {
        id: RequestId,
    },
    Listen {
        arrival: usize,
    },
    /// The streams that are read now; of all others, no longer or not yet.
    Read(Vec<StreamId>),
    /// Nobody reads the standalone stream; up to where it was read, as far as is known.
    ListenerGone {
        taken: Option<Place>,
    },
    Resume {
        arrival: usize,
        cursor: Cursor,
    },
    /// An answer that is no call's, for a session of one stream.
    Say(Bytes),
    Noticed(Vec<Notice>),
    /// Of a task that this session asked for.
    News(News),
    Subscribe {
        arrival: usize,
        uri: Arc<str>,
    },
    Unsubscribe(Arc<str>),
    Tick,
    Drain,
    End,
}

/// The running calls of one POST move to the session.
#[derive(Debug, Clone)]
pub(crate) struct Adoption {
    pub arrival: usize,
    /// Answers to others of the same POST.
    pub answered: Vec<Bytes>,
    /// At least one.
    pub calls: Vec<Adopted>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Adopted {
    pub facts: CallFacts,
    /// The client cancelled it on the way here.
    pub cancelled: bool,
    /// What it said so far.
    pub backlog: Vec<CallEvent>,
}
