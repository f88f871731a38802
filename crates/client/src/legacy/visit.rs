//! Pages that a person must visit before a request can be made again ([SP-5]).

use std::{convert::Infallible, pin::pin};

use futures_util::future::try_join_all;
use ostler_protocol::Raw;

use super::{
    Legacy,
    line::Transport,
    replies::{Anew, Heard, Replies, Resumable},
};
use crate::{
    code,
    error::{Error, protocol},
    host::{Answer, Ask, Host, Notice},
    json,
    message::{Message, RpcError},
    news,
    switch::Part,
};

/// What is known of the pages of one error.
struct Visit {
    /// Hears of them, and of nothing else.
    replies: Replies,
    /// The names of those that are not done.
    left: Vec<String>,
    /// Of one without a name nobody can say that it is done.
    has_nameless: bool,
}

impl Legacy {
    /// Has the person visit what an error names, and waits until the server says that all of it is
    /// done, or the host that it need not; the error itself if they will not.
    pub(super) async fn visit(&self, error: RpcError, host: &mut dyn Host) -> Result<(), Error> {
        let pages = self.pages(&error)?;
        let visited = tokio::select! {
            biased;
            () = self.stop.wait() => return Err(Error::Stopped),
            visited = self.visited(pages, host) => visited?,
            never = self.overhear() => match never {},
        };
        match visited {
            true => Ok(()),
            false => Err(Error::Rpc(error)),
        }
    }

    async fn visited(&self, pages: Vec<Ask>, host: &mut dyn Host) -> Result<bool, Error> {
        // Before anybody is asked, so that no end of a visit is missed.
        let mut visit = self.begin_visit(&pages, host)?;
        let consents: Vec<_> = pages
            .into_iter()
            .map(|page| host.answer(page, None))
            .collect();
        let consents = consents
            .into_iter()
            .map(|consent| async { accepts(consent.await).then_some(()).ok_or(()) });
        let consent = async { try_join_all(consents).await.is_ok() };
        // Whatever is done meanwhile, to visit needs consent.
        let mut consent = pin!(consent);
        let agrees = loop {
            tokio::select! {
                biased;
                done = visit.next(self) => host.notice(done?),
                agrees = &mut consent => break agrees,
            }
        };
        if !agrees {
            return Ok(false);
        }
        if visit.is_done() {
            return Ok(true);
        }
        // Consent is the beginning of a visit; before its end the call would fail again.
        let mut enough = host.answer(Ask::Visited, None);
        loop {
            tokio::select! {
                biased;
                done = visit.next(self) => host.notice(done?),
                answer = &mut enough => return Ok(accepts(answer)),
            }
            if visit.is_done() {
                return Ok(true);
            }
        }
    }

    /// No more than may be asked within one request.
    fn pages(&self, error: &RpcError) -> Result<Vec<Ask>, Error> {
        let pages: Vec<_> = elicitations(error).elements().collect();
        if pages.len() > self.line.pace.limits.asks_max() {
            return protocol("it asks without end");
        }
        pages.iter().map(page).collect()
    }

    fn begin_visit(&self, pages: &[Ask], host: &dyn Host) -> Result<Visit, Error> {
        let flight = self.flight(Part::Plain, self.behalf(host).owner);
        let replies = Replies::shared(self.line.switch.open(flight)?);
        let left: Vec<_> = pages.iter().filter_map(Ask::page).collect();
        left.iter().for_each(|page| replies.awaits(page.clone()));
        Ok(Visit {
            has_nameless: left.len() < pages.len(),
            replies,
            left,
        })
    }

    /// Hears what belongs to no request, as the end of a visit, where nobody does so anyway. A
    /// server that offers no such stream says nothing there.
    async fn overhear(&self) -> Infallible {
        let is_deaf = !self.line.switch.has_listen();
        if is_deaf
            && let Transport::Streamable(..) = self.line.transport
            && let Ok(messages) = self.line.get(None).await
        {
            let mut stream = Resumable::new(messages, Anew::Always, self.line.pace.env.now());
            while let Ok(heard) = stream.next(&self.line).await {
                if let Heard::Message(message) = heard {
                    self.line.hear(message);
                }
            }
        }
        std::future::pending().await
    }
}

impl Visit {
    /// The next page that is done.
    // Cancel safe: nothing is taken that is not given.
    async fn next(&mut self, legacy: &Legacy) -> Result<Notice, Error> {
        loop {
            let heard = self.replies.next(&legacy.line).await?;
            let Heard::Message(Message::Notification { method, params }) = heard else {
                continue;
            };
            if let Some(Notice::Visited { id }) = news::read(&method, &params) {
                self.left.retain(|page| *page != id);
                return Ok(Notice::Visited { id });
            }
        }
    }

    fn is_done(&self) -> bool {
        self.left.is_empty() && !self.has_nameless
    }
}

/// Whether an error names pages to visit first.
pub(super) fn needs_visit(error: &RpcError) -> bool {
    error.code == code::URL_NEEDED && elicitations(error).elements().next().is_some()
}

fn elicitations(error: &RpcError) -> Raw {
    let data = error.data.clone().unwrap_or_default();
    data.get("elicitations").unwrap_or_default()
}

fn page(elicitation: &Raw) -> Result<Ask, Error> {
    match Ask::read("elicitation/create", elicitation)? {
        Some(page @ Ask::Url { .. }) => Ok(page),
        _ => protocol("it wants something else than a web page visited"),
    }
}

fn accepts(answer: Answer) -> bool {
    match answer {
        Answer::Given(given) => json::text_member(&given, "action").as_deref() == Some("accept"),
        Answer::Refused => false,
    }
}
