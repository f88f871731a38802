//! Keys that people and workers hold: how they look, how they are stored, how they are compared.
//!
//! A key is `<prefix><16 hex digits of its id>_<43 characters of its secret>`. The id finds the
//! stored hash; the hash proves the key. The hash is BLAKE3 keyed by a fixed context rather than
//! by a pepper of the key ring: with 256 random bits nothing can be guessed, and so one
//! configuration serves every node and outlives every rotation of the ring.

use std::fmt::Write;

use ostler_env::Env;
use ostler_types::Secret;
use subtle::ConstantTimeEq;

use crate::base64url;

/// Why nobody was authenticated. Unknown, foreign, expired and damaged credentials look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("a credential is needed")]
    Missing,
    #[error("the credential is not valid here")]
    Invalid,
}

/// A credential in the configuration that cannot be used; the text says what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {id:?}: {problem}")]
pub struct BadCredential {
    pub id: String,
    pub problem: &'static str,
}

impl BadCredential {
    pub(crate) fn new(id: &str, problem: &'static str) -> Self {
        let id = id.to_owned();
        Self { id, problem }
    }
}

/// Who holds a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    Client,
    Worker,
}

impl CredentialKind {
    /// What a key starts with, for people and for scanners of leaked secrets.
    pub fn prefix(self) -> &'static str {
        match self {
            CredentialKind::Client => "osk_",
            CredentialKind::Worker => "owt_",
        }
    }
}

/// A key at the only moment at which it can be shown.
#[derive(Debug)]
pub struct NewKey {
    /// For its holder; kept nowhere.
    pub shown: Secret,
    /// For the configuration.
    pub hash: String,
    /// For the configuration, logs and audit.
    pub id: String,
}

/// Makes a key of 256 random bits.
pub fn mint(env: &Env, kind: CredentialKind) -> NewKey {
    let mut id_bytes = [0; ID_CHARS / 2];
    let mut secret = [0; SECRET_BYTES];
    env.fill_random(&mut id_bytes);
    env.fill_random(&mut secret);
    let id = hex(&id_bytes);
    let shown = format!("{}{id}_{}", kind.prefix(), base64url::encode(&secret));
    let hash = Hash::of(&shown).to_text();
    NewKey {
        shown: Secret::new(shown),
        hash,
        id,
    }
}

const ID_CHARS: usize = 16;
const SECRET_BYTES: usize = 32;
const HASH_PREFIX: &str = "blake3:";

/// What is stored of a key.
pub(crate) struct Hash([u8; 32]);

impl Hash {
    pub(crate) fn of(key: &str) -> Self {
        Self(blake3::derive_key(
            "ostler credential hash v1",
            key.as_bytes(),
        ))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        base64url::decode_array(text.strip_prefix(HASH_PREFIX)?).map(Self)
    }

    fn to_text(&self) -> String {
        format!("{HASH_PREFIX}{}", base64url::encode(&self.0))
    }

    pub(crate) fn matches(&self, key: &str) -> bool {
        self.0.ct_eq(&Self::of(key).0).into()
    }
}

/// Whether `id` can be the id of a key.
pub(crate) fn is_id(id: &str) -> bool {
    let inner = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    id.len() == ID_CHARS && id.bytes().all(inner)
}

const ID_FORM: &str = "must be 16 hex digits in lower case, as `ostler key new` prints them";
const HASH_FORM: &str =
    "must be `blake3:` and 43 characters of base64url, as `ostler key new` prints them";

/// Whether a node takes this id of a key from its configuration; the error says what is allowed.
pub fn check_id(id: &str) -> Result<(), &'static str> {
    is_id(id).then_some(()).ok_or(ID_FORM)
}

/// The same for the stored hash of a key.
pub fn check_hash(hash: &str) -> Result<(), &'static str> {
    Hash::parse(hash).map(|_| ()).ok_or(HASH_FORM)
}

/// Checks an id and a hash of the configuration.
pub(crate) fn check_stored(id: &str, hash: &str) -> Result<Hash, BadCredential> {
    let bad = |problem| BadCredential::new(id, problem);
    check_id(id).map_err(bad)?;
    Hash::parse(hash).ok_or(bad(HASH_FORM))
}

/// The id inside a key of this kind; nothing for text of any other form.
pub(crate) fn id_of(kind: CredentialKind, key: &str) -> Option<&str> {
    let (id, rest) = key
        .strip_prefix(kind.prefix())?
        .split_at_checked(ID_CHARS)?;
    let secret: [u8; SECRET_BYTES] = base64url::decode_array(rest.strip_prefix('_')?)?;
    (is_id(id) && secret.len() == SECRET_BYTES).then_some(id)
}

/// The token of `Bearer <token>`; the scheme in any case (RFC 9110 section 11.1).
pub(crate) fn bearer(authorization: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(authorization).ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' '))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_carries_its_id_and_proves_its_hash() {
        for kind in [CredentialKind::Client, CredentialKind::Worker] {
            let key = mint(&Env::seeded(1), kind);
            let shown = key.shown.expose();
            assert_eq!(shown.len(), 64, "{shown}");
            assert!(shown.starts_with(kind.prefix()));
            assert_eq!(id_of(kind, shown), Some(key.id.as_str()));
            assert!(Hash::parse(&key.hash).unwrap().matches(shown));
        }
    }

    #[test]
    fn a_hash_proves_no_other_key() {
        let env = Env::seeded(1);
        let key = mint(&env, CredentialKind::Client);
        let other = mint(&env, CredentialKind::Client);
        assert_ne!(key.id, other.id);
        assert!(
            !Hash::parse(&key.hash)
                .unwrap()
                .matches(other.shown.expose())
        );
    }

    #[test]
    fn only_the_exact_form_is_a_key() {
        let key = mint(&Env::seeded(1), CredentialKind::Client);
        let shown = key.shown.expose();
        assert_eq!(id_of(CredentialKind::Worker, shown), None);
        for bad in [
            "",
            "osk_",
            "osk_0123456789abcdef_",
            &shown.to_uppercase(),
            &shown[..63],
            &format!("{shown}A"),
            &format!("{shown}="),
            &shown.replacen('_', "-", 2),
            &format!("osk_€{}", &shown[7..]),
        ] {
            assert_eq!(id_of(CredentialKind::Client, bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_minted_can_be_stored_and_little_else() {
        let key = mint(&Env::seeded(1), CredentialKind::Client);
        assert_eq!((check_id(&key.id), check_hash(&key.hash)), (Ok(()), Ok(())));
        for bad in ["", &key.id[1..], &key.id.to_uppercase().replace('0', "A")] {
            assert_eq!(check_id(bad), Err(ID_FORM), "{bad}");
        }
        for bad in [
            "",
            &key.hash[7..],
            &"0".repeat(64),
            &format!("{}=", key.hash),
        ] {
            assert_eq!(check_hash(bad), Err(HASH_FORM), "{bad}");
        }
    }

    #[test]
    fn a_key_is_not_in_its_debug_form() {
        let key = mint(&Env::seeded(1), CredentialKind::Client);
        assert!(!format!("{key:?}").contains(key.shown.expose()));
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        for good in ["Bearer abc", "bearer abc", "BEARER  abc"] {
            assert_eq!(bearer(good.as_bytes()), Some("abc"), "{good}");
        }
        for bad in [&b"Basic abc"[..], b"Bearer", b"abc", b"", b"Bearer \xff"] {
            assert_eq!(bearer(bad), None, "{bad:?}");
        }
    }
}
