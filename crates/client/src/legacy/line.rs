//! How messages reach the server, and where its answers come from.

use bytes::Bytes;
use ostler_protocol::{Raw, Revision};

use super::{pair::Pair, replies::Replies};
use crate::{
    code,
    error::{Error, protocol},
    http::{Http, Reply, Verb},
    message::{self, Message},
    news::Messages,
    pace::{Goodbyes, Pace},
    pipe::Piped,
    switch::{Flight, Inbox, Switch},
};

/// The way to a server, with what each request must carry. Clones are the same.
#[derive(Clone)]
pub(crate) struct Line {
    pub pace: Pace,
    /// Sorts what comes where requests are not alone.
    pub switch: Switch,
    pub session: Option<String>,
    /// Known from `initialize` on.
    pub revision: Option<Revision>,
    pub transport: Transport,
}

/// Which of the legacy transports it is.
#[derive(Clone)]
pub(crate) enum Transport {
    /// Each request has a stream of its own; what belongs to none comes on that of a GET.
    Streamable(Box<Http>, Goodbyes),
    /// All share one stream.
    Pair(Box<Pair>),
    /// All share one pipe.
    Pipe(Box<Piped>),
}

impl Line {
    pub(super) fn streamable(http: Box<Http>, goodbyes: Goodbyes) -> Line {
        Line {
            pace: http.pace.clone(),
            switch: Switch::new(&http.pace),
            session: None,
            revision: None,
            transport: Transport::Streamable(http, goodbyes),
        }
    }

    pub(super) fn pipe(piped: Box<Piped>) -> Line {
        Line {
            pace: piped.pace.clone(),
            switch: piped.switch.clone(),
            session: None,
            revision: None,
            transport: Transport::Pipe(piped),
        }
    }

    pub(super) fn pair(pair: Pair, switch: Switch) -> Line {
        Line {
            pace: pair.stream.pace.clone(),
            switch,
            session: None,
            revision: None,
            transport: Transport::Pair(Box::new(pair)),
        }
    }

    /// Sends a request; its response is among the replies.
    pub(super) async fn request(&self, flight: Flight, body: Bytes) -> Result<Replies, Error> {
        match &self.transport {
            Transport::Streamable(..) => {
                let (inbox, reply) = self.begin(flight, body).await?;
                Replies::read(inbox, reply, self.pace.env.now()).await
            }
            // Its response comes on the stream.
            Transport::Pair(_) => {
                let (inbox, _) = self.begin(flight, body).await?;
                Ok(Replies::shared(inbox))
            }
            Transport::Pipe(piped) => Ok(Replies::shared(piped.request(flight, body).await?)),
        }
    }

    /// Posts a request. While the server is at it, what it says elsewhere may be about it.
    async fn begin(&self, flight: Flight, body: Bytes) -> Result<(Inbox, Reply), Error> {
        let id = flight.id;
        let inbox = self.switch.open(flight)?;
        self.switch.begins(id);
        match self.post(body).await {
            Ok(reply) => Ok((inbox, reply)),
            Err(error) => {
                if error.is_over() {
                    inbox.settle();
                }
                Err(error)
            }
        }
    }

    /// Sends a message that is not answered.
    pub(super) async fn tell(&self, body: Bytes) -> Result<(), Error> {
        match &self.transport {
            Transport::Pipe(piped) => piped.tell(body).await,
            Transport::Streamable(..) | Transport::Pair(_) => self.post(body).await.map(drop),
        }
    }

    /// Says something soon, where nobody can wait for it.
    pub(super) fn say(&self, body: Bytes) {
        let goodbyes = match &self.transport {
            Transport::Pipe(piped) => return piped.say(body),
            Transport::Streamable(_, goodbyes) => goodbyes,
            Transport::Pair(pair) => &pair.goodbyes,
        };
        let line = self.clone();
        goodbyes.run(async move {
            // It goes unheard, or not.
            let _ = line.tell(body).await;
        });
    }

    /// Sorts a message that came where any request may be meant.
    pub(super) fn hear(&self, message: Message) {
        for said in self.switch.hear(message) {
            self.say(said);
        }
    }

    /// Posts a message. Anything but success is an error.
    pub(super) async fn post(&self, body: Bytes) -> Result<Reply, Error> {
        let reply = self.send_post(body).await?;
        match reply.status() {
            200..=299 => Ok(reply),
            // A session that is gone says so ([SES-2]).
            404 if self.session.is_some() => Err(Error::SessionGone),
            // Boxed, because it is rare, and would be in every request.
            _ => Err(Box::pin(self.refusal(reply)).await),
        }
    }

    async fn send_post(&self, body: Bytes) -> Result<Reply, Error> {
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
        ];
        self.send(Verb::Post, &headers, body).await
    }

    /// A server that does not know the session may say so in other words than 404. So does one
    /// that speaks the modern era by now. Neither began with the request.
    async fn refusal(&self, reply: Reply) -> Error {
        let is_modern = |code| matches!(code, code::HEADER_MISMATCH | code::UNSUPPORTED_REVISION);
        let status = reply.status();
        let error = match self.session {
            Some(_) => {
                let ping = self.send_post(message::ping(&self.pace.env));
                reply.refusal_or_gone(ping).await
            }
            None => reply.refusal().await,
        };
        match error {
            Error::Rpc(error)
                if status == 400 && self.revision.is_some() && is_modern(error.code) =>
            {
                Error::SessionGone
            }
            error => error,
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
            // Boxed, because it is rare, and would be in every request.
            _ => Err(Box::pin(self.refusal(reply)).await),
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
            Transport::Streamable(http, _) => http,
            Transport::Pair(pair) => &pair.messages,
            Transport::Pipe(_) => return Err(Error::NotOffered("HTTP")),
        };
        http.send(verb, &headers, body).await
    }

    /// `notifications/initialized`, or any other notification without parameters.
    pub(super) async fn notify(&self, method: &str, params: Option<Raw>) -> Result<(), Error> {
        self.tell(message::notification(method, params)).await
    }
}

/// What a stream still had to say will not come.
pub(super) fn lost(reason: &str) -> Error {
    Error::Broken {
        reason: reason.to_owned(),
    }
}
