//! Listening for changes: a request whose response is an open stream ([L-1]).

use ostler_protocol::Raw;

use super::Modern;
use crate::{
    client::Facts,
    error::{Error, protocol},
    host::{Host, Notice},
    http::Reply,
    json,
    message::Message,
    news,
    request::{Filter, ListKind},
};

impl Modern {
    /// Listens until stopped. A stream that ended is opened again; what changed in between is not
    /// told, so the host hears of the new beginning ([L-9]).
    pub(crate) async fn listen(
        &self,
        filter: &Filter,
        facts: &Facts,
        host: &mut dyn Host,
    ) -> Result<(), Error> {
        let limits = &self.http.limits;
        let mut failures = 0;
        loop {
            let heard = tokio::select! {
                biased;
                () = self.stop.wait() => return Err(Error::Stopped),
                heard = self.hear(filter, facts, host) => heard,
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
                () = self.http.env.sleep(limits.pause(None, failures)) => {}
            }
        }
    }

    /// The open answer of a listen.
    pub(crate) async fn open_listen(&self, filter: &Filter, facts: &Facts) -> Result<Reply, Error> {
        let wanted = json::object([("notifications", wanted(filter, facts))]);
        let id = self.next_id();
        self.post(&id, "subscriptions/listen", &wanted, &[]).await
    }

    /// One stream: `Ok` if it was heard and then ended.
    async fn hear(&self, filter: &Filter, facts: &Facts, host: &mut dyn Host) -> Result<(), Error> {
        let reply = self.open_listen(filter, facts).await?;
        if !reply.is_stream() {
            return protocol("a listen is answered by a stream");
        }
        let mut messages = news::Messages::new(reply.events());
        let mut is_heard = false;
        loop {
            match messages.next_message().await {
                Ok(Some(Message::Response { result, .. })) => {
                    result.map_err(Error::Rpc)?;
                    return match is_heard {
                        true => Ok(()),
                        false => protocol("a listen ended that was not acknowledged"),
                    };
                }
                Ok(Some(Message::Request { .. })) => return protocol("a request on a listen"),
                Ok(Some(Message::Notification { method, params })) => {
                    if method == "notifications/subscriptions/acknowledged" {
                        is_heard = true;
                        host.notice(Notice::Listening);
                    } else if let Some(notice) = news::read(&method, &params) {
                        host.notice(notice);
                    }
                }
                Ok(None) | Err(Error::Broken { .. }) if is_heard => return Ok(()),
                Ok(None) => {
                    let reason = "the stream ended at once".to_owned();
                    return Err(Error::Broken { reason });
                }
                Err(error) => return Err(error),
            }
        }
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
        .filter(|(kind, _)| facts.offers_feature(kind.capability(), "listChanged"))
        .map(|(_, name)| (name, json::boolean(true)));
    let uris = json::array(filter.uris.iter().map(|uri| Raw::from_text(uri)));
    let uris = (!filter.uris.is_empty()).then_some(("resourceSubscriptions", uris));
    json::object(lists.chain(uris))
}
