//! The SDK against a scripted hub: a real gRPC service over an in-memory wire, with driven time.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod hub;
mod calls;
mod asks;
mod links;
mod hostile;
mod relays;
mod catalog;
mod example;
