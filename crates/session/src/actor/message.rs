//! What reaches a live session, and the face it shows.

use std::sync::Arc;

use bytes::Bytes;
use metrics::Counter;
use ostler_actor::{Address, Reply};
use ostler_auth::KeyRing;
use ostler_dispatch::{CallStream, workers::Workers};
use ostler_env::Env;
use ostler_protocol::{
    RequestId,
    call::{CallEvent, LogLevel},
    inbound::ClientError,
    json::Raw,
};
use ostler_types::{CallId, CallKind, InstanceEpoch, Principal, Timestamp, WorkerId};

use crate::{
    SessionError, SessionFacts, TaskRef,
    actor::watches::Unwatched,
    book::Book,
    event_id::Binding,
    resources::{Updates, Watch},
    state::News,
    stream::{Bounds, Cursor, Nudge, Writer},
};

/// Where the answer to a message goes, after the turn is stored.
pub(crate) type Port = Reply<Result<(), SessionError>>;

/// What must not wait behind data.
pub(crate) enum Control<W: Workers> {
    Adopt(Box<Adopt<W>>),
    Cancelled {
        id: RequestId,
        reply: Port,
    },
    /// A worker named this call: claim it.
    Claim {
        call: CallId,
        reply: Port,
    },
    /// Its worker is another process now, this one: what ran in an older one is lost.
    Lost {
        call: CallId,
        worker: WorkerId,
        instance: InstanceEpoch,
    },
    End {
        reply: Port,
    },
    /// Streams are closed; calls go on.
    Drain,
    /// The node goes down: stop, with everything stored.
    Stop,
}

pub(crate) enum Data {
    Told {
        told: Told,
        reply: Port,
    },
    Join {
        join: Join,
        writer: Writer,
        reply: Port,
    },
    /// Subscriptions that could not be watched before, and their watches.
    WatchAgain(Vec<Watch>),
    News(News),
    /// The session is in use and its row should say so.
    Touch,
}

pub(crate) enum Told {
    Initialized,
    SetLevel(LogLevel),
    /// With the watch that the caller was permitted.
    Subscribe {
        uri: String,
        updates: Updates,
    },
    Unsubscribe(String),
    Answered {
        id: RequestId,
        result: Result<Raw, ClientError>,
    },
    /// A whole response, for the one stream.
    Say(Bytes),
}

pub(crate) enum Join {
    Listen,
    Resume(Cursor),
}

/// The running calls of one POST move to the session.
pub(crate) struct Adopt<W: Workers> {
    pub calls: Vec<AdoptedCall<W>>,
    /// Answers to others of the same POST.
    pub answered: Vec<Bytes>,
    pub writer: Option<Writer>,
}

/// One of them.
pub(crate) struct AdoptedCall<W: Workers> {
    pub call: CallStream<W>,
    pub request: RequestId,
    pub kind: CallKind,
    pub target: String,
    pub progress_token: Option<Raw>,
    pub task: Option<TaskRef>,
    pub backlog: Vec<CallEvent>,
}

/// What the directory hands out.
pub(crate) struct Handle<W: Workers> {
    pub env: Env,
    pub keys: Arc<KeyRing>,
    pub facts: SessionFacts,
    pub principal: Principal,
    /// Past this the session is over, used or not.
    pub age_ends: Timestamp,
    pub binding: Binding,
    pub address: Address<Control<W>, Data>,
    pub book: Arc<Book>,
    pub nudge: Arc<Nudge>,
    pub unwatched: Arc<Unwatched>,
    pub bounds: Bounds,
    /// Counts event ids that are none.
    pub resume_gaps: Counter,
}
