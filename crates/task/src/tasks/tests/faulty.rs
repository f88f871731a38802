//! A store that fails, and actors that crash.

use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_is_shown_before_it_is_stored() {
    let node = Node::new();
    node.store.pause();
    let (script, handover) = node.handover(1, facts(), asking(&["a"]));
    script.say(CallEvent::Kept);
    let mut park = Box::pin(node.take_over(handover));
    let second = || node.env.now() + Duration::from_secs(1);
    assert!(node.env.until(second(), &mut park).await.is_none());
    node.store.resume();
    let asked = asked_of(park.await.unwrap());

    let mut stream = node.follows(&asked.request_state, &["a"]).await;
    script.told();
    node.store.pause();
    script.say(CallEvent::Outcome(result()));
    assert!(node.env.until(second(), stream.next()).await.is_none());
    assert_eq!(
        script.told(),
        [],
        "the worker holds the outcome until it is stored"
    );
    node.store.resume();
    assert_eq!(end_of(&mut stream).await, End::Outcome(result()));
    assert_eq!(script.told(), [Said::Recorded, Said::Detached]);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_stored_is_refused_and_stopped() {
    let node = Node::new();
    node.faults.set(Fault::Full);
    for (id, birth) in [(1, asking(&["a"])), (2, becoming_task())] {
        let (script, handover) = node.handover(id, facts(), birth);
        script.say(CallEvent::Kept);
        let end = node.take_over(handover).await;
        assert_eq!(end, Err(TaskError::Storage));
        node.settle().await;
        assert_eq!(script.told(), [Said::Cancel]);
        script.say(CallEvent::Outcome(Err(Failure::Cancelled)));
        node.settle().await;
    }
    node.faults.set(Fault::None);
    assert_eq!((node.tasks.live(), node.rows(Table::Tasks).await), (0, 0));
    assert_eq!(node.metric("ostler_task_store_failures_total"), 2.0);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_round_can_be_repeated_and_feeds_once() {
    let node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    node.faults.set(Fault::Full);
    for _ in 0..2 {
        let refused = node.resume(&asked.request_state, &["a"]).await;
        assert_eq!(refused.err(), Some(TaskError::Storage));
    }
    assert_eq!(script.told(), []);
    node.faults.set(Fault::None);
    let mut stream = node.follows(&asked.request_state, &["a"]).await;
    assert_eq!(script.told(), [Said::Answer("a".to_owned())]);
    script.say(CallEvent::Outcome(result()));
    assert_eq!(end_of(&mut stream).await, End::Outcome(result()));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn an_outcome_waits_for_the_store_to_recover() {
    let node = Node::new();
    let (script, task) = node.create(1).await;
    node.faults.set(Fault::Full);
    script.say(CallEvent::Outcome(result()));
    node.env.sleep(Duration::from_secs(10)).await;
    assert_eq!(
        node.get(&task.id).await,
        Err(TaskError::Storage),
        "not shown before stored"
    );
    assert_eq!(script.told(), []);
    node.faults.set(Fault::None);
    node.env.sleep(node.config.store_retry * 2).await;
    assert_eq!(script.told(), [Said::Recorded, Said::Detached]);
    let view = node.get(&task.id).await.unwrap();
    assert_eq!(view.state, Standing::Completed(result().unwrap()));
    node.down().await;
}

/// design.md 4.2: until it is stored, its worker is all that has it.
#[tokio::test(start_paused = true)]
async fn a_call_whose_outcome_is_not_stored_stays_ours_when_the_node_stops() {
    let mut node = Node::new();
    let (script, task) = node.create(1).await;
    node.faults.set(Fault::Full);
    script.say(CallEvent::Outcome(result()));
    node.settle().await;
    node.tasks.stop().await;
    assert!(
        node.tasks.rebind(CallId(1)).await,
        "its worker is not told to forget it"
    );
    assert_eq!(script.told(), [Said::Detached]);
    node.faults.set(Fault::None);
    node.restart().await;
    assert_eq!(node.tasks.recover().await, Ok(1));
    script.name();
    assert!(node.tasks.rebind(CallId(1)).await);
    script.say(CallEvent::Outcome(result()));
    node.settle().await;
    let view = node.get(&task.id).await.unwrap();
    assert_eq!(view.state, Standing::Completed(result().unwrap()));
    node.down().await;
}

/// A node whose store fails beyond repair drains, and until it has ended its workers link.
#[tokio::test(start_paused = true)]
async fn a_call_whose_task_does_not_wake_at_a_start_stays_ours() {
    let mut node = Node::new();
    let (script, _) = node.create(1).await;
    let (other, _) = node.create(2).await;
    node.faults.set(Fault::SyncFails);
    other.say(CallEvent::Outcome(result()));
    node.settle().await;
    node.restart().await;
    assert_eq!((node.tasks.recover().await, node.tasks.live()), (Ok(1), 0));
    script.name();
    assert!(
        node.tasks.rebind(CallId(1)).await,
        "its worker is not told to forget it"
    );
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_does_not_make_tasks_unknown() {
    let node = Node::new();
    let (script, task) = node.create(1).await;
    script.say(CallEvent::Outcome(result()));
    node.env.sleep(Duration::from_secs(2)).await;
    node.faults.set(Fault::ReadFails);
    assert_eq!(node.get(&task.id).await, Err(TaskError::Storage));
    node.faults.set(Fault::None);
    assert!(node.get(&task.id).await.is_ok());
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_crashed_actor_is_rebuilt_and_its_call_goes_on() {
    let node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    script.panic_once();
    node.settle().await;
    assert_eq!(script.told(), [Said::Detached]);
    let mut stream = node.follows(&asked.request_state, &["a"]).await;
    script.say(CallEvent::Outcome(result()));
    assert_eq!(end_of(&mut stream).await, End::Outcome(result()));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_crashes_again_and_again_ends_its_task_only() {
    let node = Node::new();
    let (script, task) = node.create(1).await;
    let (_, other) = node.create(2).await;
    for _ in 0..3 {
        script.panic_once();
        node.settle().await;
    }
    assert_eq!(node.get(&task.id).await, Err(TaskError::Unknown));
    assert!(
        !node.tasks.rebind(CallId(1)).await,
        "its worker is told to stop it"
    );
    assert_eq!(node.get(&other.id).await, Ok(other));
    assert_eq!(node.rows(Table::Calls).await, 1);
    node.down().await;
}
