use super::*;
use crate::credential::{NewKey, mint};

struct World {
    env: Env,
    token: NewKey,
}

fn world() -> World {
    let env = Env::seeded(1);
    let token = mint(&env, CredentialKind::Worker);
    World { env, token }
}

impl World {
    fn tokens(&self, serves: Vec<Serves>, anonymous: Vec<Serves>) -> WorkerTokens {
        let token = WorkerToken {
            id: self.token.id.clone(),
            hash: self.token.hash.clone(),
            serves,
            workers: vec![worker("one")],
            valid_until: None,
        };
        let tokens = vec![token];
        WorkerTokens::new(&self.env, &WorkerAccess { tokens, anonymous }).unwrap()
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token.shown.expose())
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn server(name: &str) -> ServerId {
    let (tenant_name, name) = name.split_once('/').unwrap();
    ServerId {
        tenant: tenant(tenant_name),
        name: ServerName::parse(name).unwrap(),
    }
}

fn worker(name: &str) -> WorkerId {
    WorkerId::parse(name).unwrap()
}

/// Which of three Servers a token with these rights may serve.
fn check(serves: Vec<Serves>, expected: [bool; 3]) {
    let world = world();
    let tokens = world.tokens(serves.clone(), vec![]);
    let grant = tokens
        .authenticate_worker(Some(&world.bearer()), false)
        .unwrap();
    let servers = ["acme/calc", "acme/db", "globex/calc"];
    let may = servers.map(|name| grant.may_serve(&server(name)));
    assert_eq!(may, expected, "{serves:?}");
}

#[test]
fn a_token_serves_what_it_names() {
    let calc = Serves::Server(tenant("acme"), ServerName::parse("calc").unwrap());
    check(vec![], [false, false, false]);
    check(vec![calc.clone()], [true, false, false]);
    check(vec![Serves::Tenant(tenant("acme"))], [true, true, false]);
    check(
        vec![calc, Serves::Tenant(tenant("globex"))],
        [true, false, true],
    );
    check(vec![Serves::Everything], [true, true, true]);
}

#[test]
fn a_grant_names_its_credential_and_the_worker_ids_it_covers() {
    let world = world();
    let tokens = world.tokens(vec![], vec![]);
    let grant = tokens
        .authenticate_worker(Some(&world.bearer()), false)
        .unwrap();
    assert_eq!(*grant.credential, world.token.id);
    assert!(grant.may_be(&worker("one")));
    assert!(!grant.may_be(&worker("two")));
}

#[test]
fn without_a_token_a_worker_comes_from_loopback_and_only_where_that_is_allowed() {
    let world = world();
    let acme = vec![Serves::Tenant(tenant("acme"))];
    let (open, closed) = (world.tokens(vec![], acme), world.tokens(vec![], vec![]));
    let grant = open.authenticate_worker(None, true).unwrap();
    assert!(grant.may_serve(&server("acme/thing")) && grant.may_be(&worker("any")));
    assert!(!grant.may_serve(&server("globex/thing")));
    assert!(open.is_current(&grant) && !closed.is_current(&grant));
    let missing = Err(AuthError::Missing);
    assert_eq!(open.authenticate_worker(None, false), missing);
    assert_eq!(closed.authenticate_worker(None, true), missing);
    assert_eq!(closed.authenticate_worker(None, false), missing);
}

#[test]
fn a_bad_token_is_refused_also_where_none_is_needed() {
    let world = world();
    let tokens = world.tokens(vec![Serves::Everything], vec![Serves::Everything]);
    let client = mint(&world.env, CredentialKind::Client);
    let stranger = mint(&world.env, CredentialKind::Worker);
    let shown = [client.shown.expose(), stranger.shown.expose(), "", "x"];
    for token in shown {
        let refused = tokens.authenticate_worker(Some(&format!("Bearer {token}")), true);
        assert_eq!(refused, Err(AuthError::Invalid), "{token}");
    }
}

#[test]
fn a_reload_ends_what_is_no_longer_granted() {
    let world = world();
    let tokens = world.tokens(vec![Serves::Everything], vec![]);
    let grant = tokens
        .authenticate_worker(Some(&world.bearer()), false)
        .unwrap();
    assert!(tokens.is_current(&grant));
    tokens.replace(&WorkerAccess::default()).unwrap();
    assert!(!tokens.is_current(&grant));
    let refused = tokens.authenticate_worker(Some(&world.bearer()), false);
    assert_eq!(refused, Err(AuthError::Invalid));
}
