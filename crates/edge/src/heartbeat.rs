//! One wheel that wakes every open stream now and then, so that an idle stream costs no timer.
//!
//! A stream is put into one of the wheel's slots; each tick wakes one slot, and puts its streams into
//! others. A stream then writes a comment, which keeps proxies from cutting it and finds peers that
//! have vanished [SSE-11]. One that was not asked for anything for too long is stuck, and is cut.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::task::AtomicWaker;
use ostler_env::Env;
use ostler_types::Instant;
use parking_lot::Mutex;

use crate::carrier::Carrier;

/// Ticks of the wheel in a period.
const PERIOD: usize = 15;
/// Beats come so many ticks sooner or later, as chance has it: streams that were opened together,
/// after a restart, do not speak together for ever.
const JITTER: usize = 3;
/// One more than the furthest beat.
const SLOTS: usize = PERIOD + JITTER + 1;

/// One stream's place in the wheel.
#[derive(Debug)]
pub struct Beat {
    due: AtomicBool,
    waker: AtomicWaker,
    carrier: Arc<Carrier>,
    /// The connection asked for more since the last beat.
    asked: AtomicBool,
    /// The last beat before which the stream moved on, as nanoseconds.
    moved_at: AtomicU64,
}

impl Beat {
    /// The first is due at once: proxies hold a head back until something follows it.
    fn new(now: Instant) -> Self {
        Self {
            due: AtomicBool::new(true),
            waker: AtomicWaker::default(),
            carrier: Carrier::current(),
            asked: AtomicBool::new(true),
            moved_at: AtomicU64::new(now.0),
        }
    }

    /// The connection asks for more.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// Whether a beat is due; it is not any more afterwards. Wakes `context` at the next one.
    pub fn take(&self, context: &std::task::Context<'_>) -> bool {
        self.waker.register(context.waker());
        self.due.swap(false, Ordering::AcqRel)
    }

    /// Something was said, so that no beat is due.
    pub fn skip(&self) {
        self.due.store(false, Ordering::Release);
    }

    pub fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    /// Since when nothing moves, if so.
    fn strike(&self, now: Instant) -> Option<Instant> {
        let has_moved = self.carrier.has_moved();
        let has_moved = self.asked.swap(false, Ordering::AcqRel) || has_moved;
        if has_moved {
            self.moved_at.store(now.0, Ordering::Release);
        }
        self.due.store(true, Ordering::Release);
        self.waker.wake();
        let moved_at = Instant(self.moved_at.load(Ordering::Acquire));
        (!has_moved).then_some(moved_at)
    }
}

/// The wheel, which stands still until somebody turns it.
pub struct Wheel {
    env: Env,
    tick: Duration,
    stall_timeout: Duration,
    slots: [Mutex<Vec<Weak<Beat>>>; SLOTS],
    /// The slot that was struck last.
    at: AtomicUsize,
}

impl Wheel {
    /// A wheel that strikes each beat once per `period`, give or take a fifth, and cuts streams
    /// that do not move for `stall_timeout`.
    pub fn new(env: &Env, period: Duration, stall_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            env: env.clone(),
            tick: period / PERIOD as u32,
            stall_timeout,
            slots: Default::default(),
            at: AtomicUsize::new(0),
        })
    }

    /// Turns it as long as somebody has it.
    pub fn turn(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        turn(self.env.clone(), Arc::downgrade(self))
    }

    /// A new beat. It leaves the wheel when dropped.
    pub fn join(&self) -> Arc<Beat> {
        let beat = Arc::new(Beat::new(self.env.now()));
        self.place(Arc::downgrade(&beat), self.ticks());
        beat
    }

    fn place(&self, beat: Weak<Beat>, ticks: usize) {
        let slot = (self.at.load(Ordering::Acquire) + ticks) % SLOTS;
        self.slots[slot].lock().push(beat);
    }

    /// To the next beat of a stream.
    fn ticks(&self) -> usize {
        let chance = self.env.random_u64() % (2 * JITTER as u64 + 1);
        PERIOD - JITTER + chance as usize
    }

    /// Strikes the next slot.
    fn strike(&self) {
        let slot = (self.at.load(Ordering::Acquire) + 1) % SLOTS;
        self.at.store(slot, Ordering::Release);
        let now = self.env.now();
        let struck = std::mem::take(&mut *self.slots[slot].lock());
        for place in struck {
            let Some(beat) = place.upgrade() else {
                continue;
            };
            let ticks = match beat.strike(now) {
                Some(since) => self.stuck(&beat, now.since(since)),
                None => self.ticks(),
            };
            self.place(place, ticks);
        }
    }

    /// Cuts a stream that was stuck for long enough; the next look at another is in time for that.
    fn stuck(&self, beat: &Beat, span: Duration) -> usize {
        let left = self.stall_timeout.saturating_sub(span);
        if left.is_zero() {
            beat.carrier.cut();
        }
        let ticks = left.as_nanos().div_ceil(self.tick.as_nanos().max(1));
        usize::try_from(ticks).map_or(PERIOD, |ticks| ticks.clamp(1, self.ticks()))
    }
}

