//! Listening for changes: subscriptions, and the stream that belongs to no request.

use ostler_protocol::Raw;

use super::{
    Legacy,
    line::Transport,
    replies::{Anew, Heard, Replies, Resumable},
};
use crate::{
    error::Error,
    host::{Host, Notice},
    json,
    request::Filter,
};

impl Legacy {
    /// Listens until it is stopped or the server ends the session.
    pub(crate) async fn listen(&self, filter: &Filter, host: &mut dyn Host) -> Result<(), Error> {
        // The stream first: what changes after a subscription is told on it.
        let mut replies = match &self.line.transport {
            Transport::Streamable => {
                let messages = self.line.get(None).await?;
                Replies::Stream(Resumable::new(messages, Anew::Always))
            }
            Transport::Pair(pair) => {
                self.subscribe(filter, host).await?;
                Replies::Pair(pair.borrow()?)
            }
        };
        if let Transport::Streamable = self.line.transport {
            self.subscribe(filter, host).await?;
        }
        host.notice(Notice::Listening);
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(Error::Stopped),
            heard = self.hear_all(&mut replies, host) => heard,
        }
    }

    async fn subscribe(&self, filter: &Filter, host: &mut dyn Host) -> Result<(), Error> {
        for uri in &filter.uris {
            let params = json::object([("uri", Raw::from_text(uri))]);
            self.simple("resources/subscribe", params, host).await?;
        }
        Ok(())
    }

    async fn hear_all(&self, replies: &mut Replies, host: &mut dyn Host) -> Result<(), Error> {
        loop {
            match replies.next(&self.line).await? {
                Heard::End => return Ok(()),
                Heard::Resumed => host.notice(Notice::Resumed),
                Heard::Message(message) => {
                    self.hear(message, None, host).await?;
                }
            }
        }
    }
}
