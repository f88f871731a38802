//! The project's own commands: `cargo xtask test|tidy|sim|interop|kill|power`.
//!
//! Purpose: one way to check everything, the same here and in CI.
//! Must not know: any of our crates; it looks at them from outside.

mod shell;
mod test;
mod sim;
mod tidy;
mod layers;
mod outside;
mod child;
mod node;
mod interop;
mod power;
mod kill;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["test"] => test::run(),
        ["tidy"] => tidy::run(),
        ["sim", arguments @ ..] => sim::run(arguments),
        ["interop", only @ ..] => interop::run(only),
        ["power", arguments @ ..] => power::run(arguments),
        ["kill", options @ ..] => kill::run(options),
        _ => {
            eprintln!("{USAGE}");
            std::process::exit(2);
        }
    }
}

const USAGE: &str = "\
cargo xtask test               format, lints, tidy, all tests; needs no network
cargo xtask tidy               layers, sources, lengths, dead paths in documents
cargo xtask sim [--runs N] [--seed S]
                               simulated worlds, one for each seed, until one breaks a promise
cargo xtask interop [NAME...]  the official conformance suite and real clients (fetches them);
                               names: suite, clients, restart, matrix, hosted, bridged, sdks
cargo xtask kill [--cycles N] [--seed S]
                               a node killed under clients and workers that write down every fact,
                               and the servers of a bridge under calls
cargo xtask power [--cycles N] [--seed N] [--engine NAME]
                               power cuts under a writing store, a full disk under a node; needs
                               root, loop devices and strace";
