use std::time::Duration;

use ostler_types::{CallKind, Limits};

use super::world::{RESULT, server, world, world_with};
use crate::{Refusal, admission::RETRY_AFTER};

const RETRY: Duration = RETRY_AFTER;

#[tokio::test(start_paused = true)]
async fn what_is_offered_is_admitted() {
    let world = world();
    for (kind, target) in [
        (CallKind::Tool, "plain"),
        (CallKind::Prompt, "greet"),
        (CallKind::Resource, "mem://r"),
        (CallKind::Resource, "mem://t/1"),
        (
            CallKind::Completion,
            r#"{"type":"ref/prompt","name":"greet"}"#,
        ),
        (
            CallKind::Completion,
            r#"{"type":"ref/resource","uri":"mem://t/{x}"}"#,
        ),
        (
            CallKind::Completion,
            r#"{"type":"ref/resource","uri":"mem://t/1"}"#,
        ),
    ] {
        let admitted = world.admit(kind, target);
        assert!(admitted.is_ok(), "{target}: {:?}", admitted.err());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_offered_is_unknown() {
    let world = world();
    for (kind, target) in [
        (CallKind::Tool, "Plain"),
        (CallKind::Tool, "greet"),
        (CallKind::Prompt, "plain"),
        (CallKind::Resource, "mem://t/../r"),
        (CallKind::Resource, ""),
        (
            CallKind::Completion,
            r#"{"type":"ref/prompt","name":"other"}"#,
        ),
        (
            CallKind::Completion,
            r#"{"type":"ref/tool","name":"plain"}"#,
        ),
        (CallKind::Completion, "{}"),
        (CallKind::Completion, "not JSON"),
    ] {
        let unknown = Refusal::UnknownTarget {
            kind,
            target: target.to_owned(),
        };
        assert_eq!(world.admit(kind, target).err(), Some(unknown), "{target}");
    }
    assert_eq!(world.refused("unknown"), 9.0);
}

#[tokio::test(start_paused = true)]
async fn unknown_and_foreign_servers_look_the_same() {
    let world = world();
    let acme = world.caller("acme", &[]);
    let globex = world.caller("globex", &["admin"]);
    for (caller, name) in [
        (&acme, "acme/none"),
        (&globex, "acme/calc"),
        (&acme, "globex/calc"),
    ] {
        let server = server(name);
        let admitted = world
            .dispatcher
            .admit(caller, &server, CallKind::Tool, "plain");
        assert_eq!(admitted.err(), Some(Refusal::UnknownServer), "{name}");
        let snapshot = world.dispatcher.snapshot(caller, &server);
        assert_eq!(snapshot.err(), Some(Refusal::UnknownServer), "{name}");
    }
    let foreign = world.dispatcher.watch_changes(&globex, &world.calc);
    assert_eq!(foreign.err(), Some(Refusal::UnknownServer));
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_the_target_needs_must_be_held() {
    let world = world();
    let admin = world.caller("acme", &["admin"]);
    let forbidden = Refusal::Forbidden {
        scopes: vec!["admin".to_owned()],
    };
    let scoped = [
        (CallKind::Tool, "scoped"),
        (CallKind::Prompt, "secret"),
        (CallKind::Resource, "mem://secret/1"),
        // A completion says something of what it completes for, so it needs as much.
        (
            CallKind::Completion,
            r#"{"type":"ref/prompt","name":"secret"}"#,
        ),
        (
            CallKind::Completion,
            r#"{"type":"ref/resource","uri":"mem://secret/{x}"}"#,
        ),
        (
            CallKind::Completion,
            r#"{"type":"ref/resource","uri":"mem://secret/1"}"#,
        ),
    ];
    for (kind, target) in scoped {
        let refusal = world.admit(kind, target).err();
        assert_eq!(refusal.as_ref(), Some(&forbidden), "{target}");
        let dispatcher = &world.dispatcher;
        let admitted = dispatcher.admit(&admin, &world.calc, kind, target);
        assert!(admitted.is_ok(), "{target}: {:?}", admitted.err());
    }
    assert_eq!(world.refused("forbidden"), scoped.len() as f64);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_admitted_earlier_is_permitted_without_room_or_worker() {
    let world = world_with(&Limits {
        calls_max: 0,
        ..Limits::default()
    });
    let (tool, dispatcher) = (CallKind::Tool, &world.dispatcher);
    let permit = |caller, target| dispatcher.permit(&caller, &world.calc, tool, target);
    let (user, admin) = (
        || world.caller("acme", &[]),
        || world.caller("acme", &["admin"]),
    );
    let scopes = vec!["admin".to_owned()];
    let forbidden = Err(Refusal::Forbidden { scopes });
    dispatcher.drain();
    assert_eq!(permit(user(), "plain"), Ok(()));
    assert_eq!(permit(user(), "scoped"), forbidden);
    assert_eq!(permit(admin(), "scoped"), Ok(()));
    assert_eq!(permit(user(), "no longer listed"), Ok(()));
    let foreign = permit(world.caller("globex", &["admin"]), "plain");
    assert_eq!(foreign, Err(Refusal::UnknownServer));
    for name in ["a", "b"] {
        let worker = ostler_types::WorkerId::parse(name).unwrap();
        world.catalogs.remove(&world.calc, &worker);
    }
    // Listed for a moment yet.
    assert_eq!(permit(user(), "scoped"), forbidden);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(permit(user(), "scoped"), Ok(()));
    let nobody = server("acme/none");
    assert_eq!(dispatcher.permit(&user(), &nobody, tool, "x"), Ok(()));
    let foreign = dispatcher.permit(&user(), &server("globex/none"), tool, "x");
    assert_eq!(foreign, Err(Refusal::UnknownServer));
}

/// Another worker completes for other entries; waiting for one that does would be in vain.
#[tokio::test(start_paused = true)]
async fn a_completion_that_nobody_there_answers_is_unknown() {
    let world = world();
    let mut other = super::world::offer(true);
    other.prompts.clear();
    let a = ostler_types::WorkerId::parse("a").unwrap();
    world.catalogs.register(&world.calc, &a, other);
    let (kind, target) = (
        CallKind::Completion,
        r#"{"type":"ref/prompt","name":"greet"}"#,
    );
    let unknown = Refusal::UnknownTarget {
        kind,
        target: target.to_owned(),
    };
    assert_eq!(world.admit(kind, target).err(), Some(unknown));
    let b = ostler_types::WorkerId::parse("b").unwrap();
    world.catalogs.remove(&world.calc, &b);
    // Who serves the prompt has left for a moment, and may complete when it is back.
    assert_eq!(world.admit(kind, target).err(), Some(Refusal::NoWorker));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_nobody_serves_is_not_offered() {
    let world = world();
    let calc = &world.calc;
    for name in ["a", "b"] {
        let worker = ostler_types::WorkerId::parse(name).unwrap();
        let offer = ostler_catalog::Offer {
            server_info: ostler_protocol::Raw::from_static(r#"{"name":"calc","version":"1"}"#),
            instructions: None,
            tools: Vec::new(),
            prompts: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            skills: Vec::new(),
            completions: false,
            logging: false,
            resource_watch: false,
        };
        world.catalogs.register(calc, &worker, offer);
    }
    for kind in [
        CallKind::Tool,
        CallKind::Prompt,
        CallKind::Resource,
        CallKind::Completion,
    ] {
        assert_eq!(
            world.admit(kind, "x").err(),
            Some(Refusal::NotOffered(kind))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn with_no_worker_there_a_known_server_has_no_worker_rather_than_no_such_tool() {
    let world = world();
    for name in ["a", "b"] {
        world.script.drop_worker(name);
        let worker = ostler_types::WorkerId::parse(name).unwrap();
        world.catalogs.remove(&world.calc, &worker);
    }
    assert_eq!(
        world.admit(CallKind::Tool, "plain").err(),
        Some(Refusal::NoWorker)
    );
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(
        world.admit(CallKind::Tool, "plain").err(),
        Some(Refusal::NoWorker)
    );
    assert_eq!(world.refused("no_worker"), 2.0);
}

#[tokio::test(start_paused = true)]
async fn when_all_workers_are_full_it_is_overloaded() {
    let world = world();
    world.script.fill("a");
    assert!(world.admit(CallKind::Tool, "plain").is_ok());
    world.script.fill("b");
    let full = Refusal::Overloaded { retry_after: RETRY };
    assert_eq!(world.admit(CallKind::Tool, "plain").err(), Some(full));
    // Completions are answered by `a` only, which is full.
    let reference = r#"{"type":"ref/prompt","name":"greet"}"#;
    assert!(world.admit(CallKind::Completion, reference).is_err());
}

#[tokio::test(start_paused = true)]
async fn room_is_held_from_admission_to_the_end_of_the_call() {
    let world = world_with(&Limits {
        calls_per_tenant_max: 1,
        ..Limits::default()
    });
    let admitted = world.admit(CallKind::Tool, "plain").unwrap();
    let limited = Refusal::RateLimited { retry_after: RETRY };
    assert_eq!(
        world.admit(CallKind::Tool, "plain").err(),
        Some(limited.clone())
    );
    let stream = world.start_admitted(admitted, crate::CallControl::new());
    assert_eq!(world.admit(CallKind::Tool, "plain").err(), Some(limited));
    world.check_books(1);
    drop(stream);
    assert!(world.admit(CallKind::Tool, "plain").is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_draining_node_takes_no_new_calls_and_finishes_old_ones() {
    let world = world();
    let mut stream = world.start("plain");
    world.dispatcher.drain();
    assert_eq!(
        world.admit(CallKind::Tool, "plain").err(),
        Some(Refusal::Draining)
    );
    world.end_with(1, RESULT);
    assert!(super::world::outcome(&mut stream).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn arguments_are_checked_against_the_schema_of_the_snapshot() {
    let world = world();
    let admitted = world.admit(CallKind::Tool, "typed").unwrap();
    let good = ostler_protocol::Raw::from_static(r#"{"n":1}"#);
    assert_eq!(admitted.check(&good).await, Ok(()));
    let bad = ostler_protocol::Raw::from_static(r#"{"n":"x"}"#);
    assert!(admitted.check(&bad).await.unwrap_err().starts_with("/n: "));
    let prompt = world.admit(CallKind::Prompt, "greet").unwrap();
    assert_eq!(prompt.check(&bad).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_call_id_carries_its_shard() {
    let world = world();
    let ids = [1, 2].map(|_| world.dispatcher.mint_call_id(ostler_types::Shard(200)));
    assert_eq!(ids[0].shard(), ostler_types::Shard(200));
    assert_ne!(ids[0], ids[1]);
}
