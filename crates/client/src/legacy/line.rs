//! How messages reach the server, and where its answers come from.

use std::sync::Arc;

use bytes::Bytes;
use ostler_protocol::{Raw, Revision, sse::decode::Frame};
use parking_lot::Mutex;

use super::replies::Replies;
use crate::{
    error::{Error, protocol},
    events::EventStream,
    http::{Http, Reply, Verb},
    message,
    news::Messages,
};

/// The way to a server, with what each request must carry.
pub(crate) struct Line {
    pub http: Http,
    pub session: Option<String>,
    /// Known from `initialize` on.
    pub revision: Option<Revision>,
    pub transport: Transport,
}

/// Which of the two legacy transports it is.
pub(crate) enum Transport {
    Streamable,
    Pair(Box<Pair>),
}

/// The two endpoints of 2024-11-05: messages go to one, everything comes from the other ([A-1]).
pub(crate) struct Pair {
    messages: Http,
    stream: Arc<Mutex<Option<Messages>>>,
}

/// The only stream of a pair, taken by one request and given back when it ends.
pub(super) struct Borrowed {
    stream: Option<Messages>,
    home: Arc<Mutex<Option<Messages>>>,
}

impl Line {
    pub(super) fn streamable(http: Http) -> Line {
        Line {
            http,
            session: None,
            revision: None,
            transport: Transport::Streamable,
        }
    }

    /// Opens the stream of 2024-11-05 and waits for where to send messages, all in its time: what
    /// is no MCP server may answer a GET never.
    pub(super) async fn pair(http: Http) -> Result<Line, Error> {
        let until = http.env.now() + http.limits.endpoint_max;
        match http.env.clone().until(until, open_pair(http)).await {
            Some(opened) => opened,
            None => protocol("the stream names no endpoint in time"),
        }
    }

    /// Sends a request; its response is among the replies.
    pub(super) async fn request(&self, body: Bytes) -> Result<Replies, Error> {
        match &self.transport {
            Transport::Streamable => {
                let reply = self.post(body).await?;
                Replies::read(reply, self.http.env.now()).await
            }
            Transport::Pair(pair) => {
                let replies = pair.borrow()?;
                self.tell(body).await?;
                Ok(Replies::pair(replies))
            }
        }
    }

    /// Sends a message that is not answered.
    pub(super) async fn tell(&self, body: Bytes) -> Result<(), Error> {
        self.post(body).await.map(drop)
    }

    /// Sends a message. Anything but success is an error.
    pub(super) async fn post(&self, body: Bytes) -> Result<Reply, Error> {
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        let reply = self.send(Verb::Post, &headers, body).await?;
        match reply.status() {
            200..=299 => Ok(reply),
            // A session that is gone says so ([SES-2]).
            404 if self.session.is_some() => Err(Error::SessionGone),
            _ => Err(reply.refusal().await),
        }
    }

    /// The stream for what belongs to no request, or what is left of one that broke off.
    pub(super) async fn get(&self, last_event_id: Option<&str>) -> Result<Messages, Error> {
        let mut headers = vec![("accept", "text/event-stream".to_owned())];
        if let Some(id) = last_event_id {
            headers.push(("last-event-id", id.to_owned()));
        }
        let reply = match self.send(Verb::Get, &headers, Bytes::new()).await {
            // The only header here that the caller did not give.
            Err(Error::Header { name }) if name == "last-event-id" => {
                return protocol("an event id that no header can carry");
            }
            sent => sent?,
        };
        match reply.status() {
            200 if reply.is_stream() => Ok(Messages::new(reply.events())),
            200 => protocol("a GET is answered by something other than a stream"),
            404 if self.session.is_some() => Err(Error::SessionGone),
            405 if last_event_id.is_some() => Err(lost("nothing is taken up again here")),
            405 => Err(Error::NotOffered("a stream of its own (GET)")),
            _ => Err(reply.refusal().await),
        }
    }

    pub(crate) async fn send(
        &self,
        verb: Verb,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> Result<Reply, Error> {
        let session = self.session.iter().map(|id| ("mcp-session-id", id.clone()));
        let revision = self
            .revision
            .filter(|revision| revision.has_version_header());
        let revision = revision.map(|r| ("mcp-protocol-version", r.as_str().to_owned()));
        let headers: Vec<_> = headers
            .iter()
            .cloned()
            .chain(session)
            .chain(revision)
            .collect();
        let http = match &self.transport {
            Transport::Streamable => &self.http,
            Transport::Pair(pair) => &pair.messages,
        };
        http.send(verb, &headers, body).await
    }

    /// `notifications/initialized`, or any other notification without parameters.
    pub(super) async fn notify(&self, method: &str, params: Option<Raw>) -> Result<(), Error> {
        self.tell(message::notification(method, params)).await
    }
}

async fn open_pair(http: Http) -> Result<Line, Error> {
    let headers = [("accept", "text/event-stream".to_owned())];
    let reply = http.send(Verb::Get, &headers, Bytes::new()).await?;
    if reply.status() != 200 {
        return Err(reply.refusal().await);
    }
    if !reply.is_stream() {
        return protocol("a GET is answered by something other than a stream");
    }
    let mut events = reply.events();
    let messages = http.at(&endpoint(&mut events).await?)?;
    let pair = Pair {
        messages,
        stream: Arc::new(Mutex::new(Some(Messages::new(events)))),
    };
    Ok(Line {
        http,
        session: None,
        revision: None,
        transport: Transport::Pair(Box::new(pair)),
    })
}

/// What a stream still had to say will not come.
pub(super) fn lost(reason: &str) -> Error {
    Error::Broken {
        reason: reason.to_owned(),
    }
}

/// Where messages go: the first event of the stream.
async fn endpoint(events: &mut EventStream) -> Result<String, Error> {
    let first = loop {
        match events.next_frame().await? {
            None => return protocol("the stream ended without an endpoint event"),
            Some(Frame::Comment) => {}
            Some(Frame::Event(event)) => break event,
        }
    };
    let reference = std::str::from_utf8(&first.data).unwrap_or_default();
    match first.name.as_deref() {
        Some("endpoint") if !reference.is_empty() => Ok(reference.to_owned()),
        _ => protocol("the stream does not begin with an endpoint event"),
    }
}

impl Pair {
    pub(super) fn borrow(&self) -> Result<Borrowed, Error> {
        let stream = self.stream.lock().take();
        match stream {
            Some(stream) => Ok(Borrowed {
                stream: Some(stream),
                home: self.stream.clone(),
            }),
            None => Err(Error::NotOffered("two requests at once (HTTP+SSE)")),
        }
    }
}

impl Borrowed {
    pub(super) fn get(&mut self) -> &mut Messages {
        self.stream.as_mut().expect("it is given back only by drop")
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        *self.home.lock() = self.stream.take();
    }
}
