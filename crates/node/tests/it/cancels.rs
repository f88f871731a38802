//! Clients that go away in the middle leave nothing behind, and their workers hear of it
//! (promises.md G15). How soon, `loadtests cancels` measures.

use std::{future::ready, time::Duration};

use futures_util::{StreamExt, stream};
use ostler_env::Env;
use ostler_testkit::{Leaver, Levels, PATIENCE, back_to};

use crate::world::World;

const CLIENTS: u32 = 120;
const AT_ONCE: usize = 12;

async fn check(seed: u64, leave: impl AsyncFn(Leaver, String, u64) -> Option<Duration>) {
    let world = World::with(|config| {
        config.edge.stream_after = Duration::from_millis(20);
        config.session.linger = Duration::from_millis(100);
    });
    let world = world.await;
    let levels = || Levels::of(&world.node.env.metrics().render());
    let before = levels();
    let leaver = Leaver {
        env: Env::system(),
        door: world.door(),
        script: world.script.clone(),
    };
    let random = Env::seeded(seed);
    let clients = (0..CLIENTS).map(|number| {
        let draw = random.random_u64();
        leave(leaver.clone(), format!("c{number}"), draw)
    });
    let heard = stream::iter(clients).buffer_unordered(AT_ONCE);
    let heard: Vec<Duration> = heard.filter_map(ready).collect().await;
    assert!(!heard.is_empty(), "seed {seed}: nothing was cancelled");
    back_to(&before, PATIENCE, async || levels()).await;
    world.stop().await;
}

#[tokio::test]
async fn modern_clients_that_go_leave_nothing_behind() {
    check(15, async |leaver, gate, draw| {
        leaver.modern(&gate, draw).await
    })
    .await;
}

#[tokio::test]
async fn legacy_clients_that_go_leave_nothing_behind() {
    check(51, async |leaver, gate, draw| {
        leaver.legacy(&gate, draw).await
    })
    .await;
}
