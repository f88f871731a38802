//! Framing of server-sent events. One message is one event with its data on one line
//! [SSE-1]; there are no event names, but for HTTP+SSE.

use bytes::Bytes;

/// A comment that keeps proxies from closing a quiet stream [SSE-11]. It carries no id.
pub const KEEP_ALIVE: &[u8] = b": ka\n\n";

/// One message as an event. Line breaks in `data` can only be white space between JSON
/// tokens, so they become spaces.
pub fn event(id: Option<&str>, data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + id.map_or(0, str::len) + 16);
    push_id(&mut out, id);
    out.extend_from_slice(b"data: ");
    push_line(&mut out, data);
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// The event that opens a resumable stream: an id to come back with, no data [SSE-2]. Only
/// for revisions where [`Revision::primes_streams`](crate::revision::Revision::primes_streams).
pub fn priming(id: &str, retry_ms: Option<u32>) -> Bytes {
    let mut out = Vec::with_capacity(id.len() + 40);
    push_id(&mut out, Some(id));
    if let Some(retry_ms) = retry_ms {
        push_retry(&mut out, retry_ms);
    }
    out.extend_from_slice(b"data: \n\n");
    out.into()
}

/// Tells the client how long to wait before it comes back; sent before a stream is closed
/// early [SSE-4].
pub fn retry(retry_ms: u32) -> Bytes {
    let mut out = Vec::with_capacity(24);
    push_retry(&mut out, retry_ms);
    out.push(b'\n');
    out.into()
}

/// One message under a name, for clients that go by names: those of HTTP+SSE.
pub fn named(name: &'static str, data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(name.len() + data.len() + 24);
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    push_line(&mut out, data);
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// The first event of HTTP+SSE: where messages go.
pub fn endpoint(uri: &str) -> Bytes {
    named("endpoint", uri.as_bytes())
}

/// Whether a text can be an event id: ours are of the base64url alphabet and dots. Anything
/// else, a line break above all, could forge fields of the event.
fn is_event_id(id: &str) -> bool {
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !id.is_empty() && id.as_bytes().iter().all(inner)
}

fn push_id(out: &mut Vec<u8>, id: Option<&str>) {
    let Some(id) = id else { return };
    assert!(is_event_id(id), "an event id is minted by us");
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(id.as_bytes());
    out.push(b'\n');
}

fn push_retry(out: &mut Vec<u8>, retry_ms: u32) {
    out.extend_from_slice(b"retry: ");
    out.extend_from_slice(retry_ms.to_string().as_bytes());
    out.push(b'\n');
}

fn push_line(out: &mut Vec<u8>, data: &[u8]) {
    let from = out.len();
    out.extend_from_slice(data);
    for byte in &mut out[from..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

pub mod decode;
#[cfg(test)]
mod tests;
