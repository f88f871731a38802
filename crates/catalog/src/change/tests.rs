use ostler_types::{ServerId, WorkerId};

use super::*;
use crate::{
    Catalogs,
    catalogs::tests::{offer_of_tools, server, worker},
};

struct World {
    env: Env,
    catalogs: Catalogs,
    calc: ServerId,
    one: WorkerId,
}

fn world() -> World {
    let env = Env::seeded(1);
    World {
        catalogs: Catalogs::new(&env),
        calc: server("calc"),
        one: worker("one"),
        env,
    }
}

const TOOLS: Changes = Changes {
    tools: true,
    prompts: false,
    resources: false,
};

impl World {
    fn register(&self, tools: &[&str]) {
        self.catalogs
            .register(&self.calc, &self.one, offer_of_tools(tools));
    }

    fn remove(&self) {
        self.catalogs.remove(&self.calc, &self.one);
    }

    fn watch(&self) -> ChangeWatch {
        self.catalogs.watch(&self.calc)
    }

    /// How long the watch takes to tell of a change of tools.
    async fn told_after(&self, watch: &mut ChangeWatch) -> Duration {
        let start = self.env.now();
        assert_eq!(watch.changed().await, TOOLS);
        self.env.now().since(start)
    }

    /// Nothing is told for an hour.
    async fn check_silent(&self, watch: &mut ChangeWatch) {
        let hour = self.env.now() + Duration::from_secs(3_600);
        assert_eq!(self.env.until(hour, watch.changed()).await, None);
    }
}

/// Paused time stands still between the millisecond ticks of a timer.
fn check_near(found: Duration, expected: Duration) {
    let late = found.saturating_sub(expected);
    assert!(
        found >= expected && late <= Duration::from_millis(2),
        "{found:?} for {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_once_it_is_quiet() {
    let world = world();
    let mut watch = world.watch();
    world.register(&["a"]);
    check_near(world.told_after(&mut watch).await, QUIET);
    world.check_silent(&mut watch).await;
}

#[tokio::test(start_paused = true)]
async fn many_changes_in_a_row_are_told_together() {
    let world = world();
    let mut watch = world.watch();
    let changes = async {
        for names in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
            world.register(names);
            world.env.sleep(Duration::from_millis(60)).await;
        }
    };
    let (told, ()) = tokio::join!(world.told_after(&mut watch), changes);
    check_near(told, Duration::from_millis(120) + QUIET);
    world.check_silent(&mut watch).await;
}

/// GRPC-042.
#[tokio::test(start_paused = true)]
async fn noise_that_never_ends_is_told_after_a_while() {
    let world = world();
    let mut watch = world.watch();
    let changes = async {
        for round in 0..40 {
            world.register(&[["a", "b"][round % 2]]);
            world.env.sleep(Duration::from_millis(50)).await;
        }
    };
    let (told, ()) = tokio::join!(world.told_after(&mut watch), changes);
    check_near(told, NOISE_MAX);
}

/// GRPC-042.
#[tokio::test(start_paused = true)]
async fn a_flap_within_the_grace_is_no_change() {
    let world = world();
    world.register(&["a"]);
    let mut watch = world.watch();
    let flap = async {
        world.remove();
        world.env.sleep(Duration::from_millis(1_500)).await;
        world.register(&["a"]);
    };
    tokio::join!(world.check_silent(&mut watch), flap);
}

/// That nobody serves a Server says nothing of what it offers.
#[tokio::test(start_paused = true)]
async fn the_last_worker_leaving_is_no_change() {
    let world = world();
    world.register(&["a"]);
    let mut watch = world.watch();
    world.remove();
    world.check_silent(&mut watch).await;
    world.register(&["a"]);
    world.check_silent(&mut watch).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_back_after_the_grace_is_compared_with_what_was_shown_last() {
    let world = world();
    world.register(&["a"]);
    let mut watch = world.watch();
    world.remove();
    world.check_silent(&mut watch).await;
    let mut late = world.watch();
    world.register(&["b"]);
    let told = tokio::join!(world.told_after(&mut watch), world.told_after(&mut late));
    check_near(told.0, QUIET);
    check_near(told.1, QUIET);
}

#[tokio::test(start_paused = true)]
async fn one_of_two_workers_leaving_for_good_is_one_change_after_the_grace() {
    let world = world();
    world.register(&["a"]);
    let other = offer_of_tools(&["b"]);
    world.catalogs.register(&world.calc, &worker("two"), other);
    let mut watch = world.watch();
    world.remove();
    let grace = Duration::from_secs(2);
    check_near(world.told_after(&mut watch).await, grace + QUIET);
    world.check_silent(&mut watch).await;
}

#[tokio::test(start_paused = true)]
async fn workers_leaving_one_after_the_other_for_good_is_no_change() {
    let world = world();
    world.register(&["a"]);
    let (two, other) = (worker("two"), offer_of_tools(&["b"]));
    world.catalogs.register(&world.calc, &two, other.clone());
    let mut watch = world.watch();
    world.remove();
    world.env.sleep(Duration::from_secs(1)).await;
    world.catalogs.remove(&world.calc, &two);
    world.check_silent(&mut watch).await;
    world.catalogs.register(&world.calc, &two, other);
    world.told_after(&mut watch).await;
}

/// After a restart of the node, until the workers are back.
#[tokio::test(start_paused = true)]
async fn a_server_that_nobody_has_offered_yet_has_not_changed() {
    let world = world();
    world.register(&["a"]);
    let seen = world.watch().seen();
    let restarted = self::world();
    let mut watch = restarted.catalogs.watch_since(&restarted.calc, seen);
    restarted.check_silent(&mut watch).await;
    restarted.register(&["a"]);
    restarted.check_silent(&mut watch).await;
    restarted.register(&["b"]);
    restarted.told_after(&mut watch).await;
}

#[tokio::test(start_paused = true)]
async fn there_and_back_before_it_is_told_is_no_change() {
    let world = world();
    world.register(&["a"]);
    let mut watch = world.watch();
    let flap = async {
        world.register(&["b"]);
        world.env.sleep(Duration::from_millis(50)).await;
        world.register(&["a"]);
    };
    tokio::join!(world.check_silent(&mut watch), flap);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_comes_back_is_told_what_it_missed() {
    let world = world();
    world.register(&["a"]);
    let seen = world.watch().seen();
    let mut same = world.catalogs.watch_since(&world.calc, seen);
    world.check_silent(&mut same).await;
    drop(same);
    world.register(&["b"]);
    let mut late = world.catalogs.watch_since(&world.calc, seen);
    world.told_after(&mut late).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_loses_nothing() {
    let world = world();
    let mut watch = world.watch();
    world.register(&["a"]);
    let soon = world.env.now() + Duration::from_millis(10);
    assert_eq!(world.env.until(soon, watch.changed()).await, None);
    world.told_after(&mut watch).await;
}

#[tokio::test(start_paused = true)]
async fn every_listener_is_told() {
    let world = world();
    let (mut one, mut other) = (world.watch(), world.watch());
    world.register(&["a"]);
    let told = tokio::join!(one.changed(), other.changed());
    assert_eq!(told, (TOOLS, TOOLS));
}
