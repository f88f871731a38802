//! An MCP client for every revision, over HTTP or a pipe: what a Server offers, called from Rust.
//!
//! Invariant: whatever the server sends is read within bounds, and no loop over its answers is
//! without an end. A credential goes to the origin it was given for and nowhere else. What is asked
//! for one owner of a request is shown to no other.
//! Must not know: terminals, people, configuration, or anything of the platform but its wire
//! values. Asks and news go to a [`Host`]; what a person sees of them is the host's business.
//! Start with [`Client::connect`]; `negotiate` finds the era, `modern` and `legacy` speak it.

// What both eras share.
mod error;
pub mod code;
mod json;
mod message;
mod host;
mod limits;
mod stop;
mod pace;
// HTTP.
mod reach;
mod dial;
mod tls;
mod http;
mod events;
mod news;
// Channels that requests share.
mod switch;
mod pipe;
mod way;
// The eras.
mod headers;
mod modern;
mod legacy;
mod negotiate;
mod request;
mod client;
mod probe;

pub use crate::{
    client::{Client, Facts, Options},
    dial::{Step, Target, connect, resolve, secure},
    error::Error,
    events::EventStream,
    headers::{mirrors, param_mirrors},
    host::{Abilities, Answer, Answering, Ask, Behalf, Host, Notice},
    http::{Endpoint, Http, Reply, Verb},
    json::{array, object, parse, text_member},
    limits::Limits,
    message::{RpcError, ping},
    negotiate::EraChoice,
    pipe::Pipe,
    probe::knock,
    reach::Reach,
    request::{Filter, ListKind, Request},
    stop::{Stop, Stopper, stopper},
    tls::Tls,
};
