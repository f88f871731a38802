//! What the edge does with a session while it holds one.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ostler_actor::{AskError, Held, NotSent, Reply};
use ostler_dispatch::{CallControl, CallStream, workers::Workers};
use ostler_hub::Hub;
use ostler_protocol::{
    RequestId, Revision,
    call::{CallEvent, LogLevel},
    facet::ClientFacet,
    fault::Fault,
    inbound::ClientError,
    json::Raw,
};
use ostler_types::{
    CallKind, Caller, Instant, ServerId, SessionAlias, SessionId, Shard, Timestamp,
};

use crate::{
    SessionError, StreamReader,
    actor::{Adopt, AdoptedCall, Control, Data, Handle, Join, Port, Told},
    book::{Booking, Cancelled},
    event_id,
    resources::Resources,
    stream,
};

/// What never changes about a session.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    /// What `initialize` agreed on; later version headers change nothing [LIF-5].
    pub revision: Revision,
    pub facet: ClientFacet,
    pub server: ServerId,
    pub alias: SessionAlias,
}

/// A request that will become a call.
pub struct NewRequest {
    pub id: RequestId,
    pub kind: CallKind,
    /// Tool name, prompt name or URI; names a missing resource in its error.
    pub target: String,
    pub progress_token: Option<Raw>,
    pub control: CallControl,
    /// Set when the call is to be that of a task.
    pub task: Option<TaskRef>,
}

/// The task whose result a request waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRef {
    /// The handle, as the client has it.
    pub handle: String,
    /// When the task goes: until then the request may wait.
    pub deadline: Timestamp,
    /// When the request came.
    pub since: Timestamp,
}

/// A booked request. Dropping it is `finish`: the id is free again.
pub struct Ticket {
    booking: Booking,
    kind: CallKind,
    target: String,
    progress_token: Option<Raw>,
    log_level: LogLevel,
    task: Option<TaskRef>,
}

impl Ticket {
    /// The session's level when the request came: what lies below need not make a stream [P-4].
    pub fn log_level(&self) -> LogLevel {
        self.log_level
    }

    pub fn progress_token(&self) -> Option<&Raw> {
        self.progress_token.as_ref()
    }

    pub fn id(&self) -> &RequestId {
        self.booking.id()
    }
}

/// A booked request whose call runs, and what the call said so far.
pub struct RunningCall<W: Workers = Hub> {
    pub ticket: Ticket,
    pub call: CallStream<W>,
    pub backlog: Vec<CallEvent>,
}

impl<W: Workers> RunningCall<W> {
    fn hand_over(self) -> AdoptedCall<W> {
        let RunningCall {
            ticket,
            call,
            backlog,
        } = self;
        AdoptedCall {
            call,
            request: ticket.booking.hand_over(),
            kind: ticket.kind,
            target: ticket.target,
            progress_token: ticket.progress_token,
            task: ticket.task,
            backlog,
        }
    }
}

/// Whether the request's connection is still there to read the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Attached,
    None,
}

/// A live session and the right of one caller to use it. Dropping it lets the session sleep.
pub struct HeldSession<W: Workers = Hub> {
    handle: Held<Handle<W>>,
    caller: Caller,
    resources: Arc<dyn Resources>,
}

impl<W: Workers> Clone for HeldSession<W> {
    fn clone(&self) -> Self {
        HeldSession {
            handle: self.handle.clone(),
            caller: self.caller.clone(),
            resources: self.resources.clone(),
        }
    }
}

/// How long a message waits for room in the session's mailbox and for its commit.
const PATIENCE: Duration = Duration::from_secs(10);

/// Subscriptions are part of the session's row.
const URI_BYTES_MAX: usize = 2 << 10;

impl<W: Workers> HeldSession<W> {
    pub(crate) fn new(
        handle: Held<Handle<W>>,
        caller: Caller,
        resources: Arc<dyn Resources>,
    ) -> Self {
        HeldSession {
            handle,
            caller,
            resources,
        }
    }

    pub fn facts(&self) -> &SessionFacts {
        &self.handle.facts
    }

    /// Tasks that this session asks for know it by its id.
    pub fn id(&self) -> SessionId {
        self.handle.binding.session
    }

    /// Where ids of this session's calls must be minted, so that its owner is found by them.
    pub fn shard(&self) -> Shard {
        self.handle.binding.session.shard()
    }

    /// Books a request in flight; stores nothing.
    pub fn begin(&self, request: NewRequest) -> Result<Ticket, SessionError> {
        let book = &self.handle.book;
        let log_level = book.enter(&request.id, Some(request.control))?;
        Ok(Ticket {
            booking: Booking::new(book.clone(), request.id),
            kind: request.kind,
            target: request.target,
            progress_token: request.progress_token,
            log_level,
            task: request.task,
        })
    }

    /// The outcome went out as one message; nothing was stored.
    pub fn finish(&self, ticket: Ticket) {
        drop(ticket);
    }

    /// Moves the running calls of one POST to the session: they are kept, get a stream that can be
    /// resumed, and go on whether or not anybody reads [CAN-2]. `answered` are answers to others of
    /// the same POST.
    ///
    /// Calls that the session cannot take are cancelled.
    pub fn adopt(
        &self,
        calls: Vec<RunningCall<W>>,
        answered: Vec<Bytes>,
        reader: Reader,
    ) -> Result<Option<StreamReader>, SessionError> {
        let (writer, stream) = match reader {
            Reader::Attached => Some(self.pair()).unzip(),
            Reader::None => (None, None),
        };
        let calls: Vec<_> = calls.into_iter().map(RunningCall::hand_over).collect();
        let requests: Vec<_> = calls.iter().map(|call| call.request.clone()).collect();
        let adopt = Adopt {
            calls,
            answered,
            writer,
        };
        match self.handle.address.control(Control::Adopt(Box::new(adopt))) {
            Ok(()) => Ok(stream),
            Err(not_sent) => {
                let book = &self.handle.book;
                requests.iter().for_each(|request| book.remove(request));
                Err(self.not_sent(&not_sent))
            }
        }
    }

