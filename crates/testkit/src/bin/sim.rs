//! `cargo xtask sim`: worlds of many seeds, until one breaks a promise.

use std::{process::ExitCode, time::Duration};

use ostler_testkit::sim;

fn main() -> ExitCode {
    let wanted = match Wanted::read(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match wanted.run() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

const USAGE: &str = "\
usage: cargo xtask sim [--runs N] [--seed S] [--keep-going] [--show]
  --runs N      worlds, of N seeds in a row; 200 unless told
  --seed S      the first seed; 1 unless told
  --keep-going  not only up to the first violation
  --show        print every history";

struct Wanted {
    runs: u64,
    seed: u64,
    keep_going: bool,
    show: bool,
}

impl Wanted {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut wanted = Self {
            runs: 200,
            seed: 1,
            keep_going: false,
            show: false,
        };
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse().ok());
                value.ok_or_else(|| format!("{argument} needs a number"))
            };
            match argument.as_str() {
                "--runs" => wanted.runs = number()?,
                "--seed" => wanted.seed = number()?,
                "--keep-going" => wanted.keep_going = true,
                "--show" => wanted.show = true,
                other => return Err(format!("{other} is not understood")),
            }
        }
        Ok(wanted)
    }

    /// Whether calls were made and no promise was broken.
    fn run(&self) -> bool {
        let (mut broken, mut calls, mut lived) = (0, 0, Duration::ZERO);
        for seed in self.seed..self.seed + self.runs {
            let report = sim::run(seed);
            calls += report.calls;
            lived += report.lived;
            let is_good = report.violations.is_empty();
            if self.show || !is_good {
                show(&report, self.show || !self.keep_going);
            }
            broken += u64::from(!is_good);
            if !is_good && !self.keep_going {
                return false;
            }
        }
        println!(
            "{} worlds from seed {}: {calls} calls in {} simulated hours; {broken} broke a promise",
            self.runs,
            self.seed,
            lived.as_secs() / 3600,
        );
        // Worlds in which nobody asks for anything show nothing.
        broken == 0 && calls > 0
    }
}

fn show(report: &sim::Report, with_history: bool) {
    let sim::Report { seed, digest, .. } = report;
    if with_history {
        report.lines.iter().for_each(|line| println!("{line}"));
    }
    for violation in &report.violations {
        println!("seed {seed}: VIOLATION {violation}");
    }
    println!(
        "seed {seed}: history {digest:016x}; again with: cargo xtask sim --runs 1 --seed {seed}"
    );
}
