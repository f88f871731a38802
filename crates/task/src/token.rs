//! `requestState`: what a client carries between the rounds of a call.
//!
//! Attacker-controlled when it comes back [MR-5], so it is sealed, and bound to the principal,
//! the Server and the request it was made for. It names its owner (the actor) and the round,
//! and carries the answers so far, so that a call that may run again can do so even when
//! nothing else is left of it [TR-2].

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use ostler_auth::{KeyRing, keyring::Purpose};
use ostler_env::Env;
use ostler_protocol::Raw;
use ostler_types::{TaskId, Timestamp};

use crate::{
    digest::Digest,
    facts::{Binding, Owner},
    known::KnownAnswers,
    record::parts::{StoredKnown, decode_known, encode_known, kind_number},
    state::Asked,
};

/// Why a `requestState` was refused. For logs and metrics; the client learns only that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadState {
    TooLong,
    /// Forged, damaged, or of a key that is gone.
    Seal,
    /// Sealed by us, but not in a form this version reads.
    Form,
    Principal,
    Server,
    Target,
    Arguments,
    Expired,
    /// Of a round that was never shown.
    Round,
}

impl BadState {
    pub const ALL: &[BadState] = &[
        Self::TooLong,
        Self::Seal,
        Self::Form,
        Self::Principal,
        Self::Server,
        Self::Target,
        Self::Arguments,
        Self::Expired,
        Self::Round,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Seal => "seal",
            Self::Form => "form",
            Self::Principal => "principal",
            Self::Server => "server",
            Self::Target => "target",
            Self::Arguments => "arguments",
            Self::Expired => "expired",
            Self::Round => "round",
        }
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub owner: Owner,
    pub binding: Binding,
    pub task: TaskId,
    pub round: u32,
    pub expires_at: Timestamp,
    pub asked: Vec<AskedKey>,
    pub replay_safe: bool,
    /// Left out, and marked as not complete, when it is too long.
    pub known: KnownAnswers,
}

/// One question of the round.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AskedKey {
    #[n(0)]
    pub shown: String,
    #[n(1)]
    pub key: String,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub question: Digest,
}

impl From<&Asked> for AskedKey {
    fn from(asked: &Asked) -> Self {
        Self {
            shown: asked.shown.clone(),
            key: asked.question.key.clone(),
            question: asked.digest(),
        }
    }
}

/// The sealed form. Numbers are never reused.
#[derive(Encode, Decode)]
struct Sealed {
    #[n(0)]
    tenant: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    principal: Digest,
    #[n(2)]
    server: String,
    #[n(3)]
    kind: u8,
    #[cbor(n(4), with = "minicbor::bytes")]
    target: Digest,
    #[cbor(n(5), with = "minicbor::bytes")]
    arguments: Digest,
    #[cbor(n(6), with = "minicbor::bytes")]
    task: [u8; 24],
    #[n(7)]
    round: u32,
    #[n(8)]
    expires_ms: u64,
    #[n(9)]
    asked: Vec<AskedKey>,
    #[n(10)]
    replay_safe: bool,
    #[n(11)]
    known: Vec<StoredKnown>,
    #[n(12)]
    complete: bool,
}

impl Token {
    /// The token as the client carries it. Answers that make it too long are left out; the call
    /// still resumes while it lives, it only cannot run again without them.
    pub fn seal(&self, keys: &KeyRing, env: &Env, bytes_max: usize) -> String {
        let full = sealed_len(self.encode(true).len()) <= bytes_max;
        keys.seal(Purpose::RequestState, AAD, &self.encode(full), env)
    }

    fn encode(&self, with_known: bool) -> Vec<u8> {
        let sealed = Sealed {
            tenant: self.owner.tenant.as_str().to_owned(),
            principal: self.owner.principal,
            server: self.owner.server.as_str().to_owned(),
            kind: kind_number(self.binding.kind),
            target: self.binding.target,
            arguments: self.binding.arguments,
            task: self.task.0,
            round: self.round,
            expires_ms: self.expires_at.0,
            asked: self.asked.clone(),
            replay_safe: self.replay_safe,
            known: match with_known {
                true => encode_known(&self.known),
                false => Vec::new(),
            },
            complete: with_known && self.known.complete,
        };
        minicbor::to_vec(sealed).expect("writing to memory does not fail")
    }

    /// Opens a token and checks that it belongs to this request [TR-8].
    pub fn open(
        text: &str,
        keys: &KeyRing,
        bytes_max: usize,
        now: Timestamp,
        owner: &Owner,
        binding: &Binding,
    ) -> Result<Self, BadState> {
        if text.len() > bytes_max {
            return Err(BadState::TooLong);
        }
        let plain = keys
            .open(Purpose::RequestState, AAD, text)
            .map_err(|_| BadState::Seal)?;
        let sealed = decode_all(&plain).ok_or(BadState::Form)?;
        sealed.check(now, owner, binding)?;
        let known = decode_known(sealed.known, sealed.complete).map_err(|_| BadState::Form)?;
        Ok(Self {
            owner: owner.clone(),
            binding: binding.clone(),
            task: TaskId(sealed.task),
            round: sealed.round,
            expires_at: Timestamp(sealed.expires_ms),
            asked: sealed.asked,
            replay_safe: sealed.replay_safe,
            known,
        })
    }

    /// All answers there are for a call that runs again: those of the token, and those that
    /// came with it for the questions of its round. `None` if some are missing or it may not.
    pub fn rerun(&self, values: &BTreeMap<String, Raw>) -> Option<KnownAnswers> {
        let mut known = self.known.rewound();
        for asked in &self.asked {
            if let Some(value) = values.get(&asked.shown) {
                known.push(
                    asked.key.clone(),
                    Some(asked.question),
                    value.clone(),
                    false,
                );
            }
        }
        (self.replay_safe && known.complete).then_some(known)
    }
}

/// Separates this form from any later one.
const AAD: &[u8] = b"ostler requestState v1";

impl Sealed {
    fn check(&self, now: Timestamp, owner: &Owner, binding: &Binding) -> Result<(), BadState> {
        let same_server =
            self.tenant == owner.tenant.as_str() && self.server == owner.server.as_str();
        let same_target = self.kind == kind_number(binding.kind) && self.target == binding.target;
        let checks = [
            (self.principal == owner.principal, BadState::Principal),
            (same_server, BadState::Server),
            (same_target, BadState::Target),
            (self.arguments == binding.arguments, BadState::Arguments),
            (now < Timestamp(self.expires_ms), BadState::Expired),
        ];
        match checks.into_iter().find(|(good, _)| !good) {
            Some((_, bad)) => Err(bad),
            None => Ok(()),
        }
    }
}

/// Decodes all of `bytes`: what is left over makes it something else.
fn decode_all(bytes: &[u8]) -> Option<Sealed> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let sealed = decoder.decode().ok()?;
    (decoder.position() == bytes.len()).then_some(sealed)
}

/// How long `plain` bytes become: key id, nonce and tag, then base64url.
fn sealed_len(plain: usize) -> usize {
    const OVERHEAD_BYTES: usize = 4 + 24 + 16;
    (plain + OVERHEAD_BYTES).div_ceil(3) * 4
}

#[cfg(test)]
mod tests;
