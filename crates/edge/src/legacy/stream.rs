//! A session's stream as server-sent events.

use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use ostler_protocol::sse;
use ostler_session::{Frame, HeldSession, StreamReader};

use crate::{metrics::StreamKind, rejection, routes::Exchange};

/// The response that carries `reader`. It holds the session, which so stays awake.
pub fn respond(exchange: &Exchange, held: HeldSession, reader: StreamReader) -> Response {
    let identity = exchange.caller.identity.clone();
    let events = events(held, reader, encode);
    let body = exchange
        .edge
        .streams
        .body(StreamKind::Session, events, &identity);
    rejection::event_stream(body)
}

pub fn events(
    held: HeldSession,
    reader: StreamReader,
    encode: fn(&Frame) -> Bytes,
) -> impl Stream<Item = Bytes> + Send + 'static {
    reader.map(move |frame| {
        let _awake = &held;
        encode(&frame)
    })
}

/// One frame; an empty message is a priming event [SSE-2], without an id it only says when to
/// come back [SSE-4].
fn encode(frame: &Frame) -> Bytes {
    let retry_ms = frame
        .retry
        .map(|retry| u32::try_from(retry.as_millis()).unwrap_or(u32::MAX));
    match (&frame.id, frame.data.is_empty(), retry_ms) {
        (Some(id), true, retry_ms) => sse::priming(id, retry_ms),
        (None, true, Some(retry_ms)) => sse::retry(retry_ms),
        (None, true, None) => Bytes::from_static(sse::KEEP_ALIVE),
        (id, false, _) => sse::event(id.as_deref(), &frame.data),
    }
}
