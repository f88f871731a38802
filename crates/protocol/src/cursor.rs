//! Opaque cursors of lists and directories [P-3]. A cursor is the sort key of the last entry shown, so it
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

/// What a cursor leads through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    List(ListKind),
    /// The children of a directory [EX-4]; the sort key names it too.
    Directory,
}

/// The cursor behind the entry with this sort key.
pub fn encode(sequence: Sequence, key: &[u8], mac: impl FnOnce(&[u8]) -> [u8; MAC_LEN]) -> String {
    let mut bytes = Vec::with_capacity(1 + key.len() + MAC_LEN);
    bytes.push(tag(sequence));
    bytes.extend_from_slice(key);
    let mac = mac(&bytes);
    bytes.extend_from_slice(&mac);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The sort key a cursor stands for; `None` is the start of the list, which the empty cursor
/// means too. `verify` gets what [`encode`]'s `mac` got, and the MAC found.
pub fn decode(
    sequence: Sequence,
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
    let key = body.strip_prefix(&[tag(sequence)]).ok_or(BadCursor)?;
    verify(body, mac)
        .then(|| Some(key.to_vec()))
        .ok_or(BadCursor)
}

/// Part of what clients hold: never reuse a number. 1 to 9 had sort keys of other forms.
fn tag(sequence: Sequence) -> u8 {
    match sequence {
        Sequence::List(ListKind::Tools) => 10,
        Sequence::List(ListKind::Prompts) => 11,
        Sequence::List(ListKind::Resources) => 12,
        Sequence::List(ListKind::Templates) => 13,
        Sequence::List(ListKind::Skills) => 14,
        Sequence::Directory => 15,
    }
}

#[cfg(test)]
mod tests;
