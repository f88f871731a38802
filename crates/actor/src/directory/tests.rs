use std::{convert::Infallible, time::Duration};

use futures_util::FutureExt;
use tokio::{sync::oneshot, task::yield_now};

use super::*;
use crate::{Address, Item, Reply, mailbox};

type Handle = Address<(), Reply<u32>>;
type Actors = Directory<u32, Handle>;

const SECOND: Duration = Duration::from_secs(1);

fn directory(env: &Env) -> Actors {
    Directory::new(env, "test")
}

/// Activates an actor that never reads: its mailbox and slot are given back.
async fn hold_idle(
    directory: &Actors,
    key: u32,
) -> (Held<Handle>, Mailbox<(), Reply<u32>>, Slot<u32, Handle>) {
    let (address, mailbox) = mailbox(1, 4);
    let mut kept = None;
    let held = directory
        .hold(key, async |slot| {
            kept = Some(slot);
            Ok::<_, Infallible>(address)
        })
        .await
        .unwrap();
    (held, mailbox, kept.unwrap())
}

async fn refuse<T>(_: T) -> Result<Handle, &'static str> {
    Err("refused")
}

#[tokio::test]
async fn concurrent_callers_share_one_activation() {
    let env = Env::seeded(1);
    let directory = directory(&env);
    let activations = AtomicUsize::new(0);
    let hold = || {
        directory.hold(1, async |slot| {
            activations.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
            // This actor lives as long as the test.
            std::mem::forget(slot);
            Ok::<_, Infallible>(mailbox(1, 1).0)
        })
    };
    let held = futures_util::future::join_all((0..100).map(|_| hold())).await;
    assert!(held.iter().all(Result::is_ok));
    assert_eq!(activations.into_inner(), 1);
    assert_eq!(directory.len(), 1);
}

#[tokio::test]
async fn a_failed_activation_is_told_to_its_caller_and_leaves_nothing() {
    let env = Env::seeded(1);
    let directory = directory(&env);
    let (one, two) = tokio::join!(directory.hold(1, refuse), directory.hold(1, refuse));
    assert_eq!(one.unwrap_err(), "refused");
    assert_eq!(two.unwrap_err(), "refused");
    assert!(directory.is_empty());
}

#[tokio::test]
async fn after_a_failed_activation_one_who_waited_activates() {
    let env = Env::seeded(1);
    let directory = directory(&env);
    let (go, wait) = oneshot::channel::<()>();
    let fails = directory.hold(1, async |_slot| {
        drop(wait.await);
        Err::<Handle, _>("refused")
    });
    let works = directory.hold(1, async |slot| {
        std::mem::forget(slot);
        Ok::<_, &str>(mailbox(1, 1).0)
    });
    let release = async {
        yield_now().await;
        drop(go);
    };
    let (fails, works, ()) = tokio::join!(fails, works, release);
    assert_eq!(fails.unwrap_err(), "refused");
    assert!(works.is_ok());
}

#[tokio::test]
async fn when_the_activating_caller_is_cancelled_one_who_waits_activates() {
    let env = Env::seeded(1);
    let directory = directory(&env);
    let hangs = async |_slot| -> Result<Handle, Infallible> { std::future::pending().await };
    let mut cancelled = Box::pin(directory.hold(1, hangs));
    assert!(cancelled.as_mut().now_or_never().is_none());
    let mut waiting = Box::pin(directory.hold(1, async |slot| {
        std::mem::forget(slot);
        Ok::<_, Infallible>(mailbox(1, 1).0)
    }));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(cancelled);
    assert!(waiting.await.is_ok());
    assert_eq!(directory.len(), 1);
}

