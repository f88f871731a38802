//! Members of the bridge against real upstreams, through whole nodes where it matters.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod pool;
mod process;
mod stdio;
mod storm;
mod openapi;
mod openapi_calls;
mod described;
mod served;
mod lives;
mod world;
mod calls;
mod asks;
mod visits;
mod lists;
mod extensions;
mod processes;
mod restarts;
mod trouble;
