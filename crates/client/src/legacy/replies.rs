//! What comes back for one request: a body, a stream that may break and be taken up again, or the
//! stream that all requests share.

use std::{collections::VecDeque, time::Duration};

use super::line::{Borrowed, Line};
use crate::{
    error::{Error, protocol},
    http::Reply,
    message::{self, Message},
    news::Messages,
};

pub(super) enum Replies {
    Whole(VecDeque<Message>),
    Stream(Resumable),
    Pair(Borrowed),
}

pub(super) enum Heard {
    Message(Message),
    /// The stream broke off and was taken up again; nothing of it is lost.
    Resumed,
    End,
}

/// A stream that is fetched again from its last event ([SSE-5]).
pub(super) struct Resumable {
    messages: Option<Messages>,
    /// Of the streams before this one.
    last_id: Option<String>,
    retry: Option<Duration>,
    /// Without an event there is nowhere to take it up; only a listen begins anew then.
    begins_anew: bool,
    /// Since it last said something.
    attempts: u32,
}

impl Replies {
    pub(super) async fn read(reply: Reply) -> Result<Replies, Error> {
        if reply.is_stream() {
            let messages = Messages::new(reply.events());
            return Ok(Replies::Stream(Resumable::new(messages, Anew::Never)));
        }
        if reply.status() != 200 {
            return protocol(format!("a request is answered by HTTP {}", reply.status()));
        }
        Ok(Replies::Whole(message::read(reply.bytes().await?)?.into()))
    }

    /// The next of them, in order.
    pub(super) async fn next(&mut self, line: &Line) -> Result<Heard, Error> {
        match self {
            Replies::Whole(messages) => Ok(messages.pop_front().map_or(Heard::End, Heard::Message)),
            Replies::Stream(stream) => stream.next(line).await,
            Replies::Pair(borrowed) => {
                let message = borrowed.get().next_message().await?;
                Ok(message.map_or(Heard::End, Heard::Message))
            }
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
    pub(super) fn new(messages: Messages, anew: Anew) -> Self {
        Self {
            messages: Some(messages),
            last_id: None,
            retry: None,
            begins_anew: anew == Anew::Always,
            attempts: 0,
        }
    }

    pub(super) async fn next(&mut self, line: &Line) -> Result<Heard, Error> {
        let Some(messages) = &mut self.messages else {
            return self.resume(line).await;
        };
        let heard = messages.next_message().await;
        if messages.last_id.is_some() && messages.last_id != self.last_id {
            self.last_id = messages.last_id.clone();
            self.attempts = 0;
        }
        self.retry = messages.retry_ms.map(Duration::from_millis).or(self.retry);
        match heard {
            Ok(Some(message)) => {
                self.attempts = 0;
                Ok(Heard::Message(message))
            }
            Ok(None) | Err(Error::Broken { .. }) => {
                self.messages = None;
                self.resume(line).await
            }
            Err(error) => Err(error),
        }
    }

    /// Fetches the rest, a bounded number of times in a row.
    async fn resume(&mut self, line: &Line) -> Result<Heard, Error> {
        let limits = &line.http.limits;
        if self.last_id.is_none() && !self.begins_anew {
            return Err(broken("the stream broke before it could be taken up again"));
        }
        while self.attempts < limits.resumptions_max {
            line.http
                .env
                .sleep(limits.pause(self.retry, self.attempts))
                .await;
            self.attempts += 1;
            match line.get(self.last_id.as_deref()).await {
                Ok(messages) => {
                    self.messages = Some(messages);
                    return Ok(Heard::Resumed);
                }
                Err(error) if error.may_pass() => {}
                Err(error) => return Err(error),
            }
        }
        Err(broken("the stream could not be taken up again"))
    }
}

fn broken(reason: &str) -> Error {
    Error::Broken {
        reason: reason.to_owned(),
    }
}
