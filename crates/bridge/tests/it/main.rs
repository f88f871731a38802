//! The bridge as a crate, with real processes where it has some.

mod pool;
mod process;
mod stdio;
//! Members of the bridge against real upstreams, through whole nodes where it matters.

mod openapi;
mod openapi_calls;
