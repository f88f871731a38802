//! What the benches stand on: a caller, texts of a size, a hub with a worker on loopback.
//!
//! Invariant: only public APIs are measured; nothing is made public for a bench.
//! Must not know: how the parts work inside.
//! Start with [`Hosted`]; what each bench measures is in `README.md`.

mod hosted;
mod scripted;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ostler_env::Env;
use ostler_protocol::Raw;
use ostler_types::{Caller, Identity, Principal, ServerId, ServerName, TenantId};
use tokio::runtime::Runtime;

pub use hosted::Hosted;
pub use scripted::Scripted;

/// One thread: a figure is then all the work of a step, and no wake-up of another core.
pub fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime starts")
}

pub fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a label")
}

pub fn server() -> ServerId {
    ServerId {
        tenant: tenant(),
        name: ServerName::parse("bench").expect("a label"),
    }
}

/// A caller whose requests may take as long as a bench does.
pub fn caller(env: &Env) -> Caller {
    let identity = Identity {
        tenant: tenant(),
        principal: Principal {
            issuer: "key".into(),
            subject: "ann".into(),
            client: "k1".into(),
        },
        scopes: Arc::new([]),
        valid_until: None,
        credential: "k1".into(),
    };
    Caller {
        identity: Arc::new(identity),
        session: None,
        trace: None,
        deadline: env.now() + Duration::from_secs(24 * 3600),
    }
}

/// An array of small objects, about so many bytes long.
pub fn rows(bytes: usize) -> String {
    let row = |n: usize| {
        format!(r#"{{"id":{n},"name":"row {n}","tags":["a","b"],"open":true,"price":12.5}}"#)
    };
    let mut rows = row(0);
    for n in 1.. {
        let next = row(n);
        if rows.len() + next.len() + 3 > bytes {
            break;
        }
        rows = rows + "," + &next;
    }
    format!("[{rows}]")
}

/// Plain text of exactly this length.
pub fn text(bytes: usize) -> String {
    "All work and no play. "
        .chars()
        .cycle()
        .take(bytes)
        .collect()
}

pub fn raw(json: String) -> Raw {
    Raw::parse(Bytes::from(json), 64).expect("the benches write good JSON")
}
