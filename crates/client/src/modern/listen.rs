//! Listening for changes: a request whose response is an open stream ([L-1]).

use std::pin::pin;

use ostler_protocol::Raw;
use tokio::sync::watch;

use super::{Asked, Modern, post, replies::Replies};
use crate::{
    client::Facts,
    error::{Error, protocol},
    host::{Abilities, Behalf, Host, Notice},
    http::Reply,
    json,
    message::Message,
    news,
    request::{Filter, ListKind, changed},
    switch::Part,
    way::Way,
};

/// What a listen wants to hear of, which may change while it does.
type Wanted = watch::Receiver<Filter>;

impl Modern {
    /// Listens until stopped. A stream that ended is opened again; what changed in between is not
    /// told, so the host hears of the new beginning ([L-9]).
    pub(crate) async fn listen(
        &self,
        wanted: &mut Wanted,
        facts: &Facts,
        host: &mut dyn Host,
    ) -> Result<(), Error> {
        let pace = self.way.pace();
        let limits = &pace.limits;
        let mut failures = 0;
        loop {
            let heard = tokio::select! {
                biased;
                () = self.stop.wait() => return Err(Error::Stopped),
                heard = self.hear_all(wanted, facts, host) => heard,
            };
            match heard {
                Ok(()) => failures = 0,
                Err(error) if error.may_pass() && failures < limits.resumptions_max => {
                    failures += 1;
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                biased;
                () = self.stop.wait() => return Err(Error::Stopped),
                () = pace.env.sleep(limits.pause(None, failures)) => {}
            }
        }
    }

    /// The open answer of a listen over HTTP, to look at.
    pub(crate) async fn open_listen(&self, filter: &Filter, facts: &Facts) -> Result<Reply, Error> {
        let Way::Http(http, _) = &self.way else {
            return Err(Error::NotOffered("a stream of its own"));
        };
        let (id, asked) = (self.ids.next(), listen(filter, facts));
        let params = self.introduced(&asked.params, id, &self.behalf);
        post(http, self.revision, (id, &asked, params)).await
    }

    /// `Ok` if something was heard and then ended. Where the filter changes another stream is
    /// opened before the first one is left, so that nothing is missed and nothing begins anew.
    async fn hear_all(
        &self,
        wanted: &mut Wanted,
        facts: &Facts,
        host: &mut dyn Host,
    ) -> Result<(), Error> {
        let behalf = self.behalf(host);
        let filter = wanted.borrow_and_update().clone();
        let mut stream = self.begin(&filter, facts, behalf.clone()).await?;
        host.notice(Notice::Listening);
        loop {
            let message = tokio::select! {
                biased;
                () = changed(wanted) => {
                    let filter = wanted.borrow_and_update().clone();
                    let next = self.begin(&filter, facts, behalf.clone());
                    stream = relieved(stream, next, host).await?;
                    continue;
                }
                message = stream.next_message() => message,
            };
            if is_over(message, host)? {
                return Ok(());
            }
        }
    }

    /// A stream that is acknowledged.
    async fn begin(
        &self,
        filter: &Filter,
        facts: &Facts,
        behalf: Behalf,
    ) -> Result<Replies<'_>, Error> {
        let mut replies = self.send(&listen(filter, facts), behalf).await?;
        if !replies.is_stream() {
            return protocol("a listen is answered by a stream");
        }
        loop {
            match replies.next_message().await? {
                Some(Message::Notification { method, .. })
                    if method == "notifications/subscriptions/acknowledged" =>
                {
                    return Ok(replies);
                }
                Some(Message::Notification { .. }) => {}
                Some(Message::Response { result, .. }) => {
                    result.map_err(Error::Rpc)?;
                    return protocol("a listen ended that was not acknowledged");
                }
                Some(Message::Request { .. }) => return protocol("a request on a listen"),
                None => {
                    let reason = "the stream ended at once".to_owned();
                    return Err(Error::Broken { reason });
                }
            }
        }
    }
}

/// The next stream, as soon as it is there; the one before it is heard until then.
async fn relieved<'a>(
    mut stream: Replies<'a>,
    next: impl Future<Output = Result<Replies<'a>, Error>>,
    host: &mut dyn Host,
) -> Result<Replies<'a>, Error> {
    let mut next = pin!(next);
    loop {
        let message = tokio::select! {
            biased;
            // What it said before it was relieved was said for both.
            message = stream.next_message() => message,
            next = &mut next => return next,
        };
        if is_over(message, host)? {
            return next.await;
        }
    }
}

fn listen(filter: &Filter, facts: &Facts) -> Asked {
    let params = json::object([("notifications", wanted(filter, facts))]);
    Asked {
        part: Part::Listen(Abilities::default()),
        ..Asked::plain("subscriptions/listen", params)
    }
}

/// Hears a message of a stream; whether it was the last.
fn is_over(message: Result<Option<Message>, Error>, host: &mut dyn Host) -> Result<bool, Error> {
    match message {
        Ok(Some(Message::Response { result, .. })) => {
            result.map_err(Error::Rpc)?;
            Ok(true)
        }
        Ok(Some(Message::Request { .. })) => protocol("a request on a listen"),
        // How a listen is ended on a pipe ([MS-6]).
        Ok(Some(Message::Notification { method, .. })) if method == "notifications/cancelled" => {
            Ok(true)
        }
        Ok(Some(Message::Notification { method, params })) => {
            if let Some(notice) = news::read(&method, &params) {
                host.notice(notice);
            }
            Ok(false)
        }
        Ok(None) | Err(Error::Broken { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// The filter: every list that the server announces changes of, and the resources asked for.
fn wanted(filter: &Filter, facts: &Facts) -> Raw {
    let lists = [
        (ListKind::Tools, "toolsListChanged"),
        (ListKind::Prompts, "promptsListChanged"),
        (ListKind::Resources, "resourcesListChanged"),
    ];
    let lists = lists
        .into_iter()
        .filter(|(kind, _)| facts.tells_changes(*kind))
        .map(|(_, name)| (name, json::boolean(true)));
    let uris = json::array(filter.uris.iter().map(|uri| Raw::from_text(uri)));
    let uris = (!filter.uris.is_empty()).then_some(("resourceSubscriptions", uris));
    json::object(lists.chain(uris))
}
