//! What the host says, line by line, and who takes it on.

use std::sync::Arc;

use ostler_protocol::RequestId;
use tokio::sync::mpsc;

use super::{
    exchange::{self, Request},
    flights::Refusal,
    message::{self, Kind, Message},
    pipe::Heard,
    shared::Shared,
    tell, trouble,
};

/// Takes lines until there are no more.
pub async fn run(shared: &Arc<Shared>, mut lines: mpsc::Receiver<Heard>) {
    while let Some(line) = lines.recv().await {
        for read in message::read_line(line) {
            match read {
                Ok(message) => take(shared, message).await,
                Err(answer) => shared.out.write(answer).await,
            }
        }
    }
}

async fn take(shared: &Arc<Shared>, message: Message) {
    match &message.kind {
        Kind::Request { id, method } => {
            let request = Request {
                id: id.clone(),
                method: method.clone(),
                message: message.clone(),
            };
            begin(shared, request).await;
        }
        Kind::Notification { method } if method == "notifications/cancelled" => {
            cancel(shared, message).await;
        }
        // Modern remotes are told of nothing ([HDR-12]).
        Kind::Notification { .. } if message.revision().is_some() => {}
        Kind::Notification { .. } => tell::in_turn(shared, message).await,
        Kind::Response { .. } => tell::apart(shared, message).await,
    }
}

async fn begin(shared: &Arc<Shared>, request: Request) {
    match shared
        .flights
        .begin(&request.id, &request.method, request.message.era())
    {
        Ok(ended) => {
            if request.method == "initialize" {
                shared.sessions.opening();
            }
            let work = exchange::run(shared.clone(), request, shared.teller.said(), ended);
            // It ends with its place in the book of flights, or with the process.
            drop(shared.env.spawn("connect.exchange", work));
        }
        Err(Refusal::Full) => shared.out.write(trouble::too_many(&request.id)).await,
        Err(Refusal::Twice) => {
            let why = "a request with this id has no answer yet";
            let answer = message::error(Some(&request.id), message::INVALID_REQUEST, why, None);
            shared.out.write(answer).await;
        }
    }
}

/// A cancelled request is not answered ([CAN-1]): who works for it stops, which closes the response
/// of a modern one; the session of a legacy one is told.
async fn cancel(shared: &Arc<Shared>, message: Message) {
    let named = message.params().get("requestId");
    let id = named.and_then(|id| RequestId::from_raw(&id, message::ID_BYTES_MAX).ok());
    let Some(id) = id else { return };
    // It must not be, and what it opens is needed ([LIF-8]).
    if shared.flights.method(&id).as_deref() == Some("initialize") {
        return;
    }
    drop(shared.flights.end(&id));
    if message.revision().is_none() {
        tell::apart(shared, message).await;
    }
}
