//! The wire form of a cursor: it names its stream, and only the session it was made for can
//! use it [SSE-3], [SSE-6].

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ostler_auth::{KeyRing, Purpose};
use ostler_types::{Principal, ServerId, SessionId};

use crate::stream::{Cursor, Place, StreamId};

const CURSOR_BYTES: usize = 24;
const MAC_BYTES: usize = 8;
/// base64url without padding of 32 bytes.
const TEXT_LEN: usize = 43;

/// To what event ids are bound: a session and its owner [SES-8].
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub session: SessionId,
    /// A digest of tenant, Server and principal.
    pub owner: [u8; 16],
}

impl Binding {
    pub fn new(session: SessionId, server: &ServerId, principal: &Principal) -> Self {
        let mut digest = blake3::Hasher::new();
        let parts = [
            server.tenant.as_str(),
            server.name.as_str(),
            &principal.issuer,
            &principal.subject,
            &principal.client,
        ];
        for part in parts {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        let mut owner = [0; 16];
        digest.finalize_xof().fill(&mut owner);
        Binding { session, owner }
    }
}

/// The id of the event at `cursor`.
pub(crate) fn encode(keys: &KeyRing, binding: &Binding, cursor: Cursor) -> String {
    let plain = to_bytes(cursor);
    let mac = keys.mac(
        Purpose::EventId,
        &[&binding.session.0, &binding.owner, &plain],
    );
    let mut bytes = [0; CURSOR_BYTES + MAC_BYTES];
    bytes[..CURSOR_BYTES].copy_from_slice(&plain);
    bytes[CURSOR_BYTES..].copy_from_slice(&mac[..MAC_BYTES]);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The cursor behind an event id, if it was made for exactly this session and owner.
pub(crate) fn decode(keys: &KeyRing, binding: &Binding, text: &str) -> Option<Cursor> {
    // The length first: nothing longer is ever decoded.
    let bytes = (text.len() == TEXT_LEN).then(|| URL_SAFE_NO_PAD.decode(text).ok())??;
    let (plain, mac) = bytes.split_first_chunk::<CURSOR_BYTES>()?;
    let parts: [&[u8]; 3] = [&binding.session.0, &binding.owner, plain];
    let cursor = from_bytes(plain);
    keys.verify(Purpose::EventId, &parts, mac).then_some(cursor)
}

fn to_bytes(Cursor { stream, place }: Cursor) -> [u8; CURSOR_BYTES] {
    let mut bytes = [0; CURSOR_BYTES];
    bytes[..8].copy_from_slice(&stream.0.to_be_bytes());
    bytes[8..16].copy_from_slice(&place.epoch.to_be_bytes());
    bytes[16..].copy_from_slice(&place.seq.to_be_bytes());
    bytes
}

fn from_bytes(bytes: &[u8; CURSOR_BYTES]) -> Cursor {
    let number = |at: usize| {
        let part = bytes[at..at + 8].try_into();
        u64::from_be_bytes(part.expect("eight bytes are eight bytes"))
    };
    Cursor {
        stream: StreamId(number(0)),
        place: Place {
            epoch: number(8),
            seq: number(16),
        },
    }
}

#[cfg(test)]
mod tests {
    use ostler_env::Env;

    use super::*;

    fn binding(session: u8, owner: u8) -> Binding {
        Binding {
            session: SessionId([session; 24]),
            owner: [owner; 16],
        }
    }

    const CURSOR: Cursor = Cursor {
        stream: StreamId(7),
        place: Place { epoch: 2, seq: 9 },
    };

    #[test]
    fn an_event_id_comes_back_as_its_cursor() {
        let keys = KeyRing::ephemeral(&Env::seeded(1));
        let id = encode(&keys, &binding(1, 1), CURSOR);
        assert_eq!(id.len(), TEXT_LEN);
        assert_eq!(decode(&keys, &binding(1, 1), &id), Some(CURSOR));
    }

    #[test]
    fn another_session_or_owner_cannot_use_it() {
        let keys = KeyRing::ephemeral(&Env::seeded(1));
        let id = encode(&keys, &binding(1, 1), CURSOR);
        assert_eq!(decode(&keys, &binding(2, 1), &id), None);
        assert_eq!(decode(&keys, &binding(1, 2), &id), None);
    }

    #[test]
    fn hostile_shapes_are_no_cursors() {
        let keys = KeyRing::ephemeral(&Env::seeded(1));
        let id = encode(&keys, &binding(1, 1), CURSOR);
        let long = "A".repeat(64 << 10);
        let shapes = [
            "",
            "-1",
            "18446744073709551616",
            "0x10",
            "a\nb",
            "a\0b",
            &long,
            &id[..42],
        ];
        for shape in shapes {
            assert_eq!(decode(&keys, &binding(1, 1), shape), None);
        }
        for at in 0..id.len() {
            let mut forged = id.clone().into_bytes();
            forged[at] = if forged[at] == b'x' { b'y' } else { b'x' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(decode(&keys, &binding(1, 1), &forged), None, "byte {at}");
        }
    }
}
