use std::process::Command;

use ostler_testkit::sim;

/// As many as fit into a few seconds of an unoptimized build.
const SEEDS: std::ops::Range<u64> = 1..25;

#[test]
fn no_world_breaks_a_promise() {
    let mut calls = 0;
    for seed in SEEDS {
        let report = sim::run(seed);
        calls += report.calls;
        assert_eq!(
            report.violations,
            Vec::<String>::new(),
            "seed {seed}; its history: cargo xtask sim --runs 1 --seed {seed}\n{}",
            report.lines.join("\n")
        );
    }
    assert!(calls > 0, "nobody asked for anything");
}

#[test]
fn one_seed_has_one_history() {
    for seed in [1, 7, 99] {
        let (first, second) = (sim::run(seed), sim::run(seed));
        assert_eq!(first.lines, second.lines, "seed {seed}");
        assert_ne!(first.digest, sim::run(seed + 1).digest);
        let digest = format!("history {:016x}", first.digest);
        let printed = elsewhere(seed);
        assert!(printed.contains(&digest), "another process: {printed}");
    }
}

/// What another process prints of the same seed.
fn elsewhere(seed: u64) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    let seed = seed.to_string();
    let output = command
        .args(["--runs", "1", "--show", "--seed", &seed])
        .output();
    let output = output.expect("the binary of this package runs");
    String::from_utf8(output.stdout).expect("it prints text")
}
