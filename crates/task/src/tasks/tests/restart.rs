//! A node that went down, and workers that come back or do not.

use ostler_auth::{Serves, WorkerGrant};
use ostler_types::{InstanceEpoch, WorkerId};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_parked_call_survives_a_restart() {
    let mut node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    node.restart().await;
    assert_eq!(script.told(), [Said::Detached]);
    assert_eq!(node.tasks.recover().await, Ok(1));
    script.name();
    assert!(node.tasks.rebind(CallId(1)).await);
    script.say(asks(&["a"]));
    node.settle().await;
    let mut stream = node.follows(&asked.request_state, &["a"]).await;
    assert_eq!(script.told(), [Said::Answer("a".to_owned())]);
    script.say(CallEvent::Outcome(result()));
    assert_eq!(end_of(&mut stream).await, End::Outcome(result()));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_wakes_in_a_node_that_stops() {
    let node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    let state = &asked.request_state;
    let mut stream = node.follows(state, &["a"]).await;
    node.tasks.stop().await;
    assert_eq!(stream.next().await, Some(Err(TaskError::Draining)));
    assert!(
        node.tasks.rebind(CallId(1)).await,
        "still ours: nobody may stop it"
    );
    assert_eq!(
        node.resume(state, &["a"]).await.err(),
        Some(TaskError::Draining)
    );
    let (late, handover) = node.handover(2, facts(), asking(&["a"]));
    let refused = node.take_over(handover).await;
    assert_eq!(
        (refused, late.told()),
        (Err(TaskError::Draining), vec![Said::Detached])
    );
    assert!(!script.told().contains(&Said::Cancel));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_given_before_the_worker_is_back_reaches_it() {
    let mut node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    node.restart().await;
    let mut stream = node.follows(&asked.request_state, &["a"]).await;
    script.told();
    script.name();
    assert!(node.tasks.rebind(CallId(1)).await);
    node.settle().await;
    assert!(script.told().contains(&Said::Answer("a".to_owned())));
    script.say(asks(&["b"]));
    assert_eq!(keys(&asked_of(end_of(&mut stream).await)), ["b"]);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_worker_does_not_come_back_has_failed() {
    let mut node = Node::new();
    let (_, task) = node.create(1).await;
    node.restart().await;
    assert_eq!(node.tasks.recover().await, Ok(1));
    node.env
        .sleep(node.config.rebind_grace - Duration::from_secs(1))
        .await;
    assert_eq!(node.get(&task.id).await.unwrap().state, Standing::Working);
    node.env.sleep(Duration::from_secs(2)).await;
    let view = node.get(&task.id).await.unwrap();
    assert_eq!(view.state, Standing::Failed(lost().unwrap_err()));
    assert_eq!(node.rows(Table::Calls).await, 0);
    assert!(
        !node.tasks.rebind(CallId(1)).await,
        "a late worker is told to forget it"
    );
    node.down().await;
}

/// design.md 4.2: a newer process ends what the older one ran at once.
#[tokio::test(start_paused = true)]
async fn a_task_whose_worker_is_another_process_now_has_failed_at_once() {
    let mut node = Node::new();
    let (_, task) = node.create(1).await;
    let (script, asked) = node.park(2, &["a"]).await;
    node.restart().await;
    assert_eq!(node.tasks.recover().await, Ok(2));
    script.name();
    assert!(node.tasks.rebind(CallId(2)).await);
    let (instance, newer) = (InstanceEpoch(3), InstanceEpoch(4));
    let worker = WorkerId::parse("w1").unwrap();
    let grant = |tenant, name| {
        let ServerId { tenant, name } = server(tenant, name);
        WorkerGrant {
            credential: "k".into(),
            serves: vec![Serves::Server(tenant, name)],
            workers: Vec::new(),
            valid_until: None,
        }
    };
    let own = grant("acme", "bank");
    node.tasks.worker_replaced(&worker, instance, &own).await;
    for (tenant, name) in [("evil", "bank"), ("acme", "shop")] {
        let stranger = grant(tenant, name);
        node.tasks.worker_replaced(&worker, newer, &stranger).await;
    }
    assert_eq!(node.get(&task.id).await.unwrap().state, Standing::Working);

    node.tasks.worker_replaced(&worker, newer, &own).await;
    let view = node.get(&task.id).await.unwrap();
    assert_eq!(view.state, Standing::Failed(lost().unwrap_err()));
    // What was found again is no more lost than its worker says.
    let mut stream = node.follows(&asked.request_state, &["a"]).await;
    script.say(CallEvent::Outcome(result()));
    assert_eq!(end_of(&mut stream).await, End::Outcome(result()));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_parked_call_runs_again_only_if_its_tool_says_so() {
    let mut node = Node::new();
    let (_, safe) = node.park_as(1, replay_safe(), &["a"]).await;
    let (_, plain) = node.park(2, &["a"]).await;
    node.restart().await;
    node.tasks.recover().await.unwrap();
    node.env
        .sleep(node.config.rebind_grace + Duration::from_secs(1))
        .await;
    assert!(matches!(
        node.ended(&safe.request_state, &["a"]).await,
        End::Rerun(_)
    ));
    assert_eq!(
        node.ended(&plain.request_state, &["a"]).await,
        End::Outcome(lost())
    );
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_alone_is_enough_to_run_a_replay_safe_call_again() {
    let node = Node::new();
    let (script, safe) = node.park_as(1, replay_safe(), &["a"]).await;
    let mut stream = node.follows(&safe.request_state, &["a"]).await;
    script.say(asks(&["b"]));
    let second = asked_of(end_of(&mut stream).await);
    let (_, plain) = node.park(2, &["a"]).await;
    // The store is lost; the keys are not.
    let fresh = Node::new();
    let fresh = Node {
        tasks: fresh_tasks(&fresh, &node),
        ..fresh
    };
    let End::Rerun(mut known) = fresh.ended(&second.request_state, &["b"]).await else {
        panic!("a rerun expected");
    };
    let questions = ["a", "b", "c"].map(question).into();
    let split = crate::split(Revision::LATEST_MODERN, &able(), questions, &mut known);
    assert_eq!((split.answers.len(), split.ask.len()), (2, 1));
    assert_eq!(
        fresh.ended(&plain.request_state, &["a"]).await,
        End::Outcome(lost())
    );
    assert_eq!(fresh.metric("ostler_task_reruns_total"), 1.0);
    node.down().await;
    fresh.down().await;
}

/// Tasks over the store of `fresh` with the keys of `old`.
fn fresh_tasks(fresh: &Node, old: &Node) -> Tasks {
    let source = Box::new(fresh.scripts.clone());
    let (store, keys) = (fresh.store.clone(), old.keys.clone());
    Tasks(Inner::new(
        &fresh.env,
        store,
        source,
        keys,
        fresh.config.clone(),
    ))
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_task_is_cancelled_again_after_a_restart() {
    let mut node = Node::new();
    let (script, task) = node.create(1).await;
    node.tasks
        .cancel(&node.ann(), &bank(), &task.id)
        .await
        .unwrap();
    script.told();
    node.restart().await;
    script.told();
    script.name();
    assert!(node.get(&task.id).await.is_ok());
    assert_eq!(script.told(), [Said::Cancel]);
    script.say(CallEvent::Outcome(Err(Failure::Cancelled)));
    node.settle().await;
    assert_eq!(node.get(&task.id).await.unwrap().state, Standing::Cancelled);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn calls_of_nobody_are_not_ours() {
    let node = Node::new();
    assert!(!node.tasks.rebind(CallId(77)).await);
    assert_eq!(node.tasks.recover().await, Ok(0));
    node.down().await;
}

/// A task wakes only when all that was written of it is durable; a stop does not wait for it.
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_hang_on_a_task_that_is_waking() {
    for store_resumes in [false, true] {
        let mut node = Node::new();
        let (_script, asked) = node.park(1, &["a"]).await;
        node.restart().await;
        node.store.pause();
        drop(node.store.submit(unrelated()));
        let after = |span| node.env.now() + Duration::from_millis(span);
        let resume = node.resume(&asked.request_state, &["a"]);
        let resume = node.env.until(after(50), resume);
        let stop = node.env.until(after(60_000), node.tasks.stop());
        let disk = async {
            node.env.sleep(Duration::from_millis(20)).await;
            if store_resumes {
                node.store.resume();
            }
        };
        let (resumed, stopped, ()) = tokio::join!(resume, stop, disk);
        assert_eq!(resumed.is_some(), store_resumes);
        assert_eq!(stopped, Some(()), "stopped in time");
        assert_eq!(node.tasks.live(), 0);
        node.store.resume();
    }
}

fn unrelated() -> ostler_store::Batch {
    let tenant = TenantId::parse("acme").unwrap();
    let key = ostler_store::Key::new(Table::Tasks, ostler_types::Shard(0), &tenant);
    let mut batch = ostler_store::Batch::new();
    batch.delete(key);
    batch
}
