//! What the target of a call needs is looked at again by every request for it.

use super::*;

/// `ann`, with a credential that has this scope.
fn ann_with(node: &Node, scope: &str) -> Caller {
    let mut caller = node.ann();
    let mut identity = (*caller.identity).clone();
    identity.scopes = Arc::new([scope.into()]);
    caller.identity = Arc::new(identity);
    caller
}

#[tokio::test(start_paused = true)]
async fn a_task_is_out_of_reach_for_a_credential_without_its_scope() {
    let node = Node::new();
    let (script, task) = node.create(1).await;
    let id = task.id;
    node.scripts.need("pay");
    let forbidden = TaskError::Forbidden {
        scopes: vec!["pay".to_owned()],
    };
    let (tasks, bank, ann) = (&node.tasks, bank(), node.ann());
    assert_eq!(node.get(&id).await.err(), Some(forbidden.clone()));
    let updated = tasks.update(&ann, &bank, &id, BTreeMap::new()).await;
    assert_eq!(updated.err(), Some(forbidden.clone()));
    let cancelled = tasks.cancel(&ann, &bank, &id).await;
    assert_eq!(cancelled.err(), Some(forbidden));
    assert_eq!(script.told(), [], "nothing reached the call");
    let asked = [id.clone()];
    let (followed, _) = tasks.follow(&ann, &bank, &asked).await.unwrap();
    assert_eq!(followed, [] as [String; 0]);

    let payer = ann_with(&node, "pay");
    assert!(tasks.get(&payer, &bank, &id).await.is_ok());
    let (followed, _) = tasks.follow(&payer, &bank, &asked).await.unwrap();
    assert_eq!(followed, asked);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_call_goes_on_only_with_its_scope() {
    let node = Node::new();
    let (script, asked) = node.park(1, &["q"]).await;
    node.scripts.need("pay");
    let resumed = node.resume(&asked.request_state, &["q"]).await;
    assert!(matches!(resumed, Err(TaskError::Forbidden { .. })));
    assert_eq!(script.told(), [], "nothing reached the call");
    let params = params(&asked.request_state, &["q"]);
    let payer = ann_with(&node, "pay");
    let resumed = node.tasks.resume(&payer, &bank(), &params, able()).await;
    assert!(matches!(resumed, Ok(Resumed::Live(_))));
    drop(resumed);
    node.down().await;
}
