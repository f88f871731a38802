//! A bug in the reader of one link.

use futures_util::{StreamExt, stream};
use ostler_auth::{Serves, WorkerAccess, WorkerGrant, WorkerTokens};
use ostler_catalog::{Catalogs, Declarations, Offer, OfferedEntry};
use ostler_env::Env;
use ostler_protocol::{Raw, facet::ClientFacet};
use ostler_types::{
    CallId, CallKind, Caller, Identity, InstanceEpoch, Principal, ServerName, TenantId, WorkerId,
};

use super::{handshake::Newcomer, *};
use crate::{Attempt, AttemptEnd, AttemptEvent, Hub, NewAttempt, Orphans, instance::KnownCalls};

struct Nobody;

impl Orphans for Nobody {
    fn newcomer(&self, _worker: &WorkerId, _instance: InstanceEpoch, _grant: &Arc<WorkerGrant>) {}

    fn orphan(&self, _call: CallId, _placement: crate::Placement) {}
}

fn hub(env: &Env) -> Hub {
    let access = WorkerAccess {
        tokens: Vec::new(),
        anonymous: vec![Serves::Everything],
    };
    let tokens = WorkerTokens::new(env, &access).expect("no token is bad");
    let (catalogs, nobody) = (Catalogs::new(env), Arc::new(Nobody));
    let hub = Hub::new(env, Config::default(), catalogs, Arc::new(tokens), nobody);
    drop(env.spawn("test-sweep", hub.sweep()));
    hub
}

fn server(name: &str) -> ServerId {
    ServerId {
        tenant: TenantId::parse("acme").expect("a name"),
        name: ServerName::parse(name).expect("a name"),
    }
}

fn offer() -> Offer {
    let tool = OfferedEntry {
        definition: Raw::from_static(r#"{"name":"add","inputSchema":{"type":"object"}}"#),
        declarations: Declarations::default(),
    };
    Offer {
        server_info: Raw::from_static(r#"{"name":"calc","version":"1"}"#),
        instructions: None,
        tools: vec![tool],
        prompts: Vec::new(),
        resources: Vec::new(),
        templates: Vec::new(),
        skills: Vec::new(),
        completions: false,
        logging: false,
        resource_watch: false,
    }
}

fn newcomer(hub: &Hub, name: &str) -> Newcomer {
    let grant: Arc<WorkerGrant> = hub
        .0
        .tokens
        .authenticate_worker(None, true)
        .expect("let in");
    Newcomer {
        protocol: 1,
        worker: WorkerId::parse(name).expect("a name"),
        epoch: InstanceEpoch(1),
        sdk: String::new(),
        capacity: 10,
        offers: vec![handshake::Offered {
            server: server(name),
            offer: offer(),
            catalog_bytes: 100,
        }],
        refusals: Vec::new(),
        known: KnownCalls::default(),
        grant,
    }
}

fn start(env: &Env, hub: &Hub, name: &str) -> Attempt {
    let identity = Identity {
        tenant: TenantId::parse("acme").expect("a name"),
        principal: Principal {
            issuer: "key".into(),
            subject: "ann".into(),
            client: "k1".into(),
        },
        scopes: Arc::default(),
        valid_until: None,
        credential: "k1".into(),
    };
    let deadline = env.now() + Duration::from_secs(60);
    let caller = Caller {
        identity: Arc::new(identity),
        session: None,
        trace: None,
        deadline,
    };
    let server = server(name);
    let [worker] = &*hub.candidates(&server) else {
        panic!("{name} is not linked");
    };
    let new = NewAttempt {
        call: CallId(u128::from(name.len() as u64)),
        attempt: 1,
        server: &server,
        kind: CallKind::Tool,
        target: "add",
        arguments: &Raw::empty_object(),
        client: &ClientFacet::default(),
        caller: &caller,
        deadline,
        wants_progress: false,
        answers: &[],
    };
    hub.start(worker, &new).expect("there is room")
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_reader_of_a_link_ends_that_link_only() {
    let env = Env::seeded(1);
    let hub = hub(&env);
    let (poison, poisoned) = tokio::sync::oneshot::channel::<()>();
    let panics = stream::once(async move {
        let _ = poisoned.await;
        panic!("on purpose")
    });
    let bad = hub.0.admit(newcomer(&hub, "bad"), panics.boxed());
    let good = hub
        .0
        .admit(newcomer(&hub, "good"), stream::pending().boxed());
    let (bad, good) = (bad.expect("let in"), good.expect("let in"));
    let _open = (bad.outbound(), good.outbound());
    let bad = env.spawn("bad", bad.run());
    let good = env.spawn("good", good.run());
    let mut lost = start(&env, &hub, "bad");
    let kept = start(&env, &hub, "good");
    drop(poison);
    assert!(bad.await.is_err_and(|end| end.is_panic()));
    let end = std::future::poll_fn(|cx| lost.poll_next(cx)).await;
    // Nothing of it had left yet.
    assert!(
        matches!(end, Some(AttemptEvent::Ended(AttemptEnd::NotHanded))),
        "{end:?}"
    );
    let panicked = [("reason", "panicked")];
    let counted = env
        .metrics()
        .value("ostler_hub_links_ended_total", &panicked);
    assert_eq!(counted, Some(1.0));
    assert_eq!(env.metrics().value("ostler_hub_links", &[]), Some(1.0));
    assert!(hub.candidates(&server("bad")).is_empty());
    assert!(!good.is_finished() && !hub.candidates(&server("good")).is_empty());
    // Its worker may come back.
    let again = hub
        .0
        .admit(newcomer(&hub, "bad"), stream::pending().boxed());
    assert!(again.is_ok());
    drop(kept);
}