#[tokio::test]
async fn a_panic_in_an_activation_hurts_only_its_caller() {
    let env = Env::seeded(1);
    let directory = directory(&env);
    let inside = directory.clone();
    let panics = env.spawn("panics", async move {
        let panics = async |_slot| -> Result<Handle, Infallible> { panic!("on purpose") };
        drop(inside.hold(1, panics).await);
    });
    assert!(panics.await.unwrap_err().is_panic());
    assert!(directory.is_empty());
    let (_held, _mailbox, _slot) = hold_idle(&directory, 1).await;
    assert_eq!(directory.len(), 1);
}

#[tokio::test]
async fn an_actor_retires_only_unheld_and_with_an_empty_mailbox() {
    let env = Env::seeded(1);
    let directory = directory(&env);
    let (held, mut mailbox, slot) = hold_idle(&directory, 1).await;
    assert!(!slot.try_retire(&mailbox), "held");
    let second = held.clone();
    drop(held);
    assert_eq!(slot.holds(), 1);
    assert!(!slot.try_retire(&mailbox), "held by the clone");
    let (reply, _answer) = Reply::new();
    second.tell(reply).unwrap();
    drop(second);
    assert!(!slot.try_retire(&mailbox), "told by one who let go");
    mailbox.try_next();
    assert!(slot.try_retire(&mailbox));
    assert!(directory.is_empty());
    assert!(directory.find(&1).is_none());
}

#[tokio::test]
async fn an_old_actors_exit_leaves_the_new_one_in_its_place() {
    let env = Env::seeded(1);
    let directory = directory(&env);
    let (old_held, _old_mailbox, old_slot) = hold_idle(&directory, 1).await;
    old_slot.remove();
    let (_held, _mailbox, _slot) = hold_idle(&directory, 1).await;
    old_slot.remove();
    drop(old_slot);
    drop(old_held);
    assert!(directory.find(&1).is_some());
    assert_eq!(directory.keys(), [1]);
}

#[tokio::test]
async fn an_actor_that_ends_before_its_activation_does_is_not_kept() {
    let env = Env::seeded(1);
    let directory = directory(&env);
    let activate = async |slot: Slot<u32, Handle>| {
        drop(slot);
        Ok::<_, Infallible>(mailbox(1, 1).0)
    };
    let held = directory.hold(1, activate).await.unwrap();
    assert!(held.is_closed());
    drop(held.clone());
    assert!(directory.is_empty());
}

#[tokio::test]
async fn actors_that_left_give_their_room_back() {
    let env = Env::seeded(1);
    let directory = directory(&env);
    let mut slots = Vec::new();
    for key in 0..20_000 {
        let (_held, _mailbox, slot) = hold_idle(&directory, key).await;
        slots.push(slot);
    }
    assert!(directory.0.cells.capacity() >= 20_000);
    drop(slots);
    let left = directory.0.cells.capacity();
    assert!(left < 4_000, "room for {left}");
}

#[test]
fn an_idle_actors_place_and_mailbox_are_small() {
    // Without its task: what the kernel adds to an actor's own state.
    let place = size_of::<Cell<Handle>>() + size_of::<Slot<[u8; 32], Handle>>();
    assert!(place <= 192, "{place}");
    let mailbox = crate::mailbox::bytes_idle();
    assert!(mailbox <= 256, "{mailbox}");
}

#[tokio::test]
async fn activations_and_live_actors_are_counted() {
    let env = Env::seeded(1);
    let directory = directory(&env);
    let (held, mailbox, slot) = hold_idle(&directory, 1).await;
    assert!(directory.hold(2, refuse).await.is_err());
    let value = |name, labels: &[(&str, &str)]| env.metrics().value(name, labels);
    let activations = |outcome| {
        let labels = [("kind", "test"), ("outcome", outcome)];
        value("ostler_actor_activations_total", &labels)
    };
    assert_eq!(value("ostler_actor_live", &[("kind", "test")]), Some(1.0));
    assert_eq!(activations("live"), Some(1.0));
    assert_eq!(activations("failed"), Some(1.0));
    drop(held);
    assert!(slot.try_retire(&mailbox));
    assert_eq!(value("ostler_actor_live", &[("kind", "test")]), Some(0.0));
}

