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
    let mut reader = Reader::new("");
    let mut top = reader.document();
    Config::default().read(&mut reader, &mut top);
    for path in &reader.known {
        let key = path.rsplit('.').next().expect("a key");
        let shown = |line: &str| {
            line.trim_start_matches(['#', ' '])
                .starts_with(&format!("{key} ="))
        };
        let is_table = SAMPLE.contains(&format!("[{path}]"));
        assert!(is_table || SAMPLE.lines().any(shown), "{path} is missing");
    }
}

#[test]
fn the_commented_tenant_of_the_sample_is_good() {
    let from = SAMPLE
        .find("# [[tenant]]")
        .expect("the sample has a tenant");
    let tenant: String = SAMPLE[from..]
        .lines()
        .map(|line| format!("{}\n", line.trim_start_matches("# ")))
        .collect();
    let config = Config::parse(&tenant).expect("good once uncommented");
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
             header_timeout_s, hosts, keep_alive_s, listen, origins, stream_after_ms, task_after_ms",
            "line 6: store.engine: must be one of \"sled\", \"memory\"",
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
