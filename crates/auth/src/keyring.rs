//! The node's own keys: they authenticate ids and seal tokens that clients carry for us.
//!
//! The file holds one key per line, oldest first. The last line seals, all lines open, so a
//! rotation is: append a line everywhere, and remove the oldest once the longest-lived token
//! has ended. A key's id is derived from the key, so there is nothing to keep in step.

use std::{io, path::Path};

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use ostler_env::Env;
use subtle::ConstantTimeEq;

use crate::{base64url, secret_file};

/// What a MAC or a token is for. A value made for one purpose never passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    SessionId,
    EventId,
    TaskId,
    RequestState,
    Cursor,
    ServerRequestId,
    StreamToken,
}

impl Purpose {
    /// Part of every MAC and seal: numbers are never reused.
    fn number(self) -> u8 {
        match self {
            Purpose::SessionId => 1,
            Purpose::EventId => 2,
            Purpose::TaskId => 3,
            Purpose::RequestState => 4,
            Purpose::Cursor => 5,
            Purpose::ServerRequestId => 6,
            Purpose::StreamToken => 7,
        }
    }
}

/// Not a token of ours: forged, damaged, for another purpose or place, or of a removed key.
/// Which of these it was is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct BadToken;

/// Room for a rotation that overlaps others; every MAC check may try all keys.
const KEYS_MAX: usize = 16;
const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;
const HEADER: &str = "# Ostler key ring: one key per line, oldest first. Keep it secret.\n\
                      # The last key seals, all keys open. To rotate, append a line.\n";

/// The keys of one node, or of all nodes of a cluster.
pub struct KeyRing {
    /// Never empty, at most [`KEYS_MAX`], oldest first.
    keys: Vec<Key>,
}

struct Key {
    id: [u8; KEY_ID_BYTES],
    mac: [u8; KEY_BYTES],
    seal: XChaCha20Poly1305,
}

impl Key {
    fn new(secret: &[u8; KEY_BYTES]) -> Self {
        let id = blake3::derive_key("ostler key ring v1 key id", secret);
        let seal = blake3::derive_key("ostler key ring v1 seal", secret);
        Self {
            id: [id[0], id[1], id[2], id[3]],
            mac: blake3::derive_key("ostler key ring v1 mac", secret),
            seal: XChaCha20Poly1305::new(&seal.into()),
        }
    }

    fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.mac);
        hasher.update(&[purpose.number()]);
        for part in parts {
            // Lengths keep ("ab", "c") and ("a", "bc") apart.
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let mut mac = [0; 16];
        hasher.finalize_xof().fill(&mut mac);
        mac
    }
}

impl KeyRing {
    /// Reads the key ring of `path`; creates it with one new key and mode 0600 if there is none.
    pub fn open_or_create(path: &Path, env: &Env) -> io::Result<Self> {
        let new = || format!("{HEADER}{}\n", base64url::encode(&random_key(env)));
        Self::parse(&secret_file::read_or_create(path, env, new)?)
    }

    /// A ring with one key that nothing keeps: for nodes without a place to store things.
    pub fn ephemeral(env: &Env) -> Self {
        let keys = vec![Key::new(&random_key(env))];
        Self { keys }
    }

    /// Reads the text of a key ring file.
    fn parse(text: &str) -> io::Result<Self> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let secret = base64url::decode_array(line)
                .ok_or_else(|| bad_file(index, "is not 32 bytes of base64url"))?;
            let key = Key::new(&secret);
            if keys.iter().any(|other| other.id == key.id) {
                return Err(bad_file(index, "holds a key that an earlier line has"));
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Err(invalid("the key ring holds no key")),
            1..=KEYS_MAX => Ok(Self { keys }),
            _ => Err(invalid("the key ring holds more than 16 keys")),
        }
    }

    fn newest(&self) -> &Key {
        self.keys.last().expect("a key ring is never empty")
    }

    /// Authenticates `parts` for one purpose.
    pub fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> [u8; 16] {
        self.newest().mac(purpose, parts)
    }

    /// Whether `mac`, or a prefix of at least eight bytes of it, was made by any of our keys.
    pub fn verify(&self, purpose: Purpose, parts: &[&[u8]], mac: &[u8]) -> bool {
        let good_length = (8..=16).contains(&mac.len());
        good_length
            && self.keys.iter().rev().any(|key| {
                let expected = key.mac(purpose, parts);
                bool::from(expected[..mac.len()].ct_eq(mac))
            })
    }

    /// Encrypts `plain` into a token that opens only for the same purpose and `aad`.
    pub fn seal(&self, purpose: Purpose, aad: &[u8], plain: &[u8], env: &Env) -> String {
        let key = self.newest();
        let mut nonce = [0; NONCE_BYTES];
        env.fill_random(&mut nonce);
        let payload = Payload {
            msg: plain,
            aad: &full_aad(purpose, key, aad),
        };
        let sealed = key
            .seal
            .encrypt(&XNonce::from(nonce), payload)
            .expect("memory is the only limit of a message this small");
        base64url::encode(&[&key.id[..], &nonce[..], &sealed[..]].concat())
    }

    /// Opens a token made by [`KeyRing::seal`] with any key of the ring.
    pub fn open(&self, purpose: Purpose, aad: &[u8], token: &str) -> Result<Vec<u8>, BadToken> {
        let bytes = base64url::decode(token).ok_or(BadToken)?;
        let (id, rest) = bytes.split_first_chunk::<KEY_ID_BYTES>().ok_or(BadToken)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(BadToken)?;
        let key = self.keys.iter().find(|key| key.id == *id).ok_or(BadToken)?;
        let payload = Payload {
            msg: sealed,
            aad: &full_aad(purpose, key, aad),
        };
        key.seal
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| BadToken)
    }
}

/// Never shows a key.
impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys.len())
    }
}

fn full_aad(purpose: Purpose, key: &Key, aad: &[u8]) -> Vec<u8> {
    [&[purpose.number()][..], &key.id[..], aad].concat()
}

fn random_key(env: &Env) -> [u8; KEY_BYTES] {
    let mut secret = [0; KEY_BYTES];
    env.fill_random(&mut secret);
    secret
}

fn bad_file(index: usize, what: &str) -> io::Error {
    invalid(&format!("line {} of the key ring {what}", index + 1))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests;