/// What the stress below watches: how many actors live under one key, and for how long.
#[derive(Default)]
struct Watch {
    living: AtomicUsize,
    activations: AtomicUsize,
}

/// An actor that answers, and tries to retire whenever it has nothing to do.
async fn eager_to_retire(
    env: Env,
    slot: Slot<u32, Handle>,
    mut mailbox: Mailbox<(), Reply<u32>>,
    watch: Arc<Watch>,
) {
    loop {
        while let Some(Item::Data(reply)) = mailbox.try_next() {
            reply.send(*slot.key());
            pause(&env).await;
        }
        // Taken before the decision: the next actor may live from then on.
        watch.living.fetch_sub(1, Ordering::SeqCst);
        if slot.try_retire(&mailbox) {
            return;
        }
        watch.living.fetch_add(1, Ordering::SeqCst);
        pause(&env).await;
    }
}

/// Lets others run, a random number of times.
async fn pause(env: &Env) {
    for _ in 0..env.random_u64() % 4 {
        yield_now().await;
    }
}

async fn activate(
    env: Env,
    slot: Slot<u32, Handle>,
    watch: Arc<Watch>,
) -> Result<Handle, &'static str> {
    pause(&env).await;
    if env.random_u64().is_multiple_of(8) {
        return Err("refused");
    }
    let (address, mailbox) = mailbox(1, 4);
    watch.activations.fetch_add(1, Ordering::Relaxed);
    assert_eq!(
        watch.living.fetch_add(1, Ordering::SeqCst),
        0,
        "two actors live"
    );
    let world = env.clone();
    // Ends by itself, when nobody asks any more.
    env.spawn("eager", eager_to_retire(world, slot, mailbox, watch));
    Ok(address)
}

/// One caller: holds (sometimes giving up half-way) and asks. A held actor always answers.
async fn caller(env: Env, directory: Actors, watch: Arc<Watch>) {
    for _ in 0..5 {
        let hold = directory.hold(1, |slot| activate(env.clone(), slot, watch.clone()));
        let patience = pause_many(&env);
        let held = tokio::select! {
            biased;
            held = hold => held,
            () = patience => continue,
        };
        let Ok(held) = held else { continue };
        pause(&env).await;
        let deadline = env.now() + SECOND * 60;
        let answer = held.ask(&env, deadline, |reply| reply).await;
        assert_eq!(answer, Ok(1), "a hold was given on a retired actor");
        drop(held);
        pause_many(&env).await;
    }
}

async fn pause_many(env: &Env) {
    for _ in 0..env.random_u64() % 32 {
        yield_now().await;
    }
}

/// Rounds of callers. Between two of them the actor is left alone until it has retired, so how
/// often one becomes live does not hang on how the threads are scheduled.
async fn stress(seed: u64, callers: usize) {
    let env = Env::seeded(seed);
    let directory = directory(&env);
    let watch = Arc::new(Watch::default());
    for _ in 0..10 {
        let run = || {
            let caller = caller(env.clone(), directory.clone(), watch.clone());
            env.spawn("caller", caller)
        };
        let callers: Vec<_> = (0..callers).map(|_| run()).collect();
        for caller in callers {
            caller.await.unwrap();
        }
        while env.tasks_alive() > 0 {
            yield_now().await;
        }
        assert!(directory.is_empty(), "seed {seed}");
    }
    let activations = watch.activations.load(Ordering::Relaxed);
    assert!(activations > 5, "seed {seed}: {activations} activations");
}

#[tokio::test(start_paused = true)]
async fn a_hold_never_gives_a_retired_actor_under_any_seeded_interleaving() {
    for seed in 0..150 {
        stress(seed, 2 + seed as usize % 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hold_never_gives_a_retired_actor_on_many_threads() {
    for seed in 0..20 {
        stress(seed, 3).await;
    }
}
