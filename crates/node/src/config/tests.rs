use std::collections::BTreeSet;

use ostler_auth::{Authenticator, Serves, WorkerTokens};
use ostler_env::Env;

use super::*;

const SAMPLE: &str = include_str!("../../../../deploy/ostler.toml");

fn problems(text: &str) -> Vec<String> {
    let problems = Config::parse(text).expect_err("a bad configuration");
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_sample_shows_the_defaults() {
    let sample = Config::parse(SAMPLE).expect("the sample is good");
    assert_eq!(format!("{sample:#?}"), format!("{:#?}", Config::default()));
}

#[test]
fn the_sample_shows_every_key() {
    let text = sample_with_tenant();
    let mut reader = Reader::new(&text);
    let mut top = reader.document();
    Config::default().read(&mut reader, &mut top);
    let shown = keys_of(&sample_with_tenant());
    let missing: Vec<_> = reader.known.difference(&shown).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The path of every table and key that stands in `text`.
fn keys_of(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let path = |line: &str| {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']).to_string();
            return Some(section.clone());
        }
        let (key, _) = line.split_once(" = ").filter(|_| !line.starts_with('#'))?;
        Some(
            format!("{section}.{key}")
                .trim_start_matches('.')
                .to_string(),
        )
    };
    text.lines().filter_map(path).collect()
}

/// The sample with its tenant uncommented.
fn sample_with_tenant() -> String {
    let from = SAMPLE
        .find("# [[tenant]]")
        .expect("the sample has a tenant");
    let (text, tenant) = SAMPLE.split_at(from);
    let lines = tenant
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(""));
    let tenant: Vec<&str> = lines.collect();
    format!("{text}{}\n", tenant.join("\n"))
}

#[test]
fn the_commented_tenant_of_the_sample_is_good() {
    let config = Config::parse(&sample_with_tenant()).expect("good once uncommented");
    let env = Env::seeded(1);
    assert!(Authenticator::new(&env, &config.access.tenants).is_ok());
    assert!(WorkerTokens::new(&env, &config.access.workers).is_ok());
    let (name, access) = &config.access.tenants[0];
    assert_eq!((name.as_str(), access.keys.len()), ("acme", 1));
    assert_eq!(config.access.workers.tokens.len(), 1);
}

#[test]
fn every_problem_is_reported_with_its_line() {
    let text = "drain_timeout_s = 0\n[edge]\nlisten = \"nowhere\"\nlisen = 1\n[store]\nengine = \"papyrus\"\n";
    assert_eq!(
        problems(text),
        [
            "line 1: drain_timeout_s: must be a whole number of at least 1",
            "line 3: edge.listen: must be ADDRESS:PORT such as 127.0.0.1:8080, not \"nowhere\"",
            "line 4: edge.lisen: unknown key; known here: body_timeout_s, default_server, first_byte_timeout_s, \
             header_timeout_s, hosts, initialize_timeout_s, keep_alive_s, listen, origins, peer_timeout_s, stall_timeout_s, stream_after_ms, task_after_ms",
            "line 6: store.engine: must be one of \"sled\", \"fjall\", \"memory\"",
        ]
    );
}

#[test]
fn broken_toml_is_a_problem_with_its_line() {
    let found = problems("[edge]\nlisten = \n");
    assert!(found[0].starts_with("line 2: syntax: "), "{found:?}");
}

#[test]
fn tenants_are_checked() {
    let text = "[[tenant]]\nname = \"Acme\"\n[[tenant]]\n[[tenant.key]]\nid = \"a\"\n";
    let found = problems(text);
    assert!(
        found
            .iter()
            .any(|p| p.contains("tenant.name: a tenant name has")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|p| p.contains("tenant.name: is required")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|p| p.contains("tenant.key.hash: is required")),
        "{found:?}"
    );
}

#[test]
fn two_tenants_of_one_name_are_refused() {
    let found = problems("[[tenant]]\nname = \"a\"\n[[tenant]]\nname = \"a\"\n");
    assert_eq!(
        found,
        ["line 3: tenant.name: a is there already; names are unique"]
    );
}

