//! The pool around its machine: tasks, holds, time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use ostler_bridge::{
    Metrics,
    pool::{GivenUp, Limits, Opener, Pool, Refusal},
};
use ostler_env::Env;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// Upstreams that are numbers, and an opener that does as it is told.
#[derive(Clone, Default)]
struct Script(Arc<Told>);

#[derive(Default)]
struct Told {
    opened: AtomicUsize,
    closed: AtomicUsize,
    fails: Mutex<Option<&'static str>>,
    hangs: Mutex<bool>,
    /// What hangs ends when it is given up, and not before this lets it.
    lingers: Mutex<bool>,
    let_go: Notify,
}

#[derive(Clone)]
struct Number {
    number: usize,
    dead: watch::Sender<bool>,
}

impl Opener for Script {
    type Key = (&'static str, u32);
    type Held = Number;

    fn tenant(&self, key: &Self::Key) -> Arc<str> {
        key.0.into()
    }

    fn open(&self, _: &Self::Key, given_up: GivenUp) -> BoxFuture<'static, Result<Number, String>> {
        let told = self.0.clone();
        Box::pin(async move {
            // Those who come at once see one start.
            tokio::task::yield_now().await;
            if *told.hangs.lock() {
                drop(given_up.await);
                if *told.lingers.lock() {
                    told.let_go.notified().await;
                }
                return Err("given up".into());
            }
            if let Some(why) = *told.fails.lock() {
                return Err(why.into());
            }
            let number = told.opened.fetch_add(1, Ordering::SeqCst);
            let dead = watch::Sender::new(false);
            Ok(Number { number, dead })
        })
    }

    fn gone(&self, held: &Number) -> BoxFuture<'static, String> {
        let mut dead = held.dead.subscribe();
        Box::pin(async move {
            drop(dead.wait_for(|dead| *dead).await);
            "it died".into()
        })
    }

    fn close(&self, _: Number) -> BoxFuture<'static, ()> {
        self.0.closed.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {})
    }

    fn discard(&self, held: &Number, _: &str) {
        held.dead.send_replace(true);
    }
}

struct Bench {
    env: Env,
    script: Script,
    pool: Pool<Script>,
}

fn bench() -> Bench {
    let env = Env::seeded(7);
    let metrics = Metrics::register(env.metrics());
    let script = Script::default();
    let limits = Limits {
        tenant_max: 2,
        ..Limits::default()
    };
    let pool = Pool::new(&env, &metrics, limits, script.clone());
    Bench { env, script, pool }
}

