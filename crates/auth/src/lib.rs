//! Who is calling, and may they.
//!
//! Invariants: nothing a client holds is believed unless a key of the [`KeyRing`] or a stored
//! hash proves it; unknown and foreign credentials are refused alike; a [`policy::Permit`] comes
//! from [`policy::decide`] and nowhere else.
//! This crate knows no HTTP, no gRPC and no MCP: it takes header values as plain bytes.
//! Start with [`keyring`] (ids and tokens), then [`clients`] (API keys), then [`policy`].

mod base64url;
mod secret_file;
pub mod keyring;
pub mod id;
pub mod credential;
pub mod clients;
pub mod workers;
pub mod admin;
pub mod policy;

pub use admin::AdminToken;
pub use clients::{ApiKey, Authenticator, TenantAccess};
pub use credential::{
    AuthError, BadCredential, CredentialKind, NewKey, check_hash, check_id, mint,
};
pub use id::{decode_id, encode_id};
pub use keyring::{BadToken, KeyRing, Purpose};
pub use policy::{Denied, Permit, decide};
pub use workers::{Serves, WorkerAccess, WorkerGrant, WorkerToken, WorkerTokens};
