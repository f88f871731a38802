//! Compiles the protocol files in pure Rust, so that a build needs no system package.

use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let file = root.join("ostler/worker/v1/worker.proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile([file], [root])?;
    tonic_prost_build::configure()
        .bytes(".")
        .build_client(true)
        .build_server(true)
        .compile_fds(descriptors)?;
    Ok(())
}
