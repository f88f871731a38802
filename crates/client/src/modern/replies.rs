//! What comes back for one modern request: a body, a stream of its own, or its part of a pipe.

use bytes::Bytes;
use ostler_protocol::{Raw, RequestId};

use crate::{
    error::{Error, protocol},
    http::Reply,
    json,
    message::{self, Message},
    news::Messages,
    pipe::Piped,
    switch::{Flight, Inbox, Item},
};

/// Dropped before its response came, the server is told: a stream of its own closes ([MS-3]), on a
/// pipe it must be said.
pub(super) struct Replies<'a> {
    id: u64,
    source: Source<'a>,
}

enum Source<'a> {
    Whole(Option<Message>),
    Stream(Box<Messages>),
    Pipe(Shared<'a>),
}

struct Shared<'a> {
    piped: &'a Piped,
    inbox: Inbox,
    id: u64,
    is_over: bool,
}

impl<'a> Replies<'a> {
    pub(super) async fn read(id: u64, reply: Reply) -> Result<Replies<'a>, Error> {
        let source = match reply.is_stream() {
            true => Source::Stream(Box::new(Messages::new(reply.events()))),
            false => {
                let mut messages = message::read(reply.bytes().await?)?.into_iter();
                match (messages.next(), messages.next()) {
                    (Some(only @ Message::Response { .. }), None) => Source::Whole(Some(only)),
                    _ => return protocol("the body is no response"),
                }
            }
        };
        Ok(Replies { id, source })
    }

    pub(super) async fn piped(
        piped: &'a Piped,
        flight: Flight,
        body: Bytes,
    ) -> Result<Replies<'a>, Error> {
        let id = flight.id;
        let inbox = piped.request(flight, body).await?;
        let shared = Shared {
            piped,
            inbox,
            id,
            is_over: false,
        };
        let source = Source::Pipe(shared);
        Ok(Replies { id, source })
    }

    pub(super) fn is_stream(&self) -> bool {
        !matches!(self.source, Source::Whole(_))
    }

    // Cancel safe: what was read is kept.
    pub(super) async fn next_message(&mut self) -> Result<Option<Message>, Error> {
        match &mut self.source {
            Source::Whole(message) => Ok(message.take()),
            Source::Stream(messages) => messages.next_message().await,
            Source::Pipe(shared) => loop {
                let item = shared.inbox.next().await;
                shared.is_over |= is_over(&item);
                match item? {
                    Item::Message(message) => return Ok(Some(message)),
                    // Of questions, which no modern server sends.
                    Item::Notice(_) => {}
                }
            },
        }
    }

    /// Checks whose response it is. An error may leave the id out ([RPC-3]).
    pub(super) fn settle(&self, of: Option<RequestId>) -> Result<(), Error> {
        match of {
            Some(of) if of != RequestId::number(self.id) => {
                protocol("a response to another request")
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether the server knows already that nothing more is waited for: it answered, or ended a
/// listen.
fn is_over(item: &Result<Item, Error>) -> bool {
    match item {
        Err(_) | Ok(Item::Message(Message::Response { .. })) => true,
        Ok(Item::Message(Message::Notification { method, .. })) => {
            method == "notifications/cancelled"
        }
        Ok(Item::Message(Message::Request { .. }) | Item::Notice(_)) => false,
    }
}

impl Drop for Shared<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let params = [("requestId", RequestId::number(self.id).to_raw())];
            let params: Raw = json::object(params);
            let notice = message::notification("notifications/cancelled", Some(params));
            self.piped.say(notice);
        }
    }
}
