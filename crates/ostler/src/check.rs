//! `ostler check`: every problem of a configuration at once.

use std::process::ExitCode;

use anyhow::Context;
use ostler_node::Config;

use crate::cli::Check;

pub fn run(arguments: &Check) -> anyhow::Result<ExitCode> {
    let path = arguments.config.display();
    let text =
        std::fs::read_to_string(&arguments.config).with_context(|| format!("reading {path}"))?;
    match Config::parse(&text) {
        Ok(_) => {
            println!("{path}: good");
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            for problem in &problems {
                println!("{path}: {problem}");
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
