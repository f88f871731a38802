//! A batch: several messages in one POST, answered together [BAT-4].

use axum::response::Response;
use http::HeaderMap;
use ostler_protocol::{fault::Fault, inbound::LegacyMessage};
use ostler_session::HeldSession;

use super::{
    Performed,
    call::Begun,
    count, failed, id_of, perform,
    post::{self, Form, Post},
};
use crate::{rejection, routes::Exchange};

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
    let (mut post, mut lost) = (Post::new(&exchange, held.clone()), None);
    for message in messages {
        if let Some(id) = id_of(&message).filter(|_| post.is_full()) {
            let fault = Fault::Quota("bytes of answers in one batch");
            exchange.edge.metrics.refused(rejection::reason(&fault));
            post.refuse(id, fault);
            continue;
        }
        match perform(&mut exchange, headers, &held, message).await {
            Performed::Begun(Begun::Running(call)) => post.run(*call),
            Performed::Begun(Begun::Answered(body)) => post.answer(body),
            Performed::Begun(Begun::Refused(id, fault)) => post.refuse(&id, fault),
            Performed::Taken(taken) => lost = taken.err().or(lost),
        }
    }
    match lost {
        // Beside requests there is no way to say so.
        Some(error) if post.is_empty() => failed(&exchange, None, error.into()),
        Some(_) | None => post::respond(&exchange, post, Form::Array).await,
    }
}
