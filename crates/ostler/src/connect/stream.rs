//! What the remote sends, read to its end: bodies, and streams that are taken up again where they
//! broke ([SSE-5]).

use std::time::Duration;

use ostler_client::{Error, EventStream, Reply, RpcError, text_member};
use ostler_protocol::{
    Raw, RequestId,
    sse::decode::{Event, Frame},
};

use super::{
    message::Kind,
    session::Session,
    shared::{Shared, received},
    trouble,
};

/// A stream and where to take it up.
pub struct Reading<'a> {
    shared: &'a Shared,
    /// Where the rest is fetched; what belongs to no session is not taken up again ([MS-5]), nor is
    /// the stream of a pair, which is its session.
    session: Option<&'a Session>,
    /// The request whose answer ends it; without one it goes on as long as its session.
    of: Option<&'a RequestId>,
    last_id: Option<String>,
    retry: Option<Duration>,
    /// Since it last gave a sign of life.
    attempts: u32,
    /// Since its last message.
    polls: u32,
}

enum End {
    Answered,
    Over,
}

impl<'a> Reading<'a> {
    pub fn new(
        shared: &'a Shared,
        session: Option<&'a Session>,
        of: Option<&'a RequestId>,
    ) -> Self {
        Self {
            shared,
            session,
            of,
            last_id: None,
            retry: None,
            attempts: 0,
            polls: 0,
        }
    }

    /// The stream of a session that belongs to no request.
    pub async fn begin(&mut self, session: &Session) -> Result<EventStream, Error> {
        match session.get(None).await {
            Err(error) if trouble::may_repeat(&error, true) => self.take_up().await,
            got => got,
        }
    }

    /// Delivers what comes until its request is answered; an error says why it never will be.
    pub async fn carry(&mut self, mut events: EventStream) -> Result<(), Error> {
        let env = &self.shared.env;
        loop {
            let opened = env.now();
            match self.read(&mut events).await {
                Ok(End::Answered) => return Ok(()),
                Ok(End::Over) | Err(Error::Broken { .. }) => {}
                Err(error) => return Err(error),
            }
            if env.now().since(opened) >= self.shared.limits.retry_max {
                // It was quiet, but it was there: proxies cut such streams.
                self.attempts = 0;
            }
            drop(events);
            events = self.take_up().await?;
        }
    }

    async fn read(&mut self, events: &mut EventStream) -> Result<End, Error> {
        while let Some(frame) = events.next_frame().await? {
            let Frame::Event(event) = frame else { continue };
            self.note(&event);
            if is_message(&event) {
                (self.attempts, self.polls) = (0, 0);
                self.shared
                    .deliver(event.data, self.session, self.of)
                    .await?;
                let is_open = |id| self.shared.flights.is_open(id);
                if self.of.is_some_and(|id| !is_open(id)) {
                    return Ok(End::Answered);
                }
            }
        }
        Ok(End::Over)
    }

    fn note(&mut self, event: &Event) {
        if let Some(id) = &event.id {
            // An empty id takes the last one back: there is nowhere to come back to.
            self.last_id = Some(id.clone()).filter(|id| !id.is_empty());
            self.attempts = 0;
        }
        self.retry = event.retry_ms.map(Duration::from_millis).or(self.retry);
    }

    fn may_resume(&self, session: &Session) -> bool {
        !session.is_pair && (self.last_id.is_some() || self.of.is_none())
    }

    /// Fetches the rest. What a request waits for is given up after a while; the stream of a
    /// session is not, as long as the session is there.
    async fn take_up(&mut self) -> Result<EventStream, Error> {
        let is_of_request = self.of.is_some();
        let session = match self.session {
            Some(session) if self.may_resume(session) => session,
            _ => return Err(lost("the stream ended before the result")),
        };
        let limits = &self.shared.limits;
        while !is_of_request
            || (self.attempts < limits.resumptions_max && self.polls < limits.polls_max)
        {
            let pause = limits.pause(self.retry, self.attempts);
            self.shared.env.sleep(pause).await;
            (self.attempts, self.polls) = (self.attempts + 1, self.polls.saturating_add(1));
            match session.get(self.last_id.as_deref()).await {
                Ok(events) => return Ok(events),
                Err(error) if trouble::may_repeat(&error, true) => {}
                // Too much was missed; what comes from now on is better than nothing.
                Err(Error::Rpc(_) | Error::Status { .. })
                    if !is_of_request && self.last_id.is_some() =>
                {
                    self.last_id = None;
                }
                // A session that is gone is opened anew by whoever reads.
                Err(Error::SessionGone) => return Err(Error::SessionGone),
                // It began: whatever is wrong now says nothing of that.
                Err(error) if is_of_request => {
                    return Err(lost(&format!("the rest of the answer is refused: {error}")));
                }
                Err(error) => return Err(error),
            }
        }
        Err(lost("the stream could not be taken up again"))
    }
}

pub fn lost(reason: &str) -> Error {
    Error::Broken {
        reason: reason.to_owned(),
    }
}

/// Events without data say nothing ([SSE-2]).
pub fn is_message(event: &Event) -> bool {
    let is_named_so = event.name.as_deref().is_none_or(|name| name == "message");
    is_named_so && !event.data.is_empty()
}

/// The response in an answer to a request of our own; what comes with it is for the host.
pub async fn response(shared: &Shared, reply: Reply) -> Result<Raw, Error> {
    if reply.is_stream() {
        return response_on(shared, &mut reply.events()).await;
    }
    let bytes = reply.bytes().await?;
    let found = response_in(shared, bytes).await?;
    found.ok_or_else(|| Error::Protocol("the body is no response".to_owned()))
}

/// The same on a stream.
pub async fn response_on(shared: &Shared, events: &mut EventStream) -> Result<Raw, Error> {
    while let Some(frame) = events.next_frame().await? {
        let Frame::Event(event) = frame else { continue };
        if is_message(&event)
            && let Some(response) = response_in(shared, event.data).await?
        {
            return Ok(response);
        }
    }
    Err(lost("the stream ended before the result"))
}

async fn response_in(shared: &Shared, bytes: bytes::Bytes) -> Result<Option<Raw>, Error> {
    let mut response = None;
    for message in received(bytes)? {
        match &message.kind {
            Kind::Response { .. } => response = Some(message.raw),
            // Nobody asks before it is answered.
            Kind::Request { .. } => {}
            Kind::Notification { .. } => shared.deliver_one(message, None).await,
        }
    }
    Ok(response)
}

/// The result of a response, or its error.
pub fn result(response: &Raw) -> Result<Raw, Error> {
    if let Some(result) = response.get("result") {
        return Ok(result);
    }
    let error = response.get("error").unwrap_or_default();
    let code = error.get("code").and_then(|code| code.to::<i64>().ok());
    match (code, text_member(&error, "message")) {
        (Some(code), Some(message)) => Err(Error::Rpc(RpcError {
            code,
            message,
            data: error.get("data"),
        })),
        _ => Err(Error::Protocol(
            "an error without code or message".to_owned(),
        )),
    }
}

pub fn no_answer() -> Error {
    Error::Protocol("a request is answered by something other than its response".to_owned())
}
