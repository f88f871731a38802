//! Nothing leaves before it is stored: neither an answer to a request nor an event of a stream,
//! whatever it is. While the store waits they wait; if it fails, they are refused or never come.

use std::{future::Future, time::Duration};

use ostler_protocol::{RequestId, call::LogLevel};
use ostler_store::faults::Fault;

use super::{script::ScriptedAttempt, world::*};
use crate::{HeldSession, SessionError, StreamReader};

/// A session with a listener, a subscription, and a running call that asks something.
struct Scene {
    world: World,
    held: HeldSession<super::script::Script>,
    /// Another session, whose client has said nothing yet.
    fresh: HeldSession<super::script::Script>,
    attempt: ScriptedAttempt,
    question: RequestId,
    call: StreamReader,
    standalone: StreamReader,
}

impl Scene {
    async fn new() -> Scene {
        let world = World::new();
        let held = world.hold(&world.open().await).await;
        let fresh = world.hold(&world.try_open().await.expect("opened")).await;
        held.subscribe("mem://a".into()).await.expect("subscribed");
        let mut standalone = held.listen().await.expect("listening");
        next(&mut standalone).await;
        let (mut call, attempt, _) = world.adopt_kept(&held, 1).await;
        attempt.say(ask("name"));
        let question = request_id(&next(&mut call).await);
        // The watch of the subscription is polled.
        world.pass(Duration::from_millis(1)).await;
        Scene {
            world,
            held,
            fresh,
            attempt,
            question,
            call,
            standalone,
        }
    }

    /// Nothing comes for longer than any quiet that anything waits for.
    async fn is_silent(&mut self, about: impl std::fmt::Debug) {
        for reader in [&mut self.call, &mut self.standalone] {
            let frame = tokio::time::timeout(Duration::from_secs(3), next(reader)).await;
            assert!(frame.is_err(), "{about:?}: {frame:?}");
        }
        assert_eq!(self.attempt.heard(), ["keep"], "{about:?}");
    }

    /// The streams end, and nothing was said on them.
    async fn ends_in_silence(self, about: impl std::fmt::Debug) {
        for reader in [self.call, self.standalone] {
            assert_eq!(rest(reader).await, [], "{about:?}");
        }
        assert_eq!(self.attempt.heard(), ["keep"], "{about:?}");
    }
}

/// What a client asks and is told to be done: an id, a `202`, a `204`, an empty result.
#[derive(Debug, Clone, Copy)]
enum Request {
    Open,
    Initialized,
    SetLevel,
    Subscribe,
    Unsubscribe,
    Answer,
    Listen,
    End,
}

const REQUESTS: [Request; 8] = [
    Request::Open,
    Request::Initialized,
    Request::SetLevel,
    Request::Subscribe,
    Request::Unsubscribe,
    Request::Answer,
    Request::Listen,
    Request::End,
];

fn send(scene: &Scene, request: Request) -> impl Future<Output = Result<(), SessionError>> + use<> {
    let (held, fresh) = (scene.held.clone(), scene.fresh.clone());
    let (sessions, question) = (scene.world.sessions.clone(), scene.question.clone());
    async move {
        match request {
            Request::Open => {
                let opened = sessions.create(&ann(), &server(), &initialize()).await;
                opened.map(drop)
            }
            Request::Initialized => fresh.initialized().await,
            Request::SetLevel => held.set_level(LogLevel::Debug).await,
            Request::Subscribe => held.subscribe("mem://b".into()).await,
            Request::Unsubscribe => held.unsubscribe("mem://a".into()).await,
            Request::Answer => held.answer(question, accept()).await,
            Request::Listen => fresh.listen().await.map(drop),
            Request::End => held.end().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_is_answered_while_the_store_waits() {
    for request in REQUESTS {
        let mut scene = Scene::new().await;
        scene.world.store.pause();
        let mut answered = Box::pin(send(&scene, request));
        let env = scene.world.env.clone();
        let waits = env.now() + Duration::from_secs(1);
        let early = env.until(waits, &mut answered).await;
        assert_eq!(early, None, "{request:?}");
        scene.is_silent(request).await;
        scene.world.store.resume();
        answered.await.expect("stored");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_commit_fails_is_refused_and_changes_nothing() {
    for request in REQUESTS {
        let scene = Scene::new().await;
        scene.world.faults.set(Fault::SyncFails);
        let refused = send(&scene, request).await;
        assert_eq!(refused, Err(SessionError::Storage), "{request:?}");
        assert_eq!(scene.attempt.heard(), ["keep"], "{request:?}");
    }
}

/// What sessions say by themselves, on which stream, and as what it is shown.
#[derive(Debug, Clone, Copy)]
enum Event {
    Ask,
    Outcome,
    ListChanged,
    ResourceUpdated,
}

/// An outcome takes the open question back.
const EVENTS: [(Event, &[&str]); 4] = [
    (Event::Ask, &["elicitation/create"]),
    (Event::Outcome, &["notifications/cancelled", "done"]),
    (Event::ListChanged, &["notifications/tools/list_changed"]),
    (Event::ResourceUpdated, &["notifications/resources/updated"]),
];

fn cause(scene: &Scene, event: Event) {
    match event {
        Event::Ask => scene.attempt.say(ask("age")),
        Event::Outcome => scene.attempt.end(text("done")),
        Event::ListChanged => {
            let changed = offer(&["echo", "more"]);
            scene.world.catalogs.register(&server(), &worker(), changed);
        }
        Event::ResourceUpdated => scene.world.resources.change(),
    }
}

#[tokio::test(start_paused = true)]
async fn no_event_is_shown_while_the_store_waits() {
    for (event, wanted) in EVENTS {
        let mut scene = Scene::new().await;
        scene.world.store.pause();
        cause(&scene, event);
        scene.is_silent(event).await;
        scene.world.store.resume();
        let reader = match event {
            Event::Ask | Event::Outcome => &mut scene.call,
            Event::ListChanged | Event::ResourceUpdated => &mut scene.standalone,
        };
        for wanted in wanted {
            assert_eq!(shown(&next(reader).await), *wanted);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_commit_fails_is_not_shown() {
    for (event, _) in EVENTS {
        let scene = Scene::new().await;
        scene.world.faults.set(Fault::SyncFails);
        cause(&scene, event);
        scene.ends_in_silence(event).await;
    }
}
