//! The bridge as a crate, with real processes where it has some.

mod process;
mod stdio;
