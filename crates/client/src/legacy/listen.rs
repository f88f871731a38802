//! Listening for changes: subscriptions, and the stream that belongs to no request.

use ostler_protocol::{Raw, Revision};
use tokio::sync::watch;

use super::{
    Legacy,
    audience::Audience,
    line::Transport,
    open::open,
    replies::{Anew, Heard, Replies, Resumable},
};
use crate::{
    client::Options,
    error::Error,
    host::{Host, Notice},
    json,
    request::{Filter, changed},
    switch::Part,
    way::Way,
};

/// What a listen wants to hear of, which may change while it does.
type Wanted = watch::Receiver<Filter>;

impl Legacy {
    /// Listens until it is stopped. Where the session is gone, as after a restart of the server, it
    /// goes on in a new one of the same kind ([SES-2]).
    pub(crate) async fn listen(
        &self,
        wanted: &mut Wanted,
        (way, revision, options): (&Way, Revision, &Options),
        host: &mut dyn Host,
    ) -> Result<(), Error> {
        let pace = &self.line.pace;
        let mut heard = self.listen_once(wanted, host).await;
        let mut failures = 0;
        while failures < pace.limits.resumptions_max && is_gone(&heard, failures) {
            let began = pace.env.now();
            heard = match self.anew((way, revision, options), failures).await {
                Ok(other) => {
                    let heard = other.listen_once(wanted, host).await;
                    other.close().await;
                    heard
                }
                Err(error) => Err(error),
            };
            let has_lasted = pace.env.now().since(began) >= pace.limits.retry_max;
            failures = if has_lasted { 1 } else { failures + 1 };
        }
        heard
    }

    /// Another session at the same server.
    async fn anew(
        &self,
        (way, revision, options): (&Way, Revision, &Options),
        failures: u32,
    ) -> Result<Legacy, Error> {
        let pace = &self.line.pace;
        let opening = async {
            pace.env.sleep(pace.limits.pause(None, failures)).await;
            open(way, revision, options).await
        };
        let (legacy, _) = tokio::select! {
            biased;
            () = self.stop.wait() => return Err(Error::Stopped),
            // Boxed, because every way to open a session is in it.
            opened = Box::pin(opening) => opened?,
        };
        Ok(legacy)
    }

    async fn listen_once(&self, wanted: &mut Wanted, host: &mut dyn Host) -> Result<(), Error> {
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(Error::Stopped),
            // Boxed, because all that may be asked on it is in it.
            heard = Box::pin(self.hear_all(wanted, host)) => heard,
        }
    }

    async fn hear_all(&self, wanted: &mut Wanted, host: &mut dyn Host) -> Result<(), Error> {
        let mut subscribed = wanted.borrow_and_update().uris.clone();
        let mut replies = self.open_stream(&subscribed, host).await?;
        host.notice(Notice::Listening);
        let mut audience = Audience::of(host);
        loop {
            let heard = tokio::select! {
                biased;
                () = changed(wanted) => {
                    let uris = wanted.borrow_and_update().uris.clone();
                    self.resubscribe(&mut subscribed, uris, audience.host)
                        .await?;
                    continue;
                }
                heard = audience.hear(&self.line, &mut replies) => heard?,
            };
            match heard {
                Heard::End => return Ok(()),
                Heard::Resumed => audience.host.notice(Notice::Resumed),
                Heard::Notice(notice) => audience.host.notice(notice),
                Heard::Message(message) => {
                    self.hear(message, None, (&replies, &mut audience))?;
                }
            }
        }
    }

    /// The stream and the subscriptions whose changes it tells. Both begin at once: some servers
    /// answer the GET only when there is something to tell.
    async fn open_stream(&self, uris: &[String], host: &mut dyn Host) -> Result<Replies, Error> {
        let behalf = self.behalf(host);
        let flight = self.flight(Part::Listen(behalf.abilities), behalf.owner);
        let inbox = self.line.switch.open(flight)?;
        match &self.line.transport {
            Transport::Streamable(..) => {
                let get = self.line.get(None);
                let (messages, ()) = tokio::try_join!(get, self.subscribe_all(uris, host))?;
                let stream = Resumable::new(messages, Anew::Always, self.line.pace.env.now());
                Ok(Replies::standalone(inbox, stream))
            }
            Transport::Pair(_) | Transport::Pipe(_) => {
                self.subscribe_all(uris, host).await?;
                Ok(Replies::shared(inbox))
            }
        }
    }

    async fn subscribe_all(&self, uris: &[String], host: &mut dyn Host) -> Result<(), Error> {
        for uri in uris {
            self.subscribe("resources/subscribe", uri, host).await?;
        }
        Ok(())
    }

    /// A resource that the server refuses is no reason to hear of the others no more.
    async fn subscribe(&self, method: &str, uri: &str, host: &mut dyn Host) -> Result<(), Error> {
        let params = json::object([("uri", Raw::from_text(uri))]);
        match self.simple(method, params, host).await {
            Err(Error::Rpc(error)) => host.notice(Notice::Unwatched {
                uri: uri.to_owned(),
                reason: error.to_string(),
            }),
            other => drop(other?),
        }
        Ok(())
    }

    /// Takes up what is new in `uris` and leaves what is not in it any more.
    async fn resubscribe(
        &self,
        subscribed: &mut Vec<String>,
        uris: Vec<String>,
        host: &mut dyn Host,
    ) -> Result<(), Error> {
        let added = uris.iter().filter(|uri| !subscribed.contains(uri));
        let added = added.map(|uri| ("resources/subscribe", uri));
        let removed = subscribed.iter().filter(|uri| !uris.contains(uri));
        let removed = removed.map(|uri| ("resources/unsubscribe", uri));
        let changes: Vec<_> = removed.chain(added).collect();
        for (method, uri) in changes {
            self.subscribe(method, uri, host).await?;
        }
        *subscribed = uris;
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
