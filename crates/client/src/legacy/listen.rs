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
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(Error::Stopped),
            heard = self.hear_all(filter, host) => heard,
        }
    }

    async fn hear_all(&self, filter: &Filter, host: &mut dyn Host) -> Result<(), Error> {
        let mut replies = self.open_stream(filter, host).await?;
        host.notice(Notice::Listening);
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

    /// The stream and the subscriptions whose changes it tells. Both begin at once: some servers
    /// answer the GET only when there is something to tell.
    async fn open_stream(&self, filter: &Filter, host: &mut dyn Host) -> Result<Replies, Error> {
        match &self.line.transport {
            Transport::Streamable => {
                let get = self.line.get(None);
                let (messages, ()) = tokio::try_join!(get, self.subscribe(filter, host))?;
                Ok(Replies::Stream(Resumable::new(messages, Anew::Always)))
            }
            Transport::Pair(pair) => {
                self.subscribe(filter, host).await?;
                Ok(Replies::Pair(pair.borrow()?))
            }
        }
    }

    async fn subscribe(&self, filter: &Filter, host: &mut dyn Host) -> Result<(), Error> {
        for uri in &filter.uris {
            let params = json::object([("uri", Raw::from_text(uri))]);
            self.simple("resources/subscribe", params, host).await?;
        }
        Ok(())
    }
}
