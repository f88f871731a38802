//! Rules about the code that no compiler checks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

use crate::{layers, outside, shell};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Words that may not stand in source files, and why. Split so that this file passes itself.
const BANNED: &[(&str, &str)] = &[
    (concat!("to", "do!("), "finish it or open an issue"),
    (concat!("unimpl", "emented!("), "finish it or open an issue"),
    (concat!("FIX", "ME"), "open an issue"),
    (concat!("TO", "DO"), "open an issue"),
    (
        concat!("#[ig", "nore"),
        "a test that does not run proves nothing",
    ),
];

/// Folders or files, and what they must not mention (ARCHITECTURE.md, "Never").
const SILENCE: &[(&str, &[&str])] = &[
    (
        "crates/protocol/src",
        &[
            "tokio::",
            "tracing::",
            "metrics::",
            "std::time::Instant",
            "std::fs",
        ],
    ),
    (
        "crates/session/src/state",
        &[
            "tokio::",
            "tracing::",
            "metrics::",
            "ostler_env",
            "async fn",
            ".await",
        ],
    ),
    (
        "crates/task/src/state",
        &[
            "tokio::",
            "tracing::",
            "metrics::",
            "ostler_env",
            "async fn",
            ".await",
        ],
    ),
    ("crates/session/src", &["StatusCode", "HeaderMap", "http::"]),
    ("crates/task/src", &["StatusCode", "HeaderMap", "http::"]),
    (
        "crates/dispatch/src",
        &["StatusCode", "HeaderMap", "http::"],
    ),
    (
        "crates/edge/src/modern",
        &["ostler_session", "ostler_store"],
    ),
    (
        "crates/hub/src",
        &["ostler_session", "ostler_task", "ostler_dispatch"],
    ),
];

pub fn run() -> anyhow::Result<()> {
    let mut faults = layers::check()?;
    faults.extend(outside::check()?);
    for file in tracked_files()? {
        faults.extend(check_file(&file)?);
    }
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    ensure!(faults.is_empty(), "{} things to tidy", faults.len());
    Ok(())
}

fn tracked_files() -> anyhow::Result<Vec<PathBuf>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git")
        .args(arguments)
        .current_dir(shell::root())
        .output()
        .context("listing files")?;
    ensure!(listed.status.success(), "git ls-files failed");
    let text = String::from_utf8(listed.stdout).context("file names are UTF-8")?;
    Ok(text
        .lines()
        .map(PathBuf::from)
        .filter(|file| shell::root().join(file).is_file())
        .collect())
}

fn check_file(file: &Path) -> anyhow::Result<Vec<String>> {
    let name = file.display().to_string();
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => Ok(check_source(&name, &read(file)?)),
        Some("md") => Ok(check_document(&name, &read(file)?)),
        _ => Ok(Vec::new()),
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(shell::root().join(file))
        .with_context(|| format!("reading {}", file.display()))
}

fn check_source(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > FILE_LINES_MAX {
        faults.push(format!(
            "{name}: {} lines, at most {FILE_LINES_MAX}",
            lines.len()
        ));
    }
    faults.extend(long_functions(&lines).into_iter().map(|(line, length)| {
        format!("{name}:{line}: a function of {length} lines, at most {FUNCTION_LINES_MAX}")
    }));
    for (word, reason) in BANNED {
        if text.contains(word) {
            faults.push(format!("{name}: says {word:?}: {reason}"));
        }
    }
    for (_, words) in SILENCE.iter().filter(|(place, _)| name.starts_with(place)) {
        let said = words.iter().filter(|word| code_contains(&lines, word));
        faults.extend(said.map(|word| format!("{name}: must not know {word:?}")));
    }
    faults
}

/// Whether code (not comments, not the tests at the end of a file) mentions `word`.
fn code_contains(lines: &[&str], word: &str) -> bool {
    let code = lines
        .iter()
        .take_while(|line| !line.starts_with("#[cfg(test)]"));
    code.into_iter()
        .any(|line| !line.trim_start().starts_with("//") && line.contains(word))
}

/// First line and length of each function over the limit, by its indentation: rustfmt puts the
/// closing brace under the `fn`.
fn long_functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if !is_function(line.trim_start()) {
            continue;
        }
        let closing = format!("{}}}", " ".repeat(indent));
        let length = lines[start..]
            .iter()
            .position(|l| {
                *l == closing
                    || l.trim_end().ends_with(';') && l.len() > indent && !l.starts_with(' ')
            })
            .map(|n| n + 1);
        if let Some(length) = length.filter(|length| *length > FUNCTION_LINES_MAX) {
            found.push((start + 1, length));
        }
    }
    found
}

fn is_function(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().take(5).collect();
    let head = words
        .iter()
        .take_while(|w| w.starts_with("pub") || matches!(**w, "async" | "const" | "fn"));
    head.into_iter().any(|word| *word == "fn") && line.contains('(') || line.starts_with("fn ")
}

/// Paths that a document names in backticks must exist.
fn check_document(name: &str, text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let dead = quoted.filter(|quoted| {
        is_path(quoted) && !shell::root().join(quoted.trim_end_matches('/')).exists()
    });
    dead.map(|path| format!("{name}: names {path}, which does not exist"))
        .collect()
}

fn is_path(quoted: &str) -> bool {
    const ROOTS: [&str; 6] = [
        "crates/",
        "proto/",
        "deploy/",
        "benches/",
        "loadtests/",
        "sdks/",
    ];
    ROOTS.iter().any(|root| quoted.starts_with(root))
        && !quoted.contains(['*', '<', '{', ' ', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_function_is_found() {
        let body = "    work();\n".repeat(FUNCTION_LINES_MAX);
        let text = format!("fn short() {{\n}}\n\npub async fn long() {{\n{body}}}\n");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(long_functions(&lines), [(4, FUNCTION_LINES_MAX + 2)]);
    }

    #[test]
    fn what_a_folder_must_not_know_is_found_in_code_only() {
        let check = |text: &str| check_source("crates/dispatch/src/lib.rs", text).len();
        assert_eq!(check("use x::StatusCode;"), 1);
        assert_eq!(check("// no StatusCode here"), 0);
        assert_eq!(check("#[cfg(test)]\nuse x::StatusCode;"), 0);
    }

    #[test]
    fn a_dead_path_in_a_document_is_found() {
        assert_eq!(
            check_document("X.md", "see `crates/nowhere/src/lib.rs`").len(),
            1
        );
        assert_eq!(
            check_document("X.md", "see `crates/xtask` and `crates/<name>`").len(),
            0
        );
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(
            check_source("x.rs", &"\n".repeat(FILE_LINES_MAX + 1)).len(),
            1
        );
    }
}
