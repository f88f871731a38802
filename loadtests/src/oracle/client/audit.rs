//! What was acknowledged is looked at again: nothing of it may have changed.

use ostler_testkit::{Modern, Session};
use serde_json::json;

use super::{
    legacy::{self, Line},
    modern,
    world::{PastParked, PastStream, PastTask, World},
};
use crate::oracle::fact::Fact;

/// How many of each kind are looked at each time.
const LOOKS: usize = 12;

/// Everybody alive, and some of what has ended. Told when it is done.
pub async fn run(world: &World) {
    tokio::join!(
        sessions(world),
        deleted(world),
        streams(world),
        tasks(world),
        cancelled(world),
        parked(world)
    );
}

async fn sessions(world: &World) {
    let sessions: Vec<Session> = world.past().lock().sessions.values().cloned().collect();
    for session in sessions {
        let id = session.id.clone();
        let request = session.request(world.name(), "ping", json!({}));
        let response = world.patiently(&request).await;
        let fact = match response.status {
            200 => Fact::Answers { session: id },
            404 => Fact::Gone { session: id },
            _ => Fact::Missing {
                what: format!("an answer in {id}: {response:?}"),
            },
        };
        world.write(fact).await;
    }
}

async fn deleted(world: &World) {
    let deleted: Vec<Session> = pick(world, |past| past.deleted.iter().cloned().collect());
    for session in deleted {
        let request = session.request(world.name(), "ping", json!({}));
        let session = session.id.clone();
        let fact = match world.patiently(&request).await.status {
            404 => Fact::Gone { session },
            _ => Fact::Undead { session },
        };
        world.write(fact).await;
    }
}

async fn streams(world: &World) {
    let streams: Vec<PastStream> = pick(world, |past| past.streams.iter().cloned().collect());
    for stream in streams {
        let at = world.env().random_u64() as usize % stream.ids.len();
        legacy::replay(world, &stream, &stream.ids[at]).await;
    }
}

async fn tasks(world: &World) {
    let tasks: Vec<PastTask> = pick(world, |past| past.tasks.iter().cloned().collect());
    for (number, task) in tasks.into_iter().enumerate() {
        // Tasks are one set: either dialect tells of those of the other.
        match number % 2 {
            0 => modern::poll(world, &task.call, &task.id).await,
            _ => by_result(world, &task).await,
        }
    }
}

async fn cancelled(world: &World) {
    let tasks: Vec<PastTask> = pick(world, |past| past.cancelled.iter().cloned().collect());
    for task in tasks {
        modern::poll(world, &task.call, &task.id).await;
    }
}

async fn by_result(world: &World, task: &PastTask) {
    let session = world.past().lock().sessions.values().next().cloned();
    let Some(session) = session.filter(|session| session.version == "2025-11-25") else {
        return modern::poll(world, &task.call, &task.id).await;
    };
    let line = Line {
        world: world.clone(),
        session,
    };
    let message = line.ask("tasks/result", json!({"taskId": task.id})).await;
    // The session may have ended in the meantime, which says nothing of the task.
    if message["status"] != 404 {
        world.told(&task.call, &message).await;
    }
}

async fn parked(world: &World) {
    let parked: Vec<PastParked> = pick(world, |past| past.parked.iter().cloned().collect());
    for PastParked { call, retry, until } in parked {
        if until < world.env().now() {
            continue;
        }
        let again: Modern = retry.id(world.name());
        let message = modern::repeat(world, &again).await;
        world.told(&call, &message).await;
    }
}

/// Some at random.
fn pick<T>(world: &World, all: impl Fn(&super::world::Past) -> Vec<T>) -> Vec<T> {
    let mut all = all(&world.past().lock());
    while all.len() > LOOKS {
        let at = world.env().random_u64() as usize % all.len();
        all.swap_remove(at);
    }
    all
}