    /// Puts a whole response on the stream of a session that has only one.
    pub async fn say(&self, response: Bytes) -> Result<(), SessionError> {
        self.tell(Told::Say(response)).await
    }

    /// The client answers a request of ours [S2C-2]; one that nobody waits for is dropped.
    pub async fn answer(
        &self,
        id: RequestId,
        result: Result<Raw, ClientError>,
    ) -> Result<(), SessionError> {
        self.tell(Told::Answered { id, result }).await
    }

    /// The client no longer wants this answer [CAN-1]. Never an error for the client.
    pub async fn cancelled(
        &self,
        id: RequestId,
        reason: Option<String>,
    ) -> Result<(), SessionError> {
        let reason = reason.unwrap_or_else(|| "cancelled by the client".to_owned());
        match self.handle.book.cancel(&id, &reason) {
            Cancelled::Here | Cancelled::Unknown => Ok(()),
            Cancelled::ByActor => self.control(|reply| Control::Cancelled { id, reply }).await,
        }
    }

    /// `notifications/initialized` [LIF-7].
    pub async fn initialized(&self) -> Result<(), SessionError> {
        self.tell(Told::Initialized).await
    }

    /// `logging/setLevel`; holds for running calls too [P-4].
    pub async fn set_level(&self, level: LogLevel) -> Result<(), SessionError> {
        self.tell(Told::SetLevel(level)).await
    }

    /// `resources/subscribe`: for what this caller may read.
    pub async fn subscribe(&self, uri: String) -> Result<(), SessionError> {
        if uri.len() > URI_BYTES_MAX {
            let problem = format!("a subscribed uri must have at most {URI_BYTES_MAX} bytes");
            return Err(SessionError::Refused(Fault::InvalidParams(problem)));
        }
        let server = &self.handle.facts.server;
        let updates = self.resources.watch(&self.caller, server, &uri);
        let updates = updates.map_err(|refusal| SessionError::Refused(refusal.into()))?;
        self.tell(Told::Subscribe { uri, updates }).await
    }

    pub async fn unsubscribe(&self, uri: String) -> Result<(), SessionError> {
        self.tell(Told::Unsubscribe(uri)).await
    }

    /// `notifications/roots/list_changed`: no roots are cached, so there is nothing to forget;
    /// the session counts as used [S2C-8].
    pub async fn roots_changed(&self) -> Result<(), SessionError> {
        Ok(())
    }

    /// Ends the session: its calls are cancelled, its streams close, its rows go [SES-5].
    pub async fn end(&self) -> Result<(), SessionError> {
        self.control(|reply| Control::End { reply }).await
    }

    /// The standalone stream; the newest listener wins [SSE-9].
    pub async fn listen(&self) -> Result<StreamReader, SessionError> {
        self.join(Join::Listen).await
    }

    /// Goes on after an event of whatever stream the id names [SSE-5].
    pub async fn resume(&self, last_event_id: &str) -> Result<StreamReader, SessionError> {
        let Handle { keys, binding, .. } = &*self.handle;
        let cursor = event_id::decode(keys, binding, last_event_id);
        let Some(cursor) = cursor else {
            self.handle.resume_gaps.increment(1);
            return Err(SessionError::ResumeGap { oldest: None });
        };
        self.join(Join::Resume(cursor)).await
    }

    fn pair(&self) -> (stream::Writer, StreamReader) {
        stream::pair(self.handle.bounds, &self.handle.nudge)
    }

    async fn join(&self, join: Join) -> Result<StreamReader, SessionError> {
        let (writer, reader) = self.pair();
        self.data(|reply| Data::Join {
            join,
            writer,
            reply,
        })
        .await?;
        Ok(reader)
    }

    async fn tell(&self, told: Told) -> Result<(), SessionError> {
        self.data(|reply| Data::Told { told, reply }).await
    }

    async fn data(&self, question: impl FnOnce(Port) -> Data) -> Result<(), SessionError> {
        let env = &self.handle.env;
        let answer = self
            .handle
            .address
            .ask(env, self.patience(), question)
            .await;
        answer.unwrap_or_else(|error| Err(self.unanswered(error)))
    }

    async fn control(&self, question: impl FnOnce(Port) -> Control<W>) -> Result<(), SessionError> {
        let (reply, answer) = Reply::new();
        let sent = self.handle.address.control(question(reply));
        sent.map_err(|not_sent| self.not_sent(&not_sent))?;
        let answer = self.handle.env.until(self.patience(), answer).await;
        let answer = answer.ok_or(AskError::Deadline);
        let answer = answer.and_then(|answer| answer.map_err(|_| AskError::Closed));
        answer.unwrap_or_else(|error| Err(self.unanswered(error)))
    }

    fn patience(&self) -> Instant {
        self.caller.deadline.min(self.handle.env.now() + PATIENCE)
    }

    fn not_sent<M>(&self, not_sent: &NotSent<M>) -> SessionError {
        match not_sent {
            NotSent::Full(_) => self.unanswered(AskError::Full),
            NotSent::Closed(_) => self.unanswered(AskError::Closed),
        }
    }

    fn unanswered(&self, error: AskError) -> SessionError {
        let retry_after = Duration::from_secs(1);
        match error {
            AskError::Closed if self.handle.book.is_ended() => SessionError::Unknown,
            AskError::Full | AskError::Closed | AskError::Deadline => {
                SessionError::Busy { retry_after }
            }
        }
    }
}
