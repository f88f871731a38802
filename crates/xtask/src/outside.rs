//! What may come in from outside: the two rules of `deny.toml` that must hold on every machine.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, NodeDep, PackageId};

use crate::shell;

/// Crates that nothing shipped may need, and why.
const BANNED: &[(&str, &str)] = &[
    ("openssl", "TLS is rustls with aws-lc-rs"),
    ("openssl-sys", "TLS is rustls with aws-lc-rs"),
    ("native-tls", "TLS is rustls with aws-lc-rs"),
    (
        "reqwest",
        "HTTP goes out through `client` alone, which must be able to tell DNS, TCP and TLS apart",
    ),
];

/// How Cargo begins the source of a published package; other sources are repositories and folders.
const REGISTRY: &str = "registry+";

pub fn check() -> anyhow::Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(shell::root().join("Cargo.toml"))
        .other_options(["--locked".to_string()])
        .exec()
        .context("reading cargo metadata with dependencies")?;
    let shipped = shipped(&metadata).context("cargo metadata resolved nothing")?;
    let faults = metadata.packages.iter().filter_map(|package| {
        let source = package.source.as_ref().map(|source| source.repr.as_str());
        fault(package.name.as_str(), source, shipped.contains(&package.id))
    });
    Ok(faults.collect())
}

fn fault(name: &str, source: Option<&str>, is_shipped: bool) -> Option<String> {
    if let Some(source) = source.filter(|source| !source.starts_with(REGISTRY)) {
        return Some(format!("{name} comes from {source}, not from a registry"));
    }
    let (_, reason) = BANNED.iter().find(|(banned, _)| *banned == name)?;
    is_shipped.then(|| format!("{name} is banned: {reason}"))
}

/// Our packages and all that they need to run or to be built: tests may need more.
fn shipped(metadata: &Metadata) -> Option<BTreeSet<&PackageId>> {
    let nodes = &metadata.resolve.as_ref()?.nodes;
    let needs: BTreeMap<_, _> = nodes.iter().map(|node| (&node.id, &node.deps)).collect();
    let mut open: Vec<&PackageId> = metadata.workspace_members.iter().collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let used = needs[id].iter().filter(|needed| is_shipped(needed));
            open.extend(used.map(|needed| &needed.pkg));
        }
    }
    Some(seen)
}

fn is_shipped(needed: &NodeDep) -> bool {
    let mut kinds = needed.dep_kinds.iter();
    kinds.any(|kind| kind.kind != DependencyKind::Development)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, source: Option<&str>, is_shipped: bool, is_fault: bool) {
        let found = fault(name, source, is_shipped);
        assert_eq!(found.is_some(), is_fault, "{name} {source:?} {found:?}");
    }

    #[test]
    fn what_comes_from_elsewhere_is_found() {
        check("ostler", None, true, false);
        check("tokio", Some(REGISTRY), true, false);
        check("tokio", Some("git+https://example.com/tokio"), false, true);
    }

    #[test]
    fn banned_crates_may_be_used_by_tests_only() {
        check("reqwest", Some(REGISTRY), true, true);
        check("reqwest", Some(REGISTRY), false, false);
    }
}
