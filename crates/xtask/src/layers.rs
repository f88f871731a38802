//! Who may depend on whom. A crate may use crates of lower layers only, and foreign vocabularies
//! stop at the crates named here.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::shell;

/// Layers from the bottom. A crate depends on crates of earlier lines only; those that stand in
/// one line do not know each other.
const LAYERS: &[&[&str]] = &[
    &["ostler-types"],
    &["ostler-env"],
    &["ostler-actor"],
    &["ostler-protocol", "ostler-auth", "ostler-store"],
    &["ostler-rpc", "ostler-catalog"],
    // The worker SDK and the client stand beside the platform: see `BESIDE`.
    &["ostler-hub", "ostler-worker", "ostler-client"],
    &["ostler-dispatch"],
    &["ostler-session", "ostler-task"],
    &["ostler-edge"],
    // So does the bridge, on top of both.
    &["ostler-node", "ostler-bridge"],
    &["ostler"],
];

/// Crates that may use only these of ours, whatever their layer.
const BESIDE: &[(&str, &[&str])] = &[
    ("ostler-protocol", &["ostler-types"]),
    (
        "ostler-worker",
        &[
            "ostler-types",
            "ostler-env",
            "ostler-protocol",
            "ostler-rpc",
        ],
    ),
    (
        "ostler-client",
        &["ostler-types", "ostler-env", "ostler-protocol"],
    ),
    (
        "ostler-bridge",
        &[
            "ostler-types",
            "ostler-env",
            "ostler-protocol",
            "ostler-worker",
            "ostler-client",
        ],
    ),
    (
        "ostler-hub",
        &[
            "ostler-types",
            "ostler-env",
            "ostler-actor",
            "ostler-protocol",
            "ostler-rpc",
            "ostler-auth",
            "ostler-catalog",
        ],
    ),
];

/// Development only: nothing shipped may depend on these.
const DEVELOPMENT: &[&str] = &["xtask", "ostler-testkit", "benches", "loadtests"];

/// Foreign vocabularies and the only crates that may use them.
const FOREIGN: &[(&[&str], &[&str])] = &[
    (
        &[
            "axum",
            "http",
            "hyper",
            "hyper-util",
            "http-body",
            "http-body-util",
        ],
        &["ostler-edge", "ostler-node", "ostler-client", "ostler"],
    ),
    (
        &["rustls", "tokio-rustls", "rustls-native-certs"],
        &["ostler-client"],
    ),
    (
        &["tonic", "tonic-prost", "prost"],
        &["ostler-rpc", "ostler-hub", "ostler-worker", "ostler-node"],
    ),
    (&["sled", "fjall"], &["ostler-store"]),
    (&["rusqlite"], &["ostler"]),
    (&["rand"], &["ostler-env"]),
];

pub fn check() -> anyhow::Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(shell::root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("reading cargo metadata")?;
    let heights = heights(&metadata)?;
    let packages = metadata
        .packages
        .iter()
        .filter(|p| !is_development(p.name.as_str()));
    Ok(packages
        .flat_map(|package| faults(package, &heights))
        .collect())
}

fn is_development(name: &str) -> bool {
    DEVELOPMENT.contains(&name)
}

fn heights(metadata: &Metadata) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut heights = BTreeMap::new();
    for (height, names) in LAYERS.iter().enumerate() {
        heights.extend(names.iter().map(|name| (name.to_string(), height)));
    }
    for package in &metadata.packages {
        let name = package.name.as_str();
        if !is_development(name) && !heights.contains_key(name) {
            bail!("{name} has no layer; give it one in crates/xtask/src/layers.rs");
        }
    }
    Ok(heights)
}

fn faults(package: &Package, heights: &BTreeMap<String, usize>) -> Vec<String> {
    let name = package.name.as_str();
    let shipped = |kind: &DependencyKind| matches!(kind, DependencyKind::Normal);
    let used = package.dependencies.iter().filter(|d| shipped(&d.kind));
    used.filter_map(|dependency| fault(name, &dependency.name, heights))
        .collect()
}

fn fault(name: &str, used: &str, heights: &BTreeMap<String, usize>) -> Option<String> {
    if is_development(used) {
        return Some(format!(
            "{name} ships {used}, which is for development only"
        ));
    }
    if let Some((_, allowed)) = FOREIGN.iter().find(|(foreign, _)| foreign.contains(&used)) {
        return (!allowed.contains(&name))
            .then(|| format!("{name} uses {used}, which only {allowed:?} may"));
    }
    let below = heights.get(used)?;
    if below >= &heights[name] {
        return Some(format!("{name} depends on {used}, which is not below it"));
    }
    let (_, allowed) = BESIDE.iter().find(|(beside, _)| *beside == name)?;
    (!allowed.contains(&used)).then(|| format!("{name} depends on {used}, which it must not know"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heights() -> BTreeMap<String, usize> {
        [
            ("ostler-types", 0),
            ("ostler-hub", 5),
            ("ostler-session", 7),
            ("ostler", 10),
        ]
        .map(|(name, height)| (name.to_string(), height))
        .into()
    }

    #[test]
    fn wrong_edges_are_found() {
        for (name, used) in [
            ("ostler-hub", "ostler-session"),
            ("ostler-hub", "ostler-testkit"),
            ("ostler-session", "hyper"),
            ("ostler-session", "sled"),
        ] {
            assert!(fault(name, used, &heights()).is_some(), "{name} -> {used}");
        }
        assert_eq!(fault("ostler-hub", "ostler-types", &heights()), None);
        assert_eq!(fault("ostler-hub", "tokio", &heights()), None);
    }
}
