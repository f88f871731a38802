//! What comes back for one request: a body, a stream that may break and be taken up again, or its
//! part of a channel that requests share.

use std::{collections::VecDeque, time::Duration};

use ostler_types::Instant;

use super::line::{Line, lost};
use crate::{
    error::{Error, protocol},
    host::Notice,
    http::Reply,
    message::{self, Message},
    news::Messages,
    switch::{Inbox, Item},
};

pub(super) struct Replies {
    /// What came for it where others are too.
    inbox: Inbox,
    source: Source,
}

enum Source {
    Whole(VecDeque<Message>),
    Stream(Resumable),
    /// What comes there may be for any request.
    Standalone(Resumable),
    /// The inbox is all there is.
    Shared,
}

pub(super) enum Heard {
    Message(Message),
    Notice(Notice),
    /// The stream broke off and was taken up again; nothing of it is lost.
    Resumed,
    End,
}

/// A stream that is fetched again from its last event ([SSE-5]).
pub(super) struct Resumable {
    messages: Option<Messages>,
    opened: Instant,
    /// Of the streams before this one.
    last_id: Option<String>,
    retry: Option<Duration>,
    /// Without an event there is nowhere to take it up; only a listen begins anew then.
    begins_anew: bool,
    /// Since it last gave a sign of life.
    attempts: u32,
    /// Since its last message.
    polls: u32,
}

impl Replies {
    fn from(inbox: Inbox, source: Source) -> Replies {
        Replies { inbox, source }
    }

    pub(super) fn standalone(inbox: Inbox, stream: Resumable) -> Replies {
        Self::from(inbox, Source::Standalone(stream))
    }

    pub(super) fn shared(inbox: Inbox) -> Replies {
        Self::from(inbox, Source::Shared)
    }

    pub(super) async fn read(inbox: Inbox, reply: Reply, now: Instant) -> Result<Replies, Error> {
        if reply.is_stream() {
            let stream = Resumable::new(Messages::new(reply.events()), Anew::Never, now);
            return Ok(Self::from(inbox, Source::Stream(stream)));
        }
        if reply.status() != 200 {
            return protocol(format!("a request is answered by HTTP {}", reply.status()));
        }
        let messages = message::read(reply.bytes().await?)?;
        Ok(Self::from(inbox, Source::Whole(messages.into())))
    }

    /// The server is at work for it no more.
    pub(super) fn settle(self) {
        self.inbox.settle();
    }

    /// Hears on it that this page is done, wherever that is said.
    pub(super) fn awaits(&self, page: String) {
        self.inbox.awaits(page);
    }

    /// The next of them, in order.
    // Cancel safe: a stream that was being taken up again is taken up the next time.
    pub(super) async fn next(&mut self, line: &Line) -> Result<Heard, Error> {
        loop {
            let heard = tokio::select! {
                biased;
                item = self.inbox.next() => return Ok(match item? {
                    Item::Message(message) => Heard::Message(message),
                    Item::Notice(notice) => Heard::Notice(notice),
                }),
                heard = self.source.next(line) => heard?,
            };
            match (heard, &self.source) {
                (Heard::Message(message), Source::Standalone(_)) => line.hear(message),
                (heard, _) => return Ok(heard),
            }
        }
    }
}

impl Source {
    // Cancel safe: see `Resumable::next`.
    async fn next(&mut self, line: &Line) -> Result<Heard, Error> {
        match self {
            Source::Whole(messages) => Ok(messages.pop_front().map_or(Heard::End, Heard::Message)),
            Source::Stream(stream) | Source::Standalone(stream) => stream.next(line).await,
            Source::Shared => std::future::pending().await,
        }
    }
}

/// What to do with a stream that broke before its first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anew {
    Never,
    Always,
}

impl Resumable {
    pub(super) fn new(messages: Messages, anew: Anew, now: Instant) -> Self {
        Self {
            messages: Some(messages),
            opened: now,
            last_id: None,
            retry: None,
            begins_anew: anew == Anew::Always,
            attempts: 0,
            polls: 0,
        }
    }

    // Cancel safe: what is lost is one attempt to take it up again.
    pub(super) async fn next(&mut self, line: &Line) -> Result<Heard, Error> {
        let Some(messages) = &mut self.messages else {
            return self.resume(line).await;
        };
        let heard = messages.next_message().await;
        if messages.last_id.is_some() && messages.last_id != self.last_id {
            self.last_id = messages.last_id.clone();
            // It goes on, but may do so without ever saying anything.
            self.attempts = 0;
        }
        self.retry = messages.retry_ms.map(Duration::from_millis).or(self.retry);
        match heard {
            Ok(Some(message)) => {
                (self.attempts, self.polls) = (0, 0);
                Ok(Heard::Message(message))
            }
            Ok(None) | Err(Error::Broken { .. }) => {
                self.messages = None;
                let pace = &line.pace;
                if pace.env.now().since(self.opened) >= pace.limits.retry_max {
                    // It was quiet, but it was there: proxies cut such streams.
                    self.attempts = 0;
                }
                self.resume(line).await
            }
            Err(error) => Err(error),
        }
    }

    /// Fetches the rest, a bounded number of times in a row.
    async fn resume(&mut self, line: &Line) -> Result<Heard, Error> {
        let limits = &line.pace.limits;
        if self.last_id.is_none() && !self.begins_anew {
            return Err(lost("the stream broke before it could be taken up again"));
        }
        while self.attempts < limits.resumptions_max && self.polls < limits.polls_max {
            let pause = limits.pause(self.retry, self.attempts);
            line.pace.env.sleep(pause).await;
            self.attempts += 1;
            self.polls += 1;
            match line.get(self.last_id.as_deref()).await {
                Ok(messages) => {
                    self.messages = Some(messages);
                    self.opened = line.pace.env.now();
                    return Ok(Heard::Resumed);
                }
                Err(error) if error.may_pass() => {}
                Err(error) => return Err(error),
            }
        }
        Err(lost("the stream could not be taken up again"))
    }
}
