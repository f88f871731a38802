//! One wheel that wakes every open stream now and then, so that an idle stream costs no timer.
//!
//! A stream is put into one of the wheel's slots; each tick wakes one slot. The stream then writes
//! a comment, which keeps proxies from cutting it and finds peers that have vanished [SSE-11].

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::task::AtomicWaker;
use ostler_env::Env;
use parking_lot::Mutex;

/// Slots of the wheel: a stream's beat is late or early by a slot at most.
const SLOTS: usize = 15;

/// One stream's place in the wheel.
#[derive(Debug, Default)]
pub struct Beat {
    due: AtomicBool,
    waker: AtomicWaker,
}

impl Beat {
    /// Whether a beat is due; it is not any more afterwards. Wakes `waker` at the next one.
    pub fn take(&self, context: &std::task::Context<'_>) -> bool {
        self.waker.register(context.waker());
        self.due.swap(false, Ordering::AcqRel)
    }

    fn strike(&self) {
        self.due.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// The wheel. Dropping it ends its task.
#[derive(Debug)]
pub struct Wheel {
    slots: [Mutex<Vec<Weak<Beat>>>; SLOTS],
    next: AtomicUsize,
}

impl Wheel {
    /// Starts a wheel that strikes each beat once per `period`.
    pub fn start(env: &Env, period: Duration) -> Arc<Self> {
        let wheel = Arc::new(Self {
            slots: Default::default(),
            next: AtomicUsize::new(0),
        });
        env.spawn(
            "edge.heartbeat",
            turn(env.clone(), Arc::downgrade(&wheel), period),
        );
        wheel
    }

    /// A new beat. It leaves the wheel when dropped.
    pub fn join(&self) -> Arc<Beat> {
        let beat = Arc::new(Beat::default());
        let slot = self.next.fetch_add(1, Ordering::Relaxed) % SLOTS;
        self.slots[slot].lock().push(Arc::downgrade(&beat));
        beat
    }

    fn strike(&self, slot: usize) {
        self.slots[slot].lock().retain(|beat| match beat.upgrade() {
            Some(beat) => {
                beat.strike();
                true
            }
            None => false,
        });
    }
}

async fn turn(env: Env, wheel: Weak<Wheel>, period: Duration) {
    for slot in (0..SLOTS).cycle() {
        env.sleep(period / SLOTS as u32).await;
        let Some(wheel) = wheel.upgrade() else {
            return;
        };
        wheel.strike(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_due(beat: &Beat) -> bool {
        beat.take(&std::task::Context::from_waker(
            futures_util::task::noop_waker_ref(),
        ))
    }

    #[tokio::test(start_paused = true)]
    async fn every_beat_is_struck_once_a_period() {
        let env = Env::seeded(1);
        let wheel = Wheel::start(&env, Duration::from_secs(15));
        let beats: Vec<_> = (0..40).map(|_| wheel.join()).collect();
        for _ in 0..3 {
            env.sleep(Duration::from_millis(15_100)).await;
            assert!(beats.iter().all(|beat| is_due(beat)));
            assert!(!beats.iter().any(|beat| is_due(beat)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_beat_leaves_nothing_behind() {
        let env = Env::seeded(1);
        let wheel = Wheel::start(&env, Duration::from_secs(15));
        drop(wheel.join());
        env.sleep(Duration::from_secs(16)).await;
        assert!(wheel.slots.iter().all(|slot| slot.lock().is_empty()));
    }
}
