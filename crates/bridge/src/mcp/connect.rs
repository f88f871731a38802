//! How an upstream is reached: what the pool opens and closes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use ostler_client::{Client, Endpoint, EraChoice, Error, Limits, Options, Pipe, stopper};
use ostler_env::Env;
use ostler_protocol::Era;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Key, MemberId, Settings, health::Health};
use crate::{
    metrics::Metrics,
    pool::{GivenUp, Opener},
    process::{Keeper, Process, Program},
};

/// What an upstream is.
#[derive(Debug, Clone)]
pub enum Way {
    /// A server over Streamable HTTP or HTTP+SSE.
    Url(Endpoint),
    /// A process that speaks over its standard input and output.
    Process(Program),
}

/// Opens connections to the upstreams of a bridge.
pub struct Connector {
    env: Env,
    metrics: Metrics,
    keeper: Keeper,
    upstreams: HashMap<MemberId, Arc<Known>>,
}

/// An upstream, and what it is known to speak.
struct Known {
    settings: Settings,
    choice: Mutex<EraChoice>,
}

/// A connection in use.
pub struct Connection {
    pub client: Client,
    pub(super) health: Health,
    process: Option<Process>,
    /// Why it does not do any more.
    discarded: watch::Sender<Option<String>>,
}

/// How long the end of a process may come after the end of its pipe.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Way {
    /// How long it may take to close: a goodbye, then the end of the process.
    pub fn close_max(&self, limits: &Limits) -> Duration {
        match self {
            Way::Url(_) => limits.goodbye_max + MARGIN,
            Way::Process(program) => limits.goodbye_max + program.stop_max() + MARGIN,
        }
    }
}

/// For a machine that is busy.
const MARGIN: Duration = Duration::from_secs(2);

impl Connector {
    pub fn new(
        env: Env,
        metrics: Metrics,
        keeper: Keeper,
        upstreams: impl IntoIterator<Item = Settings>,
    ) -> Connector {
        let known = upstreams.into_iter().map(|settings| {
            let choice = Mutex::new(settings.choice);
            (settings.id.clone(), Arc::new(Known { settings, choice }))
        });
        Connector {
            env,
            metrics,
            keeper,
            upstreams: known.collect(),
        }
    }
}

impl Opener for Connector {
    type Key = Key;
    type Held = Arc<Connection>;

    fn tenant(&self, key: &Key) -> Arc<str> {
        key.member.server().tenant.as_str().into()
    }

    fn open(
        &self,
        key: &Key,
        mut given_up: GivenUp,
    ) -> BoxFuture<'static, Result<Arc<Connection>, String>> {
        let known = self.upstreams.get(&key.member).cloned();
        let tools = (self.env.clone(), self.metrics.clone(), self.keeper.clone());
        let key = key.clone();
        Box::pin(async move {
            let known = known.ok_or("no such upstream")?;
            known.open(tools, &key, &mut given_up).await.map(Arc::new)
        })
    }

    fn gone(&self, held: &Arc<Connection>) -> BoxFuture<'static, String> {
        let (held, env) = (held.clone(), self.env.clone());
        Box::pin(async move {
            tokio::select! {
                why = held.gone(&env) => why,
                why = held.health.lost(&env, &held.client) => {
                    held.discard(&why);
                    why
                }
            }
        })
    }

    fn close(&self, held: Arc<Connection>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            held.client.close().await;
            if let Some(process) = &held.process {
                process.stop().await;
            }
        })
    }

    fn discard(&self, held: &Arc<Connection>, why: &str) {
        held.discard(why);
    }
}

