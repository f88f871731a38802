//! Listening for changes: subscriptions, and the stream that belongs to no request.

use ostler_protocol::{Raw, Revision};

use super::{
    Legacy,
    line::Transport,
    open::open,
    replies::{Anew, Heard, Replies, Resumable},
};
use crate::{
    client::Options,
    error::Error,
    host::{Host, Notice},
    json,
    request::Filter,
};

impl Legacy {
    /// Listens until it is stopped. Where the session is gone, as after a restart of the server, it
    /// goes on in a new one of the same kind ([SES-2]).
    pub(crate) async fn listen(
        &self,
        filter: &Filter,
        (revision, options): (Revision, &Options),
        host: &mut dyn Host,
    ) -> Result<(), Error> {
        let http = &self.line.http;
        let mut heard = self.listen_once(filter, host).await;
        let mut failures = 0;
        while failures < http.limits.resumptions_max && is_gone(&heard, failures) {
            let began = http.env.now();
            heard = match self.anew(revision, options, failures).await {
                Ok(other) => {
                    let heard = other.listen_once(filter, host).await;
                    other.close().await;
                    heard
                }
                Err(error) => Err(error),
            };
            let has_lasted = http.env.now().since(began) >= http.limits.retry_max;
            failures = if has_lasted { 1 } else { failures + 1 };
        }
        heard
    }

    /// Another session at the same server.
    async fn anew(
        &self,
        revision: Revision,
        options: &Options,
        failures: u32,
    ) -> Result<Legacy, Error> {
        let http = &self.line.http;
        let opening = async {
            http.env.sleep(http.limits.pause(None, failures)).await;
            open(http.clone(), revision, options).await
        };
        let (legacy, _) = tokio::select! {
            biased;
            () = self.stop.wait() => return Err(Error::Stopped),
            // Boxed, because every way to open a session is in it.
            opened = Box::pin(opening) => opened?,
        };
        Ok(legacy)
    }

    async fn listen_once(&self, filter: &Filter, host: &mut dyn Host) -> Result<(), Error> {
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
                    self.hear(message, None, &mut replies, host).await?;
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
                let now = self.line.http.env.now();
                Ok(Replies::stream(Resumable::new(messages, Anew::Always, now)))
            }
            Transport::Pair(pair) => {
                self.subscribe(filter, host).await?;
                Ok(Replies::pair(pair.borrow()?))
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

/// Whether the session is gone, or the server still on its way back.
fn is_gone(heard: &Result<(), Error>, failures: u32) -> bool {
    match heard {
        Err(Error::SessionGone) => true,
        Err(error) => failures > 0 && error.may_pass(),
        Ok(()) => false,
    }
}
