use ostler_types::Instant;
use serde_json::json;

use super::*;
use crate::mcp::{Connection, testing};

async fn connection(answers: testing::Answers) -> (Env, Connection) {
    let env = Env::seeded(1);
    let connection = testing::connection(&env, answers).await;
    (env, connection)
}

/// Whether it is taken for lost until then.
async fn is_lost(env: &Env, connection: &Connection, until: Instant) -> bool {
    let lost = connection.health.lost(env, &connection.client);
    env.until(until, lost).await.is_some()
}

#[tokio::test(start_paused = true)]
async fn who_answers_is_there_whatever_is_doubted() {
    let (env, connection) = connection(|_, _| Some(json!({}))).await;
    drop(connection.health.call(None));
    let until = env.now() + Duration::from_secs(3_600);
    assert!(!is_lost(&env, &connection, until).await);
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_is_lost_soon_after_a_doubt() {
    let (env, connection) = connection(|_, _| None).await;
    connection.health.call(None).end();
    let until = env.now() + PING_EVERY;
    assert!(!is_lost(&env, &connection, until).await, "nobody doubts");
    drop(connection.health.call(None));
    let until = env.now() + MISSES_MAX * (PONG_MAX + PING_AGAIN);
    assert!(is_lost(&env, &connection, until).await);
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_for_a_while_is_not_lost() {
    let answers: testing::Answers = |_, asked| (asked >= 2).then(|| json!({}));
    let (env, connection) = connection(answers).await;
    let until = env.now() + Duration::from_secs(3_600);
    assert!(!is_lost(&env, &connection, until).await);
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_under_a_call_is_waited_for_long_but_not_for_ever() {
    let (env, connection) = connection(|_, _| None).await;
    let call = connection.health.call(None);
    connection.health.doubt();
    let until = env.now() + SILENCE_MAX;
    assert!(!is_lost(&env, &connection, until).await);
    connection.health.doubt();
    let until = env.now() + SILENCE_MAX + PONG_MAX + PING_AGAIN;
    assert!(is_lost(&env, &connection, until).await);
    call.end();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_more_time_is_waited_for_as_long() {
    let (env, connection) = connection(|_, _| None).await;
    let until = env.now() + 2 * SILENCE_MAX;
    let call = connection.health.call(Some(until));
    connection.health.doubt();
    assert!(!is_lost(&env, &connection, until).await);
    connection.health.doubt();
    let until = env.now() + MISSES_MAX * (PONG_MAX + PING_AGAIN) + SILENCE_MAX;
    assert!(is_lost(&env, &connection, until).await);
    call.end();
}

/// Those who come call on, in vain.
#[tokio::test(start_paused = true)]
async fn who_is_silent_is_lost_however_many_calls_begin_meanwhile() {
    let (env, connection) = connection(|_, _| None).await;
    // What one that is over could have taken does not count.
    let long = env.now() + 10 * SILENCE_MAX;
    connection.health.call(Some(long)).end();
    let calling = async {
        let mut before = connection.health.call(Some(env.now() + PING_EVERY));
        connection.health.doubt();
        loop {
            env.sleep(PING_EVERY / 2).await;
            let next = connection.health.call(Some(env.now() + PING_EVERY));
            std::mem::replace(&mut before, next).end();
        }
    };
    let until = env.now() + SILENCE_MAX + PONG_MAX + PING_AGAIN;
    tokio::select! {
        is_lost = is_lost(&env, &connection, until) => assert!(is_lost),
        () = calling => {}
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_silent_under_a_call_is_lost_when_that_ends() {
    let (env, connection) = connection(|_, _| None).await;
    let call = connection.health.call(None);
    connection.health.doubt();
    let lost = connection.health.lost(&env, &connection.client);
    tokio::pin!(lost);
    let until = env.now() + Duration::from_secs(300);
    assert_eq!(env.until(until, &mut lost).await, None);
    call.end();
    let until = env.now() + PONG_MAX + PING_AGAIN;
    let why = env.until(until, &mut lost).await;
    assert_eq!(why.as_deref(), Some("it answers no ping"));
}
