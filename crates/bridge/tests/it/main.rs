//! The bridge as a crate, with real processes where it has some.

mod pool;
mod process;
mod stdio;
