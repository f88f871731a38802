use std::sync::Arc;

use ostler_types::{CallKind, Identity, Instant, Principal, ServerName, TenantId};

use super::*;

fn caller(tenant: &str, scopes: &[&str]) -> Caller {
    let principal = Principal {
        issuer: "key".into(),
        subject: "s".into(),
        client: "c".into(),
    };
    let identity = Identity {
        tenant: TenantId::parse(tenant).unwrap(),
        principal,
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        valid_until: None,
        credential: "c".into(),
    };
    Caller {
        identity: Arc::new(identity),
        session: None,
        trace: None,
        deadline: Instant::default(),
    }
}

const CALL: Operation<'_> = Operation::Call {
    kind: CallKind::Tool,
    target: "t",
};

/// What `acme/calc` answers to this caller.
fn check(
    tenant: &str,
    held: &[&str],
    operation: Operation<'_>,
    required: &[&str],
    denied: Option<Denied>,
) {
    let server = ServerId {
        tenant: TenantId::parse("acme").unwrap(),
        name: ServerName::parse("calc").unwrap(),
    };
    let decision = decide(&caller(tenant, held), &server, operation, required);
    assert_eq!(
        decision.err(),
        denied,
        "{tenant} {held:?} {operation:?} {required:?}"
    );
}

#[test]
fn the_table_of_decisions() {
    let lacks = |scopes: &[&str]| {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned());
        Some(Denied::Scopes(scopes.collect()))
    };
    check("acme", &[], CALL, &[], None);
    check("acme", &["a"], CALL, &["a"], None);
    check("acme", &["b", "a"], CALL, &["a", "b"], None);
    check("acme", &[], CALL, &["a"], lacks(&["a"]));
    check("acme", &["a"], CALL, &["a", "b"], lacks(&["a", "b"]));
    check("acme", &["A"], CALL, &["a"], lacks(&["a"]));
    check("acme", &[], Operation::Look, &["a"], None);
    check("acme", &[], Operation::Listen, &["a"], None);
}

#[test]
fn a_foreign_server_is_foreign_whatever_one_holds() {
    for operation in [CALL, Operation::Look, Operation::Listen] {
        check("globex", &["a"], operation, &["a"], Some(Denied::Foreign));
    }
}
