use std::time::Duration;

use super::*;
use crate::credential::{NewKey, mint};

struct World {
    env: Env,
    acme: TenantId,
    globex: TenantId,
    key: NewKey,
    other: NewKey,
}

fn world() -> World {
    let env = Env::seeded(1);
    World {
        acme: TenantId::parse("acme").unwrap(),
        globex: TenantId::parse("globex").unwrap(),
        key: mint(&env, CredentialKind::Client),
        other: mint(&env, CredentialKind::Client),
        env,
    }
}

fn configured(key: &NewKey) -> ApiKey {
    ApiKey {
        id: key.id.clone(),
        hash: key.hash.clone(),
        subject: None,
        scopes: vec!["read".to_owned()],
        valid_until: None,
    }
}

fn access(key: &NewKey) -> TenantAccess {
    TenantAccess {
        keys: vec![configured(key)],
        anonymous: None,
    }
}

impl World {
    /// `acme` has a key; `globex` has another and takes anybody.
    fn authenticator(&self) -> Authenticator {
        let open = TenantAccess {
            anonymous: Some(Vec::new()),
            ..access(&self.other)
        };
        let tenants = [
            (self.acme.clone(), access(&self.key)),
            (self.globex.clone(), open),
        ];
        Authenticator::new(&self.env, &tenants).unwrap()
    }
}

fn bearer(key: &NewKey) -> Vec<u8> {
    format!("Bearer {}", key.shown.expose()).into_bytes()
}

#[tokio::test]
async fn a_key_proves_who_calls() {
    let world = world();
    let authenticator = world.authenticator();
    let identity = authenticator.authenticate(&world.acme, Some(&bearer(&world.key)));
    let identity = identity.unwrap();
    assert_eq!(identity.tenant, world.acme);
    assert_eq!(&*identity.principal.issuer, "key");
    assert_eq!(*identity.principal.subject, world.key.id);
    assert_eq!(*identity.credential, world.key.id);
    assert_eq!(&*identity.scopes[0], "read");
}

#[tokio::test]
async fn unknown_and_foreign_look_alike() {
    let world = world();
    let authenticator = world.authenticator();
    let nowhere = TenantId::parse("nowhere").unwrap();
    let stranger = mint(&world.env, CredentialKind::Client);
    let mut forged = bearer(&world.key);
    *forged.last_mut().unwrap() ^= 4;
    let cases: [(&TenantId, Vec<u8>); 6] = [
        (&world.acme, bearer(&stranger)),
        (&world.acme, bearer(&world.other)),
        (&nowhere, bearer(&world.key)),
        (&world.acme, forged),
        (&world.acme, b"Basic abc".to_vec()),
        (&world.globex, b"Bearer something else".to_vec()),
    ];
    for (tenant, authorization) in cases {
        let refused = authenticator.authenticate(tenant, Some(&authorization));
        assert_eq!(refused, Err(AuthError::Invalid), "{tenant}");
    }
    for tenant in [&world.acme, &nowhere] {
        let refused = authenticator.authenticate(tenant, None);
        assert_eq!(refused, Err(AuthError::Missing), "{tenant}");
    }
}

#[tokio::test]
async fn anonymous_callers_are_one_principal_where_the_configuration_says_so() {
    let world = world();
    let authenticator = world.authenticator();
    let identity = authenticator.authenticate(&world.globex, None).unwrap();
    assert_eq!(identity.tenant, world.globex);
    assert_eq!(&*identity.principal.issuer, "anonymous");
}

#[tokio::test(start_paused = true)]
async fn a_key_ends_when_its_time_is_over() {
    let world = world();
    let end = world.env.wall() + Duration::from_secs(60);
    let mut access = access(&world.key);
    access.keys[0].valid_until = Some(end);
    let tenants = [(world.acme.clone(), access)];
    let authenticator = Authenticator::new(&world.env, &tenants).unwrap();
    let authorization = bearer(&world.key);
    let authenticate = || authenticator.authenticate(&world.acme, Some(&authorization));
    let identity = authenticate().unwrap();
    assert_eq!(identity.valid_until, Some(end));
    assert!(authenticator.is_current(&identity));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(authenticate(), Err(AuthError::Invalid));
    assert!(!authenticator.is_current(&identity));
}

#[tokio::test]
async fn a_reload_swaps_the_whole_table_or_nothing() {
    let world = world();
    let authenticator = world.authenticator();
    let authorization = bearer(&world.key);
    let authenticate = || authenticator.authenticate(&world.acme, Some(&authorization));
    let identity = authenticate().unwrap();
    let mut bad = access(&world.other);
    bad.keys[0].hash = "plain text".to_owned();
    let refused = authenticator.replace(&[(world.acme.clone(), bad)]);
    assert_eq!(refused.unwrap_err().id, world.other.id);
    assert!(authenticate().is_ok() && authenticator.is_current(&identity));
    let other = [(world.acme.clone(), access(&world.other))];
    authenticator.replace(&other).unwrap();
    assert_eq!(authenticate(), Err(AuthError::Invalid));
    assert!(!authenticator.is_current(&identity));
}

#[tokio::test]
async fn a_bad_configuration_is_refused() {
    let world = world();
    let mut twice = access(&world.key);
    twice.keys.push(configured(&world.key));
    let mut short = access(&world.key);
    short.keys[0].id = "abc".to_owned();
    for bad in [twice, short] {
        let tenants = [(world.acme.clone(), bad)];
        assert!(Authenticator::new(&world.env, &tenants).is_err());
    }
}