#[test]
fn anonymous_works_on_loopback_only() {
    let mut config = Config::default();
    assert!(config.allow_anonymous().is_ok());
    config.edge.listen = "0.0.0.0:80".parse().expect("an address");
    assert!(config.allow_anonymous().is_err());
}

const HASH: &str = "blake3:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[test]
fn what_no_node_starts_with_is_a_problem() {
    let key = |table: &str, id: &str, hash: &str| {
        format!("[[tenant.{table}]]\nid = \"{id}\"\nhash = \"{hash}\"\n")
    };
    let id = "0123456789abcdef";
    for (table, second, line, what) in [
        (
            "key",
            key("key", "alice", HASH),
            7,
            "tenant.key.id: must be 16 hex digits",
        ),
        (
            "key",
            key("key", "f0f0f0f0f0f0f0f0", "00"),
            8,
            "tenant.key.hash: must be `blake3:`",
        ),
        (
            "key",
            key("key", id, HASH),
            6,
            "tenant.key.id: 0123456789abcdef is there already",
        ),
        (
            "worker",
            key("worker", id, HASH),
            6,
            "tenant.worker.id: 0123456789abcdef is there",
        ),
        (
            "worker",
            key("worker", "X", HASH),
            7,
            "tenant.worker.id: must be 16 hex digits",
        ),
    ] {
        let text = format!("[[tenant]]\nname = \"a\"\n{}{second}", key(table, id, HASH));
        let found = problems(&text);
        assert!(
            found[0].starts_with(&format!("line {line}: {what}")),
            "{found:?}"
        );
        assert_eq!(found.len(), 1, "{found:?}");
    }
}

#[test]
fn names_and_filters_that_never_match_are_problems() {
    for (text, expected) in [
        (
            "[edge]\norigins = [\"https://a/\"]",
            "line 2: edge.origins: must be scheme://host",
        ),
        (
            "[edge]\nhosts = [\"https://a\"]",
            "line 2: edge.hosts: must be host",
        ),
        (
            "[admin]\nhosts = [\"a/b\"]",
            "line 2: admin.hosts: must be host",
        ),
        (
            "[log]\nfilter = \"info,a=b=c\"",
            "line 2: log.filter: log filter not understood",
        ),
        (
            "tenant = [\"acme\"]",
            "line 1: tenant: must be tables [[tenant]], not string",
        ),
    ] {
        let found = problems(text);
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn anonymous_callers_are_taken_where_the_file_says_so() {
    let text = "[workers]\nanonymous = true\n[[tenant]]\nname = \"a\"\nanonymous = true\n\
                anonymous_scopes = [\"read\"]\n[[tenant]]\nname = \"b\"\n";
    let access = Config::parse(text).expect("good on loopback").access;
    let scopes = |at: usize| access.tenants[at].1.anonymous.clone();
    assert_eq!(
        (scopes(0), scopes(1)),
        (Some(vec!["read".to_string()]), None)
    );
    let a = TenantId::parse("a").expect("a label");
    assert_eq!(access.workers.anonymous, [Serves::Tenant(a)]);
}

#[test]
fn anonymous_is_refused_where_it_would_open_too_much() {
    let tenant = "[[tenant]]\nname = \"a\"\n";
    for (text, expected) in [
        (
            format!("edge.listen = \"0.0.0.0:80\"\n{tenant}anonymous = true\n"),
            "line 4: tenant.anonymous: works on loopback only",
        ),
        (
            format!(
                "workers.listen = \"0.0.0.0:80\"\nworkers.anonymous = true\n{tenant}anonymous = true\n"
            ),
            "line 2: workers.anonymous: works on loopback only",
        ),
        (
            format!("workers.anonymous = true\n{tenant}"),
            "line 1: workers.anonymous: needs a [[tenant]] with anonymous = true",
        ),
        (
            format!("{tenant}anonymous_scopes = []\n"),
            "line 1: tenant.anonymous_scopes: means nothing without",
        ),
    ] {
        let found = problems(&text);
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn anonymous_workers_of_the_command_line_serve_the_default_tenant_only() {
    let mut config = Config::default();
    config.allow_anonymous().expect("on loopback");
    let tenant = TenantId::parse("default").expect("a label");
    assert_eq!(config.access.workers.anonymous, [Serves::Tenant(tenant)]);
}
