//! An MCP server as a member: our client on one side, the calls of a worker on the other.
//!
//! One task follows the upstream: it reads the lists, listens, reads them again when they changed,
//! and comes back when the upstream was gone. Connections are in the pool; a call uses the one of
//! its scope, and the follower holds the one that all share.

mod connect;
mod follow;
mod health;
mod host;
mod outcome;
mod request;
mod scope;
#[cfg(test)]
mod testing;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use ostler_client::{EraChoice, Error, Filter, Limits, Request};
use ostler_env::Env;
use ostler_worker::{AskError, Ctx, Raw, Reply, Server, ToolError};
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

pub use self::{
    connect::{Connection, Connector, Way},
    scope::{Key, MemberId},
};
use crate::{
    member::{Asked, Member, Offer},
    pool::Pool,
    scope::Isolation,
};

/// An upstream as it is configured.
#[derive(Debug, Clone)]
pub struct Settings {
    pub id: MemberId,
    pub way: Way,
    pub isolation: Isolation,
    /// What it is expected to speak.
    pub choice: EraChoice,
    /// The least severe log messages wanted.
    pub log_level: String,
    /// Between two looks at the lists of an upstream that cannot tell of changes.
    pub refresh: Duration,
    /// How long a page that a user goes to is waited for, if the upstream does not say that it is
    /// done.
    pub visit_max: Duration,
    pub limits: Limits,
}

/// An MCP server as a member of a Server.
pub struct McpMember {
    shared: Arc<Shared>,
    _follow: AbortOnDropHandle<()>,
}

struct Shared {
    settings: Settings,
    env: Env,
    pool: Arc<Pool<Connector>>,
    /// Whom to tell of resources that changed.
    server: Server,
    offer: watch::Sender<Arc<Offer>>,
    /// The tools by their names, as the upstream wrote them.
    tools: RwLock<Arc<HashMap<String, Raw>>>,
    /// What the follower listens to.
    wanted: watch::Sender<Filter>,
}

impl McpMember {
    /// Begins to follow it. The pool's connector knows it by the same settings.
    pub fn start(
        env: Env,
        settings: Settings,
        pool: Arc<Pool<Connector>>,
        server: Server,
    ) -> McpMember {
        let shared = Arc::new(Shared {
            settings,
            env: env.clone(),
            pool,
            server,
            offer: watch::Sender::default(),
            tools: RwLock::default(),
            wanted: watch::Sender::default(),
        });
        let follow = env.spawn("bridge follow", follow::run(shared.clone()));
        let _follow = AbortOnDropHandle::new(follow);
        McpMember { shared, _follow }
    }
}

impl Member for McpMember {
    fn offer(&self) -> watch::Receiver<Arc<Offer>> {
        self.shared.offer.subscribe()
    }

    fn call(&self, ctx: Ctx, asked: Asked) -> BoxFuture<'static, Result<Reply, ToolError>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            tokio::select! {
                biased;
                // Dropping the request cancels it at the upstream.
                () = ctx.cancelled() => Err(ToolError::Cancelled),
                ended = shared.call(&ctx, &asked) => ended,
            }
        })
    }

    fn watch(&self, uri: &str, wanted: bool) {
        self.shared.wanted.send_if_modified(|filter| {
            let mut uris: BTreeSet<_> = std::mem::take(&mut filter.uris).into_iter().collect();
            let is_new = match wanted {
                true => uris.insert(uri.to_owned()),
                false => uris.remove(uri),
            };
            filter.uris = uris.into_iter().collect();
            is_new
        });
    }
}

impl Shared {
    /// A request that cannot have begun is made once more, through another connection.
    async fn call(&self, ctx: &Ctx, asked: &Asked) -> Result<Reply, ToolError> {
        let tool = self.tools.read().get(&asked.target).cloned();
        let request = request::of(asked, tool)?;
        let mut ended = self.attempt(ctx, &request).await?;
        if matches!(&ended, Err((error, _)) if outcome::was_not_sent(error)) {
            ended = self.attempt(ctx, &request).await?;
        }
        ended
            .map(|result| Reply::raw(result.into_bytes()))
            .map_err(|(error, unanswered)| {
                outcome::failure(self.name(), (asked, ctx.client()), error, unanswered)
            })
    }

    async fn attempt(
        &self,
        ctx: &Ctx,
        request: &Request,
    ) -> Result<Result<Raw, (Error, Option<AskError>)>, ToolError> {
        let key = self.settings.key(ctx);
        let hold = self.pool.hold(key).await;
        let hold = hold.map_err(|why| outcome::down(self.name(), &why))?;
        let revision = hold.client.facts().revision;
        let mut host = host::CallHost::new(&self.env, ctx, &self.settings, revision);
        let until = ctx.time_left().map(|left| self.env.now() + left);
        let call = hold.health.call(until);
        let ended = hold.client.run(request, &mut host).await;
        call.end();
        if let Ok(_) | Err(Error::Rpc(_)) = ended {
            host.went_on();
        }
        Ok(ended.map_err(|error| {
            // Others may be in the middle of their calls, so no more than need be.
            if outcome::is_over(&error) {
                hold.discard(&error.to_string());
            } else if outcome::is_odd(&error) {
                hold.health.doubt();
            }
            (error, host.unanswered())
        }))
    }

    fn name(&self) -> &str {
        self.settings.id.name()
    }
}
