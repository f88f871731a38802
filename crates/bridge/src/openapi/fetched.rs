//! A service whose description is at a URL: a member before there is one, which offers nothing
//! until it was fetched. Whoever is away takes nobody else along.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::{BoxFuture, ready};
use ostler_env::Env;
use ostler_worker::{Ctx, Reply, ToolError};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::{Config, Error, OpenApi, fetch};
use crate::member::{Asked, Member, Offer, Presence};

/// Between two attempts: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// An OpenAPI service whose description is fetched, for as long as that takes.
pub struct Fetched {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    env: Env,
    /// Names it in the log.
    name: String,
    url: String,
    /// All but the description.
    config: Config,
    service: OnceLock<OpenApi>,
    offer: watch::Sender<Arc<Offer>>,
}

impl Fetched {
    /// Begins to fetch the description from `url`; `config` has everything else.
    pub fn start(env: &Env, name: &str, url: &str, config: Config) -> Fetched {
        let shared = Arc::new(Shared {
            env: env.clone(),
            name: name.to_owned(),
            url: url.to_owned(),
            config,
            service: OnceLock::new(),
            offer: watch::Sender::default(),
        });
        let task = env.spawn("bridge describe", run(shared.clone()));
        let _task = AbortOnDropHandle::new(task);
        Fetched { shared, _task }
    }
}

impl Member for Fetched {
    fn offer(&self) -> watch::Receiver<Arc<Offer>> {
        self.shared.offer.subscribe()
    }

    fn call(&self, ctx: Ctx, asked: Asked) -> BoxFuture<'static, Result<Reply, ToolError>> {
        match self.shared.service.get() {
            Some(service) => service.call(ctx, asked),
            None => Box::pin(ready(Err(ToolError::NotFound(asked.target)))),
        }
    }

    fn watch(&self, _uri: &str, _wanted: bool) {}
}

/// Once it was read, its offer is that of the service.
async fn run(shared: Arc<Shared>) {
    let service = shared.described().await;
    service.report().tell(&shared.name);
    let mut offer = service.offer();
    // The service first: what is listed can be called.
    shared.service.get_or_init(|| service);
    loop {
        let now = offer.borrow_and_update().clone();
        shared.offer.send_replace(now);
        if offer.changed().await.is_err() {
            return;
        }
    }
}

impl Shared {
    async fn described(&self) -> OpenApi {
        let mut pause = PAUSE_MIN;
        loop {
            match self.attempt().await {
                Ok(service) => return service,
                Err(error) => self.down(&error),
            }
            self.env.sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn attempt(&self) -> Result<OpenApi, Error> {
        let config = Config {
            description: fetch(&self.env, &self.url, self.config.reach).await?,
            ..self.config.clone()
        };
        OpenApi::new(self.env.clone(), &config)
    }

    /// The operator hears of each reason once, and not of every attempt.
    fn down(&self, error: &Error) {
        let presence = Presence::Down(error.to_string());
        if self.offer.borrow().presence == presence {
            return;
        }
        tracing::warn!(member = self.name, %error, "the service is not served yet");
        let offer = Offer {
            presence,
            ..Offer::default()
        };
        self.offer.send_replace(Arc::new(offer));
    }
}
