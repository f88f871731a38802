//! Compiles the protocol files in pure Rust, so that a build needs no system package.

use std::{env, error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let here = env::var("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&here).join("../../proto").canonicalize()?;
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
