//! Pages that a person must visit before a request can be made again ([SP-5]).

use futures_util::future::try_join_all;
use ostler_protocol::Raw;

use super::Legacy;
use crate::{
    code,
    error::{Error, protocol},
    host::{Answer, Ask, Host},
    json,
    message::RpcError,
};

impl Legacy {
    /// Has the person visit what an error names; the error itself if they will not.
    pub(super) async fn visit(&self, error: RpcError, host: &mut dyn Host) -> Result<(), Error> {
        let asked = elicitations(&error);
        let pages = asked.elements().map(|asked| page(&asked));
        let pages = pages.collect::<Result<Vec<_>, Error>>()?;
        let visiting = async {
            let consents: Vec<_> = pages
                .into_iter()
                .map(|page| host.answer(page, None))
                .collect();
            let consents = consents
                .into_iter()
                .map(|consent| async { accepts(consent.await).then_some(()).ok_or(()) });
            // Consent is the beginning of a visit; before its end the call would fail again.
            try_join_all(consents).await.is_ok() && accepts(host.answer(Ask::Visited, None).await)
        };
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(Error::Stopped),
            visited = visiting => match visited {
                true => Ok(()),
                false => Err(Error::Rpc(error)),
            },
        }
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