impl Known {
    /// What it spoke once it is expected to speak again, until that proves wrong: then it is probed
    /// anew.
    async fn open(
        &self,
        tools: (Env, Metrics, Keeper),
        key: &Key,
        given_up: &mut GivenUp,
    ) -> Result<Connection, String> {
        let choice = *self.choice.lock();
        let opened = match self.connect(&tools, key, choice, given_up).await {
            // Some end when they are asked what they do not know.
            Err((Error::Broken { .. }, Some(process))) if choice == EraChoice::Auto => {
                process.stop().await;
                let choice = EraChoice::Legacy;
                self.connect(&tools, key, choice, given_up).await
            }
            opened => opened,
        };
        *self.choice.lock() = match (&opened, self.settings.choice) {
            // The era alone: a server that was replaced may speak a newer revision of it.
            (Ok(connection), EraChoice::Auto) => match connection.client.facts().revision.era() {
                Era::Modern => EraChoice::Modern,
                Era::Legacy => EraChoice::Legacy,
            },
            (Ok(_) | Err(_), wanted) => wanted,
        };
        match opened {
            Ok(connection) => Ok(connection),
            Err((error, None)) => Err(error.to_string()),
            Err((error, Some(process))) => Err(last_words(&tools.0, &error, &process).await),
        }
    }

    async fn connect(
        &self,
        (env, metrics, keeper): &(Env, Metrics, Keeper),
        key: &Key,
        choice: EraChoice,
        given_up: &mut GivenUp,
    ) -> Result<Connection, (Error, Option<Process>)> {
        let (_, stop) = stopper();
        let options = Options {
            choice,
            abilities: key.abilities,
            log_level: Some(self.settings.log_level.clone()),
            limits: self.settings.limits.clone(),
            stop,
        };
        let (client, process): (BoxFuture<'_, _>, _) = match &self.settings.way {
            Way::Url(endpoint) => {
                let client = Client::connect(env.clone(), endpoint, options);
                (Box::pin(client), None)
            }
            Way::Process(program) => {
                let name = self.settings.id.name();
                let started = Process::start(env, metrics, name, keeper, program);
                let (process, pipes) = started.map_err(|why| (not_started(&why), None))?;
                let pipe = Pipe {
                    reader: Box::new(pipes.stdout),
                    writer: Box::new(pipes.stdin),
                };
                let client = Client::over(env.clone(), pipe, options);
                (Box::pin(client), Some(process))
            }
        };
        let client = tokio::select! {
            client = client => client,
            _ = given_up => Err(Error::Stopped),
        };
        match client {
            Ok(client) => Ok(Connection::new(client, process)),
            Err(error) => Err((error, process)),
        }
    }
}

/// Why a process that was started does not do. It is gone then.
async fn last_words(env: &Env, error: &Error, process: &Process) -> String {
    let patience = match error {
        Error::Stopped => Duration::ZERO,
        _ => LAST_WORDS,
    };
    let ended = env.until(env.now() + patience, process.ended()).await;
    process.stop().await;
    match ended {
        Some(ended) => format!("{error}: {ended}"),
        None => error.to_string(),
    }
}

fn not_started(why: &crate::process::StartError) -> Error {
    Error::NotSent {
        reason: why.to_string(),
    }
}

impl Connection {
    pub(super) fn new(client: Client, process: Option<Process>) -> Connection {
        Connection {
            client,
            health: Health::default(),
            process,
            discarded: watch::Sender::new(None),
        }
    }

    /// It does not do any more; who wants one gets another.
    pub fn discard(&self, why: &str) {
        self.discarded.send_replace(Some(why.to_owned()));
    }

    /// Ends when it does not do any more, and says why.
    // Cancel safe: it only looks.
    pub async fn gone(&self, env: &Env) -> String {
        let mut discarded = self.discarded.subscribe();
        let why = tokio::select! {
            why = self.client.gone() => why,
            why = discarded.wait_for(Option::is_some) => {
                why.ok().and_then(|why| why.clone()).unwrap_or_default()
            }
        };
        let Some(process) = &self.process else {
            return why;
        };
        // How a process ended says more than that its pipe did.
        let ended = env.until(env.now() + LAST_WORDS, process.ended()).await;
        ended.map_or(why, |ended| ended.to_string())
    }
}
