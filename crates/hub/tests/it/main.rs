//! The hub through its handle on one side and a scripted worker on the wire on the other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;
mod handshake;
mod calls;
mod outcomes;
mod links;
mod rebinding;
mod payloads;
mod flow;
mod watches;
mod ends;
mod hostile;
mod chaos;
