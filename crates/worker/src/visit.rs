//! Pages to send users to, and who may visit them.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    ask::Ask,
    ctx::{CallerAssertion, Ctx},
};

/// A page to send the user to, for [`Ctx::visit`].
#[derive(Debug, Clone)]
pub struct Visit {
    key: String,
    message: String,
    url: String,
    pub(crate) patience: Duration,
}

impl Visit {
    /// How often the user is asked. A node that is not configured otherwise lets one call ask in
    /// 16 rounds (`limits.ask_rounds_max`), and whoever waits for a page may ask other things too.
    pub const ROUNDS_MAX: usize = 12;

    /// `message` says why; `url` is https, and says nothing of the user.
    pub fn new(key: &str, message: &str, url: &str) -> Self {
        Self {
            key: key.to_owned(),
            message: message.to_owned(),
            url: url.to_owned(),
            patience: Duration::from_secs(60),
        }
    }

    /// How long to wait for the page before the user is asked again; a minute unless said.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn ask(&self) -> Ask {
        Ask::url(&self.key, &self.message, &self.url)
    }
}

/// Who is expected at the pages of a worker, and nobody else: tools invite, pages admit. `T` is
/// what a visit brings. Clones are the same.
///
/// ```
/// # use ostler_worker::{CallerAssertion, Ctx, Elicited, Stranger, ToolError, Visit, Visitors};
/// # struct User { tenant: String, issuer: String, subject: String }
/// async fn link_account(ctx: Ctx, visitors: Visitors<String>) -> Result<String, ToolError> {
///     let invitation = visitors.invite(&ctx);
///     let url = format!("https://bank.example/link?state={}", invitation.state());
///     let visit = Visit::new("link", "Link your bank account", &url);
///     Ok(match ctx.visit(&visit, invitation).await? {
///         Elicited::Accepted(account) => format!("linked {account}"),
///         Elicited::Declined | Elicited::Dismissed => "not linked".to_owned(),
///     })
/// }
///
/// // In the page's server, once the visitor has signed in. A subject alone says little: two
/// // issuers may know different people by the same one.
/// fn linked(visitors: &Visitors<String>, state: &str, user: &User) -> Result<(), Stranger> {
///     let who = (&user.tenant, &user.issuer, &user.subject);
///     let is_same = |it: &CallerAssertion| (&it.tenant, &it.issuer, &it.subject) == who;
///     visitors.admit(state, is_same, "DE00".to_owned())
/// }
/// ```
#[derive(Debug)]
pub struct Visitors<T>(Arc<Mutex<Invited<T>>>);

/// One per call that waits, so there are no more than calls.
type Invited<T> = HashMap<String, (CallerAssertion, oneshot::Sender<T>)>;

impl<T> Clone for Visitors<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Visitors<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Nobody who is like this visitor is expected: the state is made up, used, too old, or somebody
/// else's. Which of these it is tells a stranger something, so it is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this visitor is not expected")]
pub struct Stranger;

impl<T> Visitors<T> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects whoever made this call, for as long as the invitation is waited for.
    pub fn invite(&self, ctx: &Ctx) -> Invitation<T> {
        let mut random = [0; 16];
        ctx.call.env.fill_random(&mut random);
        let state = URL_SAFE_NO_PAD.encode(random);
        let (visit, visited) = oneshot::channel();
        let invited = (ctx.caller().clone(), visit);
        self.0.lock().insert(state.clone(), invited);
        Invitation {
            state,
            visited,
            visitors: self.clone(),
        }
    }

    /// Lets a visitor in who has signed in, with what the visit brings. `is_same` compares them
    /// with who was invited; a state serves once, and a stranger does not use it up.
    pub fn admit(
        &self,
        state: &str,
        is_same: impl FnOnce(&CallerAssertion) -> bool,
        brings: T,
    ) -> Result<(), Stranger> {
        // The author's code runs without the lock: it may be slow, or invite somebody.
        let invited = self.0.lock().get(state).map(|(caller, _)| caller.clone());
        if !invited.is_some_and(|caller| is_same(&caller)) {
            return Err(Stranger);
        }
        let (_, visit) = self.0.lock().remove(state).ok_or(Stranger)?;
        visit.send(brings).map_err(|_| Stranger)
    }
}

/// Ends when the invited user was admitted. Dropped before, they are not expected any more.
#[derive(Debug)]
pub struct Invitation<T> {
    state: String,
    visited: oneshot::Receiver<T>,
    visitors: Visitors<T>,
}

impl<T> Invitation<T> {
    /// What goes into the URL, and is all that does: 128 random bits, as base64url.
    pub fn state(&self) -> &str {
        &self.state
    }
}

impl<T> Future for Invitation<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.visited).poll(cx) {
            Poll::Ready(Ok(brought)) => Poll::Ready(brought),
            // The other end is only given up by this one.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for Invitation<T> {
    fn drop(&mut self) {
        self.visitors.0.lock().remove(&self.state);
    }
}
