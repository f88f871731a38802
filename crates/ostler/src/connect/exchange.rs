//! One request of the host, to its one answer.

use std::sync::Arc;

use ostler_client::{Error, Reply};
use ostler_protocol::RequestId;

use super::{
    flights::Ended,
    message::Message,
    modern,
    session::{self, Session},
    shared::Shared,
    stream::{self, Reading},
    tell::Said,
    trouble,
};

/// Sessions that may be lost under one request before it is sent in one.
const SESSIONS_MAX: u32 = 3;

/// A request of the host.
pub struct Request {
    pub id: RequestId,
    pub method: String,
    pub message: Message,
}

/// Works for a request until it is answered or cancelled. Dropping the work closes its response,
/// which is how a modern remote hears of a cancellation ([MS-3]).
pub async fn run(shared: Arc<Shared>, request: Request, said: Said, ended: Ended) {
    let work = async {
        let done = match request.message.revision() {
            Some(revision) => modern::run(&shared, &request, &revision).await,
            None => {
                shared.teller.told(said).await;
                legacy(&shared, &request).await
            }
        };
        if let Err(error) = done {
            fail(&shared, &request, &error).await;
        }
    };
    tokio::select! {
        biased;
        () = work => {}
        _ = ended => {}
    }
}

async fn fail(shared: &Shared, request: &Request, error: &Error) {
    let Some(landing) = shared.flights.end(&request.id) else {
        return;
    };
    // What the remote itself answers is not ours to complain of.
    if !matches!(error, Error::Rpc(_)) {
        let Request { id, method, .. } = request;
        tracing::warn!(%id, method, error = trouble::text(error), "a request failed");
    }
    shared
        .out
        .write(trouble::answer(&request.id, &request.method, error))
        .await;
    drop(landing);
}

async fn legacy(shared: &Shared, request: &Request) -> Result<(), Error> {
    if request.method == "initialize" {
        return initialize(shared, request).await;
    }
    shared.sessions.note(&request.method, &request.message);
    let (mut attempts, mut sessions) = (0, 0);
    loop {
        let session = shared.sessions.current().await?;
        let session = session.unwrap_or_else(|| Arc::new(Session::bare(&shared.http)));
        let sent = match session.post(&request.message.raw).await {
            // It was not taken, so it did not run ([SES-2]).
            Err(Error::SessionGone) if sessions < SESSIONS_MAX => {
                sessions += 1;
                shared.sessions.gone(session.number).await;
                continue;
            }
            Ok(reply) => answered(shared, &session, request, reply).await,
            Err(error) => Err(error),
        };
        match sent {
            Err(error)
                if shared
                    .tries_again(&error, &request.method, &mut attempts)
                    .await => {}
            ended => return ended,
        }
    }
}

async fn initialize(shared: &Shared, request: &Request) -> Result<(), Error> {
    let initialize = &request.message.raw;
    let mut attempts = 0;
    let opened = loop {
        match session::open(shared, initialize).await {
            Err(error)
                if shared
                    .tries_again(&error, &request.method, &mut attempts)
                    .await => {}
            Err(error) => {
                shared.sessions.unopened();
                return Err(error);
            }
            Ok(opened) => break opened,
        }
    };
    let response = opened.response.clone();
    // Before the host hears of it: what it says next belongs to this session.
    shared
        .sessions
        .opened(&shared.env, initialize, opened)
        .await;
    shared
        .deliver(response.into_bytes(), None, Some(&request.id))
        .await
}

async fn answered(
    shared: &Shared,
    session: &Session,
    request: &Request,
    reply: Reply,
) -> Result<(), Error> {
    if session.is_pair {
        // The answer comes on the session's stream, and ends this.
        shared.sessions.over(session.number).await;
        return Err(lost_with_session());
    }
    if !reply.is_stream() {
        return body(shared, Some(session), request, reply).await;
    }
    let mut reading = Reading::new(shared, Some(session), Some(&request.id));
    match reading.carry(reply.events()).await {
        Err(Error::SessionGone) => {
            shared.sessions.gone(session.number).await;
            Err(lost_with_session())
        }
        read => read,
    }
}

fn lost_with_session() -> Error {
    stream::lost("the session has ended at the server")
}

/// An answer that is a body.
pub async fn body(
    shared: &Shared,
    session: Option<&Session>,
    request: &Request,
    reply: Reply,
) -> Result<(), Error> {
    let bytes = reply.bytes().await?;
    if bytes.is_empty() {
        return Err(stream::no_answer());
    }
    shared.deliver(bytes, session, Some(&request.id)).await?;
    match shared.flights.is_open(&request.id) {
        true => Err(stream::no_answer()),
        false => Ok(()),
    }
}
