//! How a server is reached.

use crate::{
    http::Http,
    message::Ids,
    pace::{Goodbyes, Pace},
    pipe::Piped,
};

/// Clones are the same way.
#[derive(Clone)]
pub(crate) enum Way {
    Http(Box<Http>, Goodbyes),
    Pipe(Box<Piped>),
}

impl Way {
    pub(crate) fn pace(&self) -> &Pace {
        match self {
            Way::Http(http, _) => &http.pace,
            Way::Pipe(piped) => &piped.pace,
        }
    }

    /// Ids that nothing else on this way has.
    pub(crate) fn ids(&self) -> Ids {
        match self {
            // Each exchange is alone.
            Way::Http(..) => Ids::default(),
            Way::Pipe(piped) => piped.ids.clone(),
        }
    }

    /// Waits until the server was reached; how long that takes says nothing of it. A process that
    /// is slow to start looks like one that does not know what it is asked.
    // Cancel safe: it only looks.
    pub(crate) async fn reached(&self) {
        match self {
            Way::Http(http, _) => http.reached().await,
            Way::Pipe(_) => {}
        }
    }
}
