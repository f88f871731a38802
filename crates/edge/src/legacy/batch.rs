//! A batch: several messages in one POST, answered together [BAT-4].

use axum::response::Response;
use http::HeaderMap;
use ostler_protocol::{fault::Fault, inbound::LegacyMessage, reply};
use ostler_session::HeldSession;

use super::{
    begin,
    call::Begun,
    count, failed, notify,
    post::{self, Form, Post},
};
use crate::routes::Exchange;

/// Messages begin in their order; their calls run side by side.
pub async fn deliver(
    mut exchange: Exchange,
    held: HeldSession,
    messages: Vec<LegacyMessage>,
    headers: &HeaderMap,
) -> Response {
    let revision = held.facts().revision;
    if !revision.has_batches() {
        let reason = format!(
            "{} has no batches: send one message each",
            revision.as_str()
        );
        return failed(&exchange, None, Fault::InvalidRequest(reason));
    }
    if let Err(fault) = count(&exchange, &messages) {
        return failed(&exchange, None, fault);
    }
    let (mut post, mut lost) = (Post::new(held.clone()), None);
    for message in messages {
        match message {
            LegacyMessage::Request {
                id,
                method,
                progress_token,
                trace,
            } => {
                exchange.trace(trace, headers);
                match begin(&exchange, &held, id, method, progress_token).await {
                    Begun::Running(call) => post.run(*call),
                    Begun::Answered(body) => post.answer(body),
                    Begun::Refused(id, fault) => {
                        post.answer(reply::error(revision, Some(&id), &fault));
                    }
                }
            }
            LegacyMessage::Notification(notification) => {
                lost = notify(&held, notification).await.err().or(lost);
            }
            LegacyMessage::Response { id, result } => {
                lost = held.answer(id, result).await.err().or(lost);
            }
        }
    }
    match lost {
        // Beside requests there is no way to say so.
        Some(error) if post.is_empty() => failed(&exchange, None, error.into()),
        Some(_) | None => post::respond(&exchange, post, Form::Array).await,
    }
}
