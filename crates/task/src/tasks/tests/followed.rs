//! Tasks.

use futures_util::StreamExt;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_task_is_there_as_soon_as_its_handle_is() {
    // [TK-1]
    let node = Node::new();
    let (script, created) = node.create(1).await;
    assert_eq!(node.get(&created.id).await, Ok(created.clone()));
    assert_eq!(created.ttl, Some(node.config.task_ttl));
    script.say(asks(&["a"]));
    node.settle().await;
    let asked = node.get(&created.id).await.unwrap().state;
    assert_eq!(asked, Standing::InputRequired(vec![question("a")]));
    let answers = BTreeMap::from([("a".to_owned(), answer())]);
    let updated = node
        .tasks
        .update(&node.ann(), &bank(), &created.id, answers)
        .await;
    assert_eq!(updated, Ok(()));
    assert_eq!(
        node.get(&created.id).await.unwrap().state,
        Standing::Working
    );
    script.say(CallEvent::Outcome(result()));
    node.env.sleep(Duration::from_secs(2)).await;
    assert_eq!(node.tasks.live(), 0);
    let view = node.get(&created.id).await.unwrap();
    assert_eq!(view.state, Standing::Completed(result().unwrap()));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn unknown_foreign_and_expired_tasks_look_the_same() {
    // [TK-2] [RPC-058]
    let node = Node::new();
    let (script, task) = node.create(1).await;
    let cases = [
        (node.caller("acme", "bob"), bank(), task.id.clone()),
        (node.ann(), server("acme", "shop"), task.id.clone()),
        (
            node.caller("evil", "ann"),
            server("evil", "bank"),
            task.id.clone(),
        ),
        (node.ann(), bank(), "guess".to_owned()),
        (node.ann(), bank(), format!("{}x", task.id)),
        (
            node.ann(),
            bank(),
            node.tasks.0.wire_id(ostler_types::TaskId([9; 24])),
        ),
    ];
    // Awake, and asleep.
    for _ in 0..2 {
        for (caller, server, id) in &cases {
            let got = node.tasks.get(caller, server, id).await.map(|_| ());
            let updated = node.tasks.update(caller, server, id, BTreeMap::new()).await;
            let cancelled = node.tasks.cancel(caller, server, id).await;
            for refused in [got, updated, cancelled] {
                assert_eq!(refused, Err(TaskError::Unknown));
            }
        }
        script.say(CallEvent::Outcome(result()));
        node.env.sleep(Duration::from_secs(2)).await;
    }
    assert!(!script.told().contains(&Said::Cancel));
    node.env.sleep(node.config.task_ttl).await;
    assert_eq!(node.get(&task.id).await, Err(TaskError::Unknown));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_acknowledged_and_the_task_ends_soon() {
    let node = Node::new();
    let (script, task) = node.create(1).await;
    assert_eq!(
        node.tasks.cancel(&node.ann(), &bank(), &task.id).await,
        Ok(())
    );
    assert_eq!(script.told(), [Said::Cancel]);
    node.env.sleep(node.config.cancel_grace).await;
    node.settle().await;
    assert_eq!(node.get(&task.id).await.unwrap().state, Standing::Cancelled);
    assert_eq!(
        node.tasks.cancel(&node.ann(), &bank(), &task.id).await,
        Ok(())
    );
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn those_who_follow_a_task_hear_each_change() {
    let node = Node::new();
    let (script, task) = node.create(1).await;
    let (_, other) = node.create(2).await;
    let named = [task.id.clone(), "guess".to_owned(), other.id];
    let bob = node.caller("acme", "bob");
    let (accepted, _) = node.tasks.follow(&bob, &bank(), &named).await.unwrap();
    assert_eq!(accepted, [""; 0]);
    let (accepted, mut updates) = node
        .tasks
        .follow(&node.ann(), &bank(), &named[..2])
        .await
        .unwrap();
    assert_eq!(accepted, named[..1]);
    script.say(asks(&["a"]));
    let update = updates.next().await.unwrap();
    assert_eq!(
        (update.id, update.state),
        (
            task.id.clone(),
            Standing::InputRequired(vec![question("a")])
        )
    );
    script.say(CallEvent::Outcome(lost()));
    let update = updates.next().await.unwrap();
    assert_eq!(update.state, Standing::Failed(lost().unwrap_err()));
    assert_eq!(
        node.get(&task.id).await.unwrap(),
        TaskView {
            id: task.id,
            ..update
        }
    );
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_call_said_before_it_became_a_task_is_not_lost() {
    let node = Node::new();
    let (script, mut handover) = node.handover(1, facts(), becoming_task());
    handover.backlog = vec![CallEvent::Kept, asks(&["a"]), CallEvent::Outcome(result())];
    let end = node.take_over(handover).await;
    let Ok(End::Task(created)) = end else {
        panic!("a task expected: {end:?}");
    };
    let view = node.get(&created.id).await.unwrap();
    assert_eq!(view.state, Standing::Completed(result().unwrap()));
    assert!(script.told().contains(&Said::Recorded));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_large_result_comes_back_whole() {
    let node = Node::new();
    let (script, task) = node.create(1).await;
    let block = serde_json::json!({"type": "text", "text": "x".repeat(4 << 20)});
    let text = Raw::from_value(&serde_json::json!({"content": [block]}));
    script.say(CallEvent::Outcome(Ok(text.clone())));
    node.env.sleep(Duration::from_secs(2)).await;
    assert_eq!(
        node.get(&task.id).await.unwrap().state,
        Standing::Completed(text)
    );
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_follows_too_slowly_is_cut_off() {
    let node = Node::with(Config {
        updates_len_max: 1,
        ..Config::default()
    });
    let (script, task) = node.create(1).await;
    let named = [task.id];
    let (_, updates) = node
        .tasks
        .follow(&node.ann(), &bank(), &named)
        .await
        .unwrap();
    script.say(asks(&["a"]));
    node.settle().await;
    script.say(asks(&["b"]));
    node.settle().await;
    assert_eq!(updates.count().await, 1);
    assert_eq!(node.metric("ostler_task_followers_cut_total"), 1.0);
    assert_eq!(node.metric("ostler_task_created_total"), 1.0);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_cancelled_while_its_worker_is_away_is_cancelled_when_it_comes_back() {
    let mut node = Node::new();
    let (script, task) = node.create(1).await;
    node.restart().await;
    node.tasks
        .cancel(&node.ann(), &bank(), &task.id)
        .await
        .unwrap();
    script.told();
    script.name();
    assert!(node.tasks.rebind(CallId(1)).await);
    node.settle().await;
    assert_eq!(script.told(), [Said::Cancel]);
    node.down().await;
}
