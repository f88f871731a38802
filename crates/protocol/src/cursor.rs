//! Opaque cursors of lists [P-3]. A cursor is the sort key of the last entry shown, so it
//! stays good when the catalog changes; a MAC makes ours recognizable and binds them to
//! whatever the caller puts into it besides (tenant and Server, say).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::inbound::ListKind;

/// The length of the MAC at the end of a cursor.
pub const MAC_LEN: usize = 16;

/// Longest cursor that is looked at; a sort key is a place and a name or URI.
const CURSOR_LEN_MAX: usize = 16 << 10;

/// This text is no cursor of this list that we gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown cursor; start again without one")]
pub struct BadCursor;

/// The cursor behind the entry with this sort key.
pub fn encode(kind: ListKind, key: &[u8], mac: impl FnOnce(&[u8]) -> [u8; MAC_LEN]) -> String {
    let mut bytes = Vec::with_capacity(1 + key.len() + MAC_LEN);
    bytes.push(tag(kind));
    bytes.extend_from_slice(key);
    let mac = mac(&bytes);
    bytes.extend_from_slice(&mac);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The sort key a cursor stands for; `None` is the start of the list, which the empty cursor
/// means too. `verify` gets what [`encode`]'s `mac` got, and the MAC found.
pub fn decode(
    kind: ListKind,
    cursor: &str,
    verify: impl FnOnce(&[u8], &[u8; MAC_LEN]) -> bool,
) -> Result<Option<Vec<u8>>, BadCursor> {
    if cursor.is_empty() {
        return Ok(None);
    }
    if cursor.len() > CURSOR_LEN_MAX {
        return Err(BadCursor);
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| BadCursor)?;
    let (body, mac) = bytes.split_last_chunk::<MAC_LEN>().ok_or(BadCursor)?;
    let key = body.strip_prefix(&[tag(kind)]).ok_or(BadCursor)?;
    verify(body, mac)
        .then(|| Some(key.to_vec()))
        .ok_or(BadCursor)
}

/// Part of what clients hold: never reuse a number. 1 to 4 had sort keys of another form.
fn tag(kind: ListKind) -> u8 {
    match kind {
        ListKind::Tools => 5,
        ListKind::Prompts => 6,
        ListKind::Resources => 7,
        ListKind::Templates => 8,
        ListKind::Skills => 9,
    }
}

#[cfg(test)]
mod tests;
