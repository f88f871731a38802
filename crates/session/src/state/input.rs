//! Everything that can reach the machine.

use std::sync::Arc;

use ostler_hub::Placement;
use ostler_protocol::{
    RequestId,
    call::{CallEvent, LogLevel},
    inbound::ClientError,
    json::Raw,
};

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
        stream: StreamId,
        event: CallEvent,
    },
    /// The call of this stream was found again at its worker.
    Claimed {
        stream: StreamId,
    },
    /// The call of this stream runs elsewhere now.
    Moved {
        stream: StreamId,
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
    /// Nobody reads the standalone stream; up to where it was read, as far as is known.
    ListenerGone {
        taken: Option<Place>,
    },
    Resume {
        arrival: usize,
        cursor: Cursor,
    },
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

/// A running call that moves to the session.
#[derive(Debug, Clone)]
pub(crate) struct Adoption {
    pub arrival: usize,
    pub facts: CallFacts,
    /// The client cancelled it on the way here.
    pub cancelled: bool,
    /// What it said so far.
    pub backlog: Vec<CallEvent>,
}
