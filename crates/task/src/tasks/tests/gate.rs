//! Nothing leaves before it is stored: no answer to a request, no news, no word to the worker
//! but to stop. While the store waits they wait; if it fails, requests are refused.

use futures_util::{FutureExt, StreamExt};

use super::{
    requested::{Heard, next},
    *,
};

/// A task that a session asked for, one that asks something, and a parked call.
struct Scene {
    node: Node,
    heard: Arc<Heard>,
    requested: (Script, TaskView),
    asking: (Script, TaskView),
    parked: (Script, InputRequired),
}

impl Scene {
    async fn new() -> Scene {
        let node = Node::new();
        let heard = node.hears();
        let (requested, asking) = (node.requested(1, None).await, node.create(2).await);
        asking.0.say(asks(&["a"]));
        node.settle().await;
        let parked = node.park(3, &["a"]).await;
        Scene {
            node,
            heard,
            requested,
            asking,
            parked,
        }
    }

    async fn send(&self, request: Request) -> Result<(), TaskError> {
        let (node, ann, bank) = (&self.node, self.node.ann(), bank());
        let (one, two) = (&self.requested.1.id, &self.asking.1.id);
        match request {
            Request::Park => self.begin(10, asking(&["a"])).await,
            Request::Create => self.begin(11, becoming_task()).await,
            Request::Resume => {
                let resumed = node.resume(&self.parked.1.request_state, &["a"]).await;
                resumed.map(drop)
            }
            Request::Update => {
                let answers = [("a".to_owned(), answer())].into();
                node.tasks.update(&ann, &bank, two, answers).await
            }
            Request::Cancel => node.tasks.cancel(&ann, &bank, two).await,
            Request::CancelNow => node.tasks.cancel_now(&ann, &bank, one).await.map(drop),
        }
    }

    async fn begin(&self, id: u128, birth: Birth) -> Result<(), TaskError> {
        let (script, handover) = self.node.handover(id, facts(), birth);
        script.say(CallEvent::Kept);
        self.node.take_over(handover).await.map(drop)
    }

    /// What workers were told beside the order to stop.
    fn told(&self) -> Vec<Said> {
        let scripts = [&self.requested.0, &self.asking.0, &self.parked.0];
        let told = scripts.into_iter().flat_map(Script::told);
        told.filter(|said| *said != Said::Cancel).collect()
    }
}

/// What a client asks and is told to be done.
#[derive(Debug, Clone, Copy)]
enum Request {
    Park,
    Create,
    Resume,
    Update,
    Cancel,
    CancelNow,
}

const REQUESTS: [Request; 6] = [
    Request::Park,
    Request::Create,
    Request::Resume,
    Request::Update,
    Request::Cancel,
    Request::CancelNow,
];

#[tokio::test(start_paused = true)]
async fn no_request_is_answered_while_the_store_waits() {
    for request in REQUESTS {
        let scene = Scene::new().await;
        let node = &scene.node;
        let ids = [&scene.requested.1.id, &scene.asking.1.id].map(String::clone);
        let followed = node.tasks.follow(&node.ann(), &bank(), &ids).await;
        let (_, mut updates) = followed.expect("both are ann's");
        node.store.pause();
        let mut answered = Box::pin(scene.send(request));
        let waits = node.env.now() + Duration::from_secs(1);
        let early = node.env.until(waits, &mut answered).await;
        assert_eq!(early, None, "{request:?}");
        let update = updates.next().now_or_never();
        assert!(update.is_none(), "{request:?}: {update:?}");
        assert_eq!(scene.heard.said(), [] as [&str; 0], "{request:?}");
        assert_eq!(scene.told(), [], "{request:?}");
        node.store.resume();
        answered.await.expect("stored");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_commit_fails_is_refused_and_no_worker_hears_of_it() {
    for request in REQUESTS {
        let scene = Scene::new().await;
        scene.node.faults.set(Fault::SyncFails);
        let refused = scene.send(request).await;
        assert_eq!(refused, Err(TaskError::Storage), "{request:?}");
        assert_eq!(scene.heard.said(), [] as [&str; 0], "{request:?}");
        assert_eq!(scene.told(), [], "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_news_of_a_task_is_told_while_the_store_waits() {
    let cases = [
        (asks(&["a"]), r#""input_required""#),
        (CallEvent::Outcome(result()), r#""completed""#),
    ];
    for (event, status) in cases {
        let scene = Scene::new().await;
        let (node, (script, task)) = (&scene.node, &scene.requested);
        let ids = [task.id.clone()];
        let followed = node.tasks.follow(&node.ann(), &bank(), &ids).await;
        let (_, mut updates) = followed.expect("it is ann's");
        let mut waiting = node.waits(task).await;
        node.store.pause();
        script.say(event.clone());
        node.env.sleep(Duration::from_secs(1)).await;
        node.reach(&mut waiting).await;
        assert!(updates.next().now_or_never().is_none(), "{event:?}");
        assert_eq!(scene.heard.said(), [] as [&str; 0], "{event:?}");
        assert_eq!(script.told(), [], "{event:?}");
        node.store.resume();
        assert_eq!(next(&mut waiting).await, event);
        assert!(updates.next().await.is_some(), "{event:?}");
        assert_eq!(scene.heard.said(), [status]);
    }
}
