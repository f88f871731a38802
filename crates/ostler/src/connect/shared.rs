//! What everything here works with: the pipe to the host, the way to the remote, and the book of
//! requests between them.

use std::sync::Arc;

use bytes::Bytes;
use ostler_client::{Endpoint, Error, Http, Limits};
use ostler_env::Env;
use ostler_protocol::{Era, RequestId};

use super::{
    flights::Flights,
    message::{self, Kind, Message},
    pipe::Out,
    schemas::Schemas,
    session::{Session, Sessions, keeper},
    tell::{self, Teller},
    trouble,
};

/// How often a request is sent again that did not reach the remote; with the pauses between them a
/// node has a quarter of a minute to come back.
const ATTEMPTS_MAX: u32 = 5;
/// The first request of a host says at once that nobody is there: it may be the wrong address.
const FIRST_ATTEMPTS_MAX: u32 = 1;

pub struct Shared {
    pub env: Env,
    pub limits: Limits,
    pub http: Http,
    pub out: Out,
    pub flights: Flights,
    pub schemas: Schemas,
    pub sessions: Sessions,
    pub teller: Teller,
}

impl Shared {
    /// Connects to nothing yet.
    pub fn start(env: &Env, endpoint: &Endpoint) -> Result<Arc<Shared>, Error> {
        let limits = Limits::default();
        let (sessions, commands) = Sessions::new();
        let (teller, queue) = Teller::new();
        let shared = Arc::new(Shared {
            env: env.clone(),
            http: Http::new(env.clone(), endpoint, limits.clone())?,
            limits,
            out: Out::start(env),
            flights: Flights::new(),
            schemas: Schemas::default(),
            sessions,
            teller,
        });
        // Both work until the process ends.
        drop(env.spawn("connect.keeper", keeper::run(shared.clone(), commands)));
        drop(env.spawn("connect.teller", tell::run(shared.clone(), queue)));
        Ok(shared)
    }

    /// Hands what came from the remote to the host, from this session or from none; `of` is the
    /// request that it came for. Waits while the host does not read.
    pub async fn deliver(
        &self,
        bytes: Bytes,
        session: Option<&Session>,
        of: Option<&RequestId>,
    ) -> Result<(), Error> {
        for message in received(bytes)? {
            let message = match session {
                Some(session) => session.shown(message),
                None => message,
            };
            self.deliver_one(message, of).await;
        }
        Ok(())
    }

    pub async fn deliver_one(&self, message: Message, of: Option<&RequestId>) {
        let Kind::Response { id } = &message.kind else {
            return self.out.write(message.raw).await;
        };
        // One that names nothing is about the request it came for.
        let Some(id) = id.as_ref().or(of) else {
            return;
        };
        // Nobody waits for it: it was answered before, or cancelled ([CAN-5]).
        let Some(landing) = self.flights.end(id) else {
            return;
        };
        let named = match &message.kind {
            Kind::Response { id: None } => message::with_id(&message.raw, id.to_raw()),
            _ => message.raw,
        };
        let shown = match (landing.era, landing.method.as_str()) {
            (Era::Modern, "tools/list") => self.schemas.learn(named),
            // Legacy remotes repeat nothing in headers ([XH-6]).
            _ => named,
        };
        self.out.write(shown).await;
        // Only now may who works for it be stopped: it may be us.
        drop(landing);
    }

    /// Whether a request may be sent again; the pause before it is over then.
    pub async fn tries_again(&self, error: &Error, method: &str, attempts: &mut u32) -> bool {
        let attempts_max = match method {
            "initialize" | "server/discover" => FIRST_ATTEMPTS_MAX,
            _ => ATTEMPTS_MAX,
        };
        let is_worth_it =
            *attempts < attempts_max && trouble::may_repeat(error, trouble::is_harmless(method));
        if is_worth_it {
            tracing::info!(%error, method, "trying again");
            self.env.sleep(self.limits.pause(None, *attempts)).await;
            *attempts += 1;
        }
        is_worth_it
    }
}

/// The messages that came from the remote.
pub fn received(bytes: Bytes) -> Result<Vec<Message>, Error> {
    let read = message::read(bytes).map_err(Error::Protocol)?;
    let broken = |_| Error::Protocol("it sent what is no message".to_owned());
    read.into_iter().map(|one| one.map_err(broken)).collect()
}