async fn turn(env: Env, wheel: Weak<Wheel>) {
    while let Some(tick) = wheel.upgrade().map(|wheel| wheel.tick) {
        env.sleep(tick).await;
        if let Some(wheel) = wheel.upgrade() {
            wheel.strike();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(15);
    const STALL: Duration = Duration::from_secs(30);

    fn is_due(beat: &Beat) -> bool {
        beat.ask();
        beat.take(&std::task::Context::from_waker(
            futures_util::task::noop_waker_ref(),
        ))
    }

    fn turning(env: &Env) -> Arc<Wheel> {
        let wheel = Wheel::new(env, PERIOD, STALL);
        drop(env.spawn("test.wheel", wheel.turn()));
        wheel
    }

    /// SSE-028, over ten minutes.
    #[tokio::test(start_paused = true)]
    async fn beats_come_once_a_period_give_or_take_a_fifth() {
        let env = Env::seeded(1);
        let wheel = turning(&env);
        let start = env.now();
        let mut beats: Vec<_> = (0..40).map(|_| (wheel.join(), start, Vec::new())).collect();
        assert!(beats.iter().all(|(beat, ..)| is_due(beat)), "at once");
        for _ in 0..6_000 {
            env.sleep(Duration::from_millis(100)).await;
            let now = env.now();
            for (beat, last, gaps) in &mut beats {
                if is_due(beat) {
                    gaps.push(now.since(*last).as_millis());
                    *last = now;
                }
            }
        }
        let gaps: Vec<_> = beats.iter().flat_map(|(.., gaps)| gaps).copied().collect();
        let in_bounds = |gap: &u128| (11_900..=18_200).contains(gap);
        assert!(
            gaps.len() >= 40 * 33 && gaps.iter().all(in_bounds),
            "{gaps:?}"
        );
        let mean = gaps.iter().sum::<u128>() / gaps.len() as u128;
        assert!((14_500..=15_500).contains(&mean), "{mean}");
        assert!(!beats.iter().any(|(beat, ..)| beat.carrier.lost().is_some()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_move_is_cut_within_a_beat_of_its_time() {
        let env = Env::seeded(1);
        let wheel = turning(&env);
        let beats: Vec<_> = (0..40).map(|_| wheel.join()).collect();
        let moving = wheel.join();
        let start = env.now();
        let mut cuts = vec![None; beats.len()];
        while cuts.iter().any(Option::is_none) {
            env.sleep(Duration::from_millis(100)).await;
            moving.ask();
            let passed = env.now().since(start);
            for (beat, cut) in beats.iter().zip(&mut cuts) {
                if beat.carrier.lost().is_some() {
                    cut.get_or_insert(passed.as_secs());
                }
            }
        }
        assert!(
            cuts.iter().flatten().all(|cut| (30..=49).contains(cut)),
            "{cuts:?}"
        );
        assert_eq!(moving.carrier.lost(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_beat_leaves_nothing_behind() {
        let env = Env::seeded(1);
        let wheel = turning(&env);
        drop(wheel.join());
        env.sleep(Duration::from_secs(19)).await;
        assert!(wheel.slots.iter().all(|slot| slot.lock().is_empty()));
    }
}
