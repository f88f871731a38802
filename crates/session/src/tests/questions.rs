//! Questions to the client and their answers.

use std::time::Duration;

use ostler_protocol::{RequestId, call::Failure};

use super::world::*;

#[tokio::test(start_paused = true)]
async fn a_worker_gets_the_clients_answer_once() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut reader, attempt, _) = world.adopt_kept(&held, 1).await;
    attempt.say(ask("name"));
    let question = next(&mut reader).await;
    assert_eq!(shown(&question), "elicitation/create");
    assert!(question.id.is_some(), "a question can be resumed to");

    held.answer(request_id(&question), accept())
        .await
        .expect("taken");
    held.answer(request_id(&question), accept())
        .await
        .expect("dropped");
    assert_eq!(
        attempt.heard(),
        ["keep".into(), format!("answer name: {ACCEPT}")]
    );
    let rejected = "ostler_session_answers_rejected_total";
    assert_eq!(world.metric(rejected, &[("fate", "unmatched")]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn ids_of_our_requests_differ_in_all_streams_of_a_session() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut one, first, _) = world.adopt_kept(&held, 1).await;
    let (mut two, second, _) = world.adopt_kept(&held, 2).await;
    first.say(ask("a"));
    second.say(ask("a"));
    let ids = (
        request_id(&next(&mut one).await),
        request_id(&next(&mut two).await),
    );
    assert_ne!(ids.0, ids.1);
    held.answer(ids.1, accept()).await.expect("taken");
    assert_eq!((first.heard().len(), second.heard().len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_session_reaches_nobody() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut reader, attempt, _) = world.adopt_kept(&held, 1).await;
    attempt.say(ask("a"));
    let question = request_id(&next(&mut reader).await);
    let other = world.hold(&world.open().await).await;
    other.answer(question, accept()).await.expect("dropped");
    assert_eq!(attempt.heard(), ["keep"]);
}

#[tokio::test(start_paused = true)]
async fn a_question_times_out_in_its_time() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut reader, attempt, _) = world.adopt_kept(&held, 1).await;
    attempt.say(ask("a"));
    next(&mut reader).await;
    let asked = world.env.now();
    assert_eq!(shown(&next(&mut reader).await), "notifications/cancelled");
    assert_eq!(world.env.now().since(asked), Duration::from_secs(600));
    assert_eq!(attempt.heard()[1], "answer a: TimedOut");
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_request_withdraws_its_question() {
    let world = World::new();
    let held = world.hold(&world.open().await).await;
    let (mut reader, attempt, _) = world.adopt_kept(&held, 1).await;
    attempt.say(ask("a"));
    next(&mut reader).await;
    held.cancelled(RequestId::number(1), None)
        .await
        .expect("taken");
    assert_eq!(shown(&next(&mut reader).await), "notifications/cancelled");
    attempt.end(Err(Failure::Cancelled));
    assert_eq!(rest(reader).await, []);
}

#[tokio::test(start_paused = true)]
async fn questions_wait_for_initialized_at_most_five_seconds() {
    let world = World::new();
    let id = world.try_open().await.expect("opened");
    let opened = world.env.now();
    let held = world.hold(&id).await;
    let (mut reader, attempt, _) = world.adopt_kept(&held, 1).await;
    attempt.say(ask("a"));
    silent(&mut reader).await;
    assert_eq!(shown(&next(&mut reader).await), "elicitation/create");
    assert_eq!(world.env.now().since(opened), Duration::from_secs(5));
}
