//! The keeper of the session: it opens another one where the remote has lost the old one, and
//! listens for what belongs to no request. There is one, because only one session is in use; what
//! needs it waits for the phase in `Sessions`, and never for the keeper.

use std::{sync::Arc, time::Duration};

use ostler_client::{Error, EventStream};
use ostler_env::JoinHandle;
use ostler_protocol::Raw;
use tokio::sync::mpsc;

use super::{Phase, Session, mark::Mark, open};
use crate::connect::{
    shared::Shared,
    stream::{self, Reading},
    trouble,
};

/// For each attempt to open a session anew.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);

pub enum Command {
    Opened(Arc<Session>, Option<Box<EventStream>>),
    Initialized,
    Anew,
}

pub async fn run(shared: Arc<Shared>, mut commands: mpsc::Receiver<Command>) {
    let mut listening: Option<JoinHandle<()>> = None;
    while let Some(command) = commands.recv().await {
        let (session, events) = match command {
            Command::Opened(session, events) => (session, events.map(|events| *events)),
            Command::Initialized => match shared.sessions.open_now() {
                Some(session) if !session.is_pair => (session, None),
                Some(_) | None => continue,
            },
            Command::Anew => match anew(&shared).await {
                Some(opened) => opened,
                None => continue,
            },
        };
        if let Some(listening) = listening.take() {
            listening.abort();
        }
        let is_ready = shared.sessions.memory.lock().initialized.is_some();
        if session.is_pair || is_ready {
            let work = listen(shared.clone(), session, events);
            listening = Some(shared.env.spawn("connect.listen", work));
        }
    }
}

/// Hears what belongs to no request, and over HTTP+SSE all answers.
async fn listen(shared: Arc<Shared>, session: Arc<Session>, events: Option<EventStream>) {
    let mut reading = Reading::new(&shared, Some(&session), None);
    let heard = match events {
        Some(events) => reading.carry(events).await,
        None => match reading.begin(&session).await {
            Ok(events) => reading.carry(events).await,
            Err(error) => Err(error),
        },
    };
    match heard {
        Err(Error::SessionGone) => shared.sessions.gone(session.number).await,
        // Without its stream there is no such session.
        Ok(()) | Err(_) if session.is_pair => shared.sessions.gone(session.number).await,
        Ok(()) | Err(Error::NotOffered(_)) => {}
        Err(error) => tracing::warn!(%error, "nothing is heard of changes any more"),
    }
}

/// Anew => Open, or Lost when it does not come to that.
async fn anew(shared: &Shared) -> Option<(Arc<Session>, Option<EventStream>)> {
    tracing::warn!("the session has ended at the remote; opening another one");
    let limits = &shared.limits;
    let mut attempts = 0;
    loop {
        let until = shared.env.now() + ATTEMPT_MAX;
        let opened = shared.env.until(until, open_again(shared)).await;
        match opened.unwrap_or_else(|| Err(stream::lost("no answer in time"))) {
            Ok((session, events)) => {
                let session = Arc::new(session);
                tell_of_changes(shared).await;
                let open = Phase::Open(session.clone());
                shared.sessions.phase.send_replace(open);
                return Some((session, events));
            }
            Err(error)
                if trouble::may_repeat(&error, true) && attempts < limits.resumptions_max =>
            {
                shared.env.sleep(limits.pause(None, attempts)).await;
                attempts += 1;
            }
            Err(error) => {
                tracing::error!(
                    error = trouble::text(&error),
                    "no other session could be opened"
                );
                shared
                    .sessions
                    .phase
                    .send_replace(Phase::Lost(unopened(error)));
                return None;
            }
        }
    }
}

/// What a request is told that was not sent for want of a session: it did not run.
fn unopened(error: Error) -> Error {
    match error {
        Error::Connect { .. } | Error::Busy { .. } | Error::Refused { .. } => error,
        error => Error::NotSent {
            reason: format!("no session in place of the one that ended: {error}"),
        },
    }
}

/// Says again what the host said to the session before.
async fn open_again(shared: &Shared) -> Result<(Session, Option<EventStream>), Error> {
    let memory = shared.sessions.memory.lock().clone();
    let opened = open(shared, &memory.initialize).await?;
    let mut session = opened.session;
    session.mark = Mark::of(session.number);
    if session.revision != memory.revision {
        // The host goes on in the revision it knows.
        let server = session.revision.into_iter().collect();
        return Err(Error::NoRevision { server });
    }
    if let Some(initialized) = &memory.initialized {
        session.post(initialized).await?;
    }
    for request in memory.requests() {
        if let Err(error) = say_again(shared, &session, request).await {
            tracing::warn!(%error, "the new session does not take what the old one took");
        }
    }
    Ok((session, opened.events))
}

/// A request whose answer the host has had already.
async fn say_again(shared: &Shared, session: &Session, request: &Raw) -> Result<(), Error> {
    let reply = session.post(request).await?;
    // Over HTTP+SSE the answer comes later, and nobody waits for it.
    if !session.is_pair {
        stream::response(shared, reply).await?;
    }
    Ok(())
}

async fn tell_of_changes(shared: &Shared) {
    let changes: Vec<_> = shared.sessions.memory.lock().changes().collect();
    for change in changes {
        shared.out.write(change).await;
    }
}
