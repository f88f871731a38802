//! Parked calls.

use ostler_protocol::call::Progress;

use super::*;

fn said(key: &str) -> Said {
    Said::Answer(key.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_parked_call_goes_through_its_rounds_to_its_outcome() {
    let node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    assert_eq!(keys(&asked), ["a"]);
    let mut stream = node.follows(&asked.request_state, &["a"]).await;
    assert_eq!(script.told(), [said("a")]);
    script.say(asks(&["b", "c"]));
    let next = asked_of(end_of(&mut stream).await);
    assert_eq!(keys(&next), ["b", "c"]);
    assert_ne!(next.request_state, asked.request_state);
    // Missing answers are asked for again, with a fresh state [MR-7].
    let rest = asked_of(node.ended(&next.request_state, &["b"]).await);
    assert_eq!(keys(&rest), ["c"]);
    let mut stream = node.follows(&rest.request_state, &["c"]).await;
    script.say(CallEvent::Outcome(result()));
    assert_eq!(end_of(&mut stream).await, End::Outcome(result()));
    assert_eq!(stream.next().await, None);
    // Any of its tokens gets the stored outcome again.
    for state in [&asked, &next, &rest].map(|asked| &asked.request_state) {
        assert_eq!(node.ended(state, &["a"]).await, End::Outcome(result()));
    }
    assert_eq!(node.metric("ostler_task_rounds_total"), 3.0);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn two_resumes_at_once_feed_once_and_both_hear_the_end() {
    let node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    let state = &asked.request_state;
    let (mut one, mut two) = tokio::join!(node.follows(state, &["a"]), node.follows(state, &["a"]));
    assert_eq!(script.told(), [said("a")]);
    script.say(CallEvent::Outcome(result()));
    assert_eq!(end_of(&mut one).await, End::Outcome(result()));
    assert_eq!(end_of(&mut two).await, End::Outcome(result()));
    assert_eq!(script.told(), [Said::Recorded, Said::Detached]);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn chatter_comes_before_the_end_in_its_order() {
    let node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    let mut stream = node.follows(&asked.request_state, &["a"]).await;
    for step in [1.0, 2.0] {
        let (total, message) = (None, None);
        script.say(CallEvent::Progress(Progress {
            progress: step,
            total,
            message,
        }));
    }
    script.say(CallEvent::Outcome(result()));
    for expected in [1.0, 2.0] {
        let event = stream.next().await;
        assert!(matches!(event, Some(Ok(RoundEvent::Progress(p))) if p.progress == expected));
    }
    assert_eq!(end_of(&mut stream).await, End::Outcome(result()));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_request_cancels_the_call_and_nothing_stays_running() {
    let node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    let stream = node.follows(&asked.request_state, &["a"]).await;
    script.told();
    drop(stream);
    node.settle().await;
    assert_eq!(script.told(), [Said::Cancel]);
    script.say(CallEvent::Outcome(Err(Failure::Cancelled)));
    let end = node.ended(&asked.request_state, &["a"]).await;
    assert_eq!(end, End::Outcome(Err(Failure::Cancelled)));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_closed_before_its_answer_cancels_the_call_and_stores_nothing() {
    let node = Node::new();
    let (script, handover) = node.handover(1, facts(), asking(&["a"]));
    let park = node.take_over(handover);
    assert!(
        node.env
            .until(node.env.now() + Duration::from_secs(1), park)
            .await
            .is_none()
    );
    node.settle().await;
    assert_eq!(script.told(), [Said::Cancel]);
    script.say(CallEvent::Outcome(Err(Failure::Cancelled)));
    node.settle().await;
    assert_eq!((node.tasks.live(), node.rows(Table::Tasks).await), (0, 0));
    node.down().await;
}

fn states_refused(node: &Node, reason: &str) -> f64 {
    let labels = [("reason", reason)];
    let metrics = node.env.metrics();
    let counted = metrics.value("ostler_task_states_refused_total", &labels);
    counted.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_state_is_refused_for_anything_but_its_own_request() {
    let node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    let good = params(&asked.request_state, &["a"]);
    let other_target = CallParams {
        target: "echo".to_owned(),
        ..good.clone()
    };
    let other_arguments = CallParams {
        arguments: Raw::empty_object(),
        ..good.clone()
    };
    let tampered = params(&format!("{}-TAMPERED", asked.request_state), &["a"]);
    let endless = params(&asked.request_state.repeat(1_000), &["a"]);
    let (ann, bob, eve) = (
        node.ann(),
        node.caller("acme", "bob"),
        node.caller("evil", "ann"),
    );
    let cases = [
        (&bob, bank(), &good, "principal"),
        // Another tenant's principal is another one, whatever its name.
        (&eve, server("evil", "bank"), &good, "server"),
        (&ann, server("acme", "shop"), &good, "server"),
        (&ann, bank(), &other_target, "target"),
        (&ann, bank(), &other_arguments, "arguments"),
        (&ann, bank(), &tampered, "seal"),
        (&ann, bank(), &endless, "too_long"),
    ];
    for (caller, server, params, reason) in cases {
        let resumed = node.tasks.resume(caller, &server, params, able()).await;
        assert_eq!(resumed.err(), Some(TaskError::State), "{reason}");
        assert!(states_refused(&node, reason) > 0.0, "{reason}");
    }
    assert_eq!(script.told(), []);
    node.env.sleep(node.config.park_timeout).await;
    assert_eq!(
        node.resume(&asked.request_state, &["a"]).await.err(),
        Some(TaskError::State)
    );
    assert_eq!(states_refused(&node, "expired"), 1.0);
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_call_nobody_comes_back_for_is_cancelled_and_forgotten() {
    let node = Node::new();
    let (script, _) = node.park(1, &["a"]).await;
    node.env.sleep(node.config.park_timeout).await;
    node.settle().await;
    assert_eq!(script.told(), [Said::Cancel]);
    script.say(CallEvent::Outcome(Err(Failure::Cancelled)));
    node.settle().await;
    let rows = (node.rows(Table::Tasks).await, node.rows(Table::Calls).await);
    assert_eq!((rows, node.tasks.live()), ((0, 0), 0));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn an_ended_call_costs_no_memory_and_still_answers() {
    let node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    script.say(CallEvent::Outcome(result()));
    node.env.sleep(Duration::from_secs(2)).await;
    assert_eq!((node.tasks.live(), node.rows(Table::Calls).await), (0, 0));
    assert_eq!(
        node.ended(&asked.request_state, &["a"]).await,
        End::Outcome(result())
    );
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_becomes_a_task_after_its_rounds() {
    // [MR-13]
    let node = Node::new();
    let (script, asked) = node.park(1, &["a"]).await;
    let mut stream = node.follows(&asked.request_state, &["a"]).await;
    stream.request_task();
    let End::Task(view) = end_of(&mut stream).await else {
        panic!("a task expected");
    };
    drop(stream);
    node.settle().await;
    assert_eq!(
        script.told(),
        [said("a")],
        "a closed request means nothing to a task"
    );
    script.say(CallEvent::Outcome(result()));
    node.settle().await;
    let standing = node.get(&view.id).await.unwrap().state;
    assert_eq!(standing, Standing::Completed(result().unwrap()));
    node.down().await;
}

#[tokio::test(start_paused = true)]
async fn unfinished_calls_of_one_principal_are_bounded() {
    let node = Node::with(Config {
        unfinished_per_principal_max: 1,
        ..Config::default()
    });
    let (script, _) = node.park(1, &["a"]).await;
    let refused = node.tasks.reserve(&node.ann(), &bank()).map(|_| ());
    assert_eq!(refused, Err(TaskError::Quota), "before anything runs");
    script.say(CallEvent::Outcome(result()));
    node.settle().await;
    node.park(3, &["a"]).await;
    node.down().await;
}
