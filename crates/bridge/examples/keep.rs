//! The command `keep` of the binary `ostler` alone, for the tests of this crate.

use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    let order: Vec<OsString> = std::env::args_os().skip(1).collect();
    ostler_bridge::process::keep(&order)
}