impl Bench {
    fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let value = self.env.metrics().value(name, labels);
        value.expect("a metric of the bridge")
    }

    fn closed(&self) -> usize {
        self.script.0.closed.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_want_it_at_once_hold_the_same() {
    let bench = bench();
    let holds = join_all((0..20).map(|_| bench.pool.hold(("a", 1)))).await;
    let numbers = holds
        .iter()
        .map(|hold| hold.as_ref().expect("it opens").number);
    assert_eq!(numbers.collect::<Vec<_>>(), [0; 20]);
    assert_eq!(bench.pool.places(), 1);
    assert_eq!(
        bench.count("ostler_bridge_upstreams_opened_total", &[]),
        1.0
    );
}

#[tokio::test(start_paused = true)]
async fn idle_ones_are_closed_and_used_ones_are_not() {
    let bench = bench();
    let used = bench.pool.hold(("a", 1)).await.expect("it opens");
    drop(bench.pool.hold(("a", 2)).await.expect("it opens"));
    bench.env.sleep(Duration::from_secs(800)).await;
    assert_eq!((bench.pool.places(), bench.closed()), (1, 1));
    let idle = [("reason", "idle")];
    assert_eq!(
        bench.count("ostler_bridge_upstreams_closed_total", &idle),
        1.0
    );
    drop(used);
    bench.env.sleep(Duration::from_secs(800)).await;
    assert_eq!((bench.pool.places(), bench.closed()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn one_that_died_is_replaced_at_the_next_call() {
    let bench = bench();
    let first = bench.pool.hold(("a", 1)).await.expect("it opens");
    first.dead.send_replace(true);
    bench.env.sleep(Duration::from_millis(1)).await;
    assert_eq!((bench.pool.places(), bench.closed()), (0, 1));
    let second = bench.pool.hold(("a", 1)).await.expect("it opens again");
    assert_eq!((first.number, second.number), (0, 1));
    drop(first);
    assert_eq!(
        bench.count("ostler_bridge_upstreams_reopened_total", &[]),
        1.0
    );
    let gone = [("reason", "gone")];
    assert_eq!(
        bench.count("ostler_bridge_upstreams_closed_total", &gone),
        1.0
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_discarded_is_given_to_nobody_any_more() {
    let bench = bench();
    let first = bench.pool.hold(("a", 1)).await.expect("it opens");
    first.discard("it does not do");
    let second = bench.pool.hold(("a", 1)).await.expect("it opens again");
    assert_eq!((first.number, second.number), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_is_tried_again_after_a_rest_and_not_before() {
    let bench = bench();
    *bench.script.0.fails.lock() = Some("no such thing");
    let failed = bench.pool.hold(("a", 1)).await.err().expect("it fails");
    assert!(failed.to_string().contains("no such thing"), "{failed}");
    *bench.script.0.fails.lock() = None;
    let rests = bench.pool.hold(("a", 1)).await.err().expect("it rests");
    let Refusal::Resting { retry_after, .. } = rests else {
        panic!("{rests:?}");
    };
    bench.env.sleep(retry_after).await;
    bench.pool.hold(("a", 1)).await.expect("it opens");
    assert_eq!(
        bench.count("ostler_bridge_upstreams_failed_total", &[]),
        1.0
    );
    for reason in ["failed", "resting"] {
        let refused = [("reason", reason)];
        assert_eq!(
            bench.count("ostler_bridge_holds_refused_total", &refused),
            1.0
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_takes_too_long_has_failed() {
    let bench = bench();
    *bench.script.0.hangs.lock() = true;
    let failed = bench.pool.hold(("a", 1)).await.err().expect("it fails");
    assert!(matches!(failed, Refusal::Failed { .. }), "{failed:?}");
    assert_eq!(bench.pool.places(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_given_up_has_its_place_until_nothing_is_left_of_it() {
    let bench = bench();
    *bench.script.0.hangs.lock() = true;
    *bench.script.0.lingers.lock() = true;
    let hold = bench.pool.hold(("a", 1));
    tokio::pin!(hold);
    let limit = bench.env.now() + Limits::default().open_max + Duration::from_secs(5);
    assert!(bench.env.until(limit, &mut hold).await.is_none());
    assert_eq!(bench.pool.places(), 1);
    bench.script.0.let_go.notify_one();
    let failed = hold.await.err().expect("it fails");
    assert!(failed.to_string().contains("too long"), "{failed}");
    assert_eq!(bench.pool.places(), 0);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_what_was_about_to_open() {
    let bench = bench();
    *bench.script.0.hangs.lock() = true;
    *bench.script.0.lingers.lock() = true;
    let (opening, closing) = (bench.pool.hold(("a", 1)), bench.pool.close());
    tokio::pin!(closing);
    let limit = bench.env.now() + Duration::from_secs(5);
    let early = bench
        .env
        .until(limit, async { tokio::join!(opening, &mut closing) });
    assert!(early.await.is_none());
    assert_eq!(bench.pool.places(), 1);
    bench.script.0.let_go.notify_one();
    closing.await;
    assert_eq!(bench.pool.places(), 0);
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_an_idle_one_gives_way_and_a_used_one_does_not() {
    let bench = bench();
    let one = bench.pool.hold(("a", 1)).await.expect("it opens");
    let two = bench.pool.hold(("a", 2)).await.expect("it opens");
    let full = bench.pool.hold(("a", 3)).await.err().expect("it is full");
    assert_eq!(full, Refusal::TenantFull);
    assert!(full.retry_after().is_some());
    drop(one);
    let three = bench
        .pool
        .hold(("a", 3))
        .await
        .expect("it has the place of the first");
    assert_eq!((three.number, bench.closed()), (2, 1));
    drop(two);
}

#[tokio::test(start_paused = true)]
async fn who_went_away_holds_nothing() {
    let bench = bench();
    *bench.script.0.hangs.lock() = true;
    let soon = bench.env.now() + Duration::from_millis(1);
    assert!(
        bench
            .env
            .until(soon, bench.pool.hold(("a", 1)))
            .await
            .is_none()
    );
    *bench.script.0.hangs.lock() = false;
    let soon = bench.env.now() + Duration::from_secs(120);
    bench.env.sleep_until(soon).await;
    let hold = bench.pool.hold(("a", 1)).await.expect("it opens");
    drop(hold);
    bench.env.sleep(Duration::from_secs(800)).await;
    assert_eq!(bench.pool.places(), 0);
}

#[tokio::test(start_paused = true)]
async fn closing_ends_everything_and_leaves_no_task() {
    let bench = bench();
    let used = bench.pool.hold(("a", 1)).await.expect("it opens");
    *bench.script.0.hangs.lock() = true;
    let (waits, ()) = tokio::join!(bench.pool.hold(("b", 1)), bench.pool.close());
    assert_eq!(waits.err(), Some(Refusal::Closing));
    assert_eq!((bench.pool.places(), bench.closed()), (0, 1));
    let late = bench.pool.hold(("a", 1)).await.err();
    assert_eq!(late, Some(Refusal::Closing));
    drop(used);
    bench.env.sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.env.tasks_alive_by_name(), []);
}
