//! Group commit: one committer, no timer. While one commit is synced, batches gather; the next
//! commit takes them all. Only when it is durable are their waiters released.
//!
//! The committer is a job on the runtime's blocking pool that runs while there is something to
//! commit, and not a thread of its own: a paused clock stands still while a blocking job runs,
//! so driven time does not run away from a test that waits for the disk. The `running` flag
//! makes it the only one. An engine that does not block commits in the caller's thread.
//!
//! When the disk does not sync, reading the file again would only read the page cache. So what
//! is live, with the commit in hand, is rewritten to fresh files, and commits gather meanwhile.
//! Once that is synced the commit in hand is as durable as any, and its waiters are released;
//! nobody was told of a failure. If it does not sync either, all are refused from then on, and
//! the next start finds the commit in hand whole or not at all.
//!
//! What a full disk refused is taken back before its waiters are told, so nobody goes on reading
//! it, and no later commit is planned on it.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    Batch, CompactError, Health, Rewritten, StoreError,
    compact::Compaction,
    engine::{EngineError, Writes},
    plan::Plan,
    store::Core,
};

/// One commit takes at most so much of what gathered, so that no waiter waits long for others. It
/// also bounds what sled writes between two syncs, see `TIDY_EVERY_MS` there.
const GROUP_BYTES_MAX: usize = 2 << 20;
const GROUP_BATCHES_MAX: usize = 4_096;

pub(crate) struct Queue {
    pending: VecDeque<Pending>,
    /// Waiting or being committed.
    bytes: usize,
    /// Comes before what is pending. One waits at most.
    compaction: Option<Compaction>,
    running: bool,
    paused: bool,
    closed: bool,
    health: Health,
}

enum Work {
    Group(Vec<Pending>),
    Compaction(Compaction),
}

struct Pending {
    batch: Batch,
    bytes: usize,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// A group whose commit has ended, and who waits for it.
struct Committed {
    written: Result<(), StoreError>,
    bytes: usize,
    waiters: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

/// The end of one commit. It happens whether or not somebody waits for it.
pub struct CommitTicket(State);

/// Proof that a batch is on the disk. Only the end of a commit yields one: what takes it as an
/// argument cannot run before.
#[derive(Debug, PartialEq, Eq)]
pub struct Durable(());

enum State {
    Refused(StoreError),
    Waiting(oneshot::Receiver<Result<(), StoreError>>),
}

impl Future for CommitTicket {
    type Output = Result<Durable, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Refused(why) => Poll::Ready(Err(why.clone())),
            State::Waiting(done) => Pin::new(done).poll(cx).map(|done| {
                let gone = || Err(StoreError::Poisoned("the committer ended".into()));
                done.unwrap_or_else(|_| gone()).map(Durable)
            }),
        }
    }
}

impl Queue {
    pub fn new() -> Queue {
        Queue {
            pending: VecDeque::new(),
            bytes: 0,
            compaction: None,
            running: false,
            paused: false,
            closed: false,
            health: Health::Good,
        }
    }

    pub fn health(&self) -> Health {
        match self.closed {
            true => Health::Closed,
            false => self.health.clone(),
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_running(&self) -> bool {
        self.running
    }

    /// Nothing waits, nothing is being committed.
    pub fn is_settled(&self) -> bool {
        !self.running && self.pending.is_empty()
    }

    fn admit(&self, bytes: usize, bytes_max: usize) -> Result<(), StoreError> {
        self.check_health()?;
        if self.closed {
            return Err(StoreError::Closed);
        }
        match self.bytes > 0 && self.bytes + bytes > bytes_max {
            true => Err(StoreError::Busy),
            false => Ok(()),
        }
    }

    pub fn check_health(&self) -> Result<(), StoreError> {
        match &self.health {
            Health::Poisoned(why) => Err(StoreError::Poisoned(why.clone())),
            Health::Deleted => Err(StoreError::Deleted),
            Health::Closed => Err(StoreError::Closed),
            // Trying is how it is found out that there is space again.
            Health::Good | Health::Full | Health::Recovering(_) => Ok(()),
        }
    }

    fn take_work(&mut self) -> Option<Work> {
        if self.paused {
            return None;
        }
        if let Some(done) = self.compaction.take() {
            return Some(Work::Compaction(done));
        }
        (!self.pending.is_empty()).then(|| Work::Group(self.take_group()))
    }

    /// Whether the caller must start a committer for what it queued.
    fn wants_committer(&mut self) -> bool {
        let waits = self.compaction.is_some() || !self.pending.is_empty();
        let start = waits && !self.running && !self.paused;
        self.running |= start;
        start
    }

    fn take_group(&mut self) -> Vec<Pending> {
        let (mut bytes, mut taken) = (0, 0);
        for pending in self.pending.iter().take(GROUP_BATCHES_MAX) {
            if taken > 0 && bytes + pending.bytes > GROUP_BYTES_MAX {
                break;
            }
            bytes += pending.bytes;
            taken += 1;
        }
        self.pending.drain(..taken).collect()
    }
}

impl Core {
    /// Queues a batch behind those queued before. Refused when twice the bound would wait:
    /// commits wait at the bound itself, so only submitters that never wait come this far.
    pub fn submit(self: &Arc<Self>, batch: Batch) -> CommitTicket {
        match self.enqueue(batch) {
            Ok((done, start)) => {
                if start {
                    self.start_committer();
                }
                CommitTicket(State::Waiting(done))
            }
            Err(why) => {
                self.metrics.count_error(&why);
                CommitTicket(State::Refused(why))
            }
        }
    }

    /// The end to wait for, and whether a committer must be started.
    fn enqueue(
        &self,
        batch: Batch,
    ) -> Result<(oneshot::Receiver<Result<(), StoreError>>, bool), StoreError> {
        batch.check()?;
        let bytes = batch.bytes();
        let (done, end) = oneshot::channel();
        let mut queue = self.queue.lock();
        queue.admit(bytes, 2 * self.queue_bytes_max)?;
        queue.bytes += bytes;
        self.metrics.queue_bytes.set(queue.bytes as f64);
        queue.pending.push_back(Pending { batch, bytes, done });
        Ok((end, queue.wants_committer()))
    }

    /// Queues a rewrite before all that waits; the end to wait for.
    pub fn request_compaction(
        self: &Arc<Self>,
    ) -> Result<oneshot::Receiver<Result<Rewritten, CompactError>>, CompactError> {
        let (done, end) = oneshot::channel();
        let start = {
            let mut queue = self.queue.lock();
            if queue.closed {
                return Err(CompactError::Closed);
            }
            if queue.compaction.is_some() {
                return Err(CompactError::Waiting);
            }
            queue.compaction = Some(done);
            queue.wants_committer()
        };
        if start {
            self.start_committer();
        }
        Ok(end)
    }

    /// The caller has set `running`.
    fn start_committer(self: &Arc<Self>) {
        let core = self.clone();
        if self.engine.blocks() {
            // Owned by the queue: `close` waits until it has ended.
            drop(
                self.env
                    .spawn_blocking("store-committer", move || core.run_commits()),
            );
        } else if self.engine.sync_lag().is_some() {
            drop(self.env.spawn("store-committer", core.run_slow_commits()));
        } else {
            core.run_commits();
        }
    }

    fn run_commits(self: Arc<Self>) {
        while let Some(work) = self.next_work() {
            match work {
                Work::Group(group) => self.release(self.commit_group(group)),
                Work::Compaction(done) => self.run_compaction(done),
            }
        }
    }

    /// The same where syncs take driven time.
    async fn run_slow_commits(self: Arc<Self>) {
        while let Some(work) = self.next_work() {
            match work {
                Work::Group(group) => {
                    let committed = self.commit_group(group);
                    let lag = self.engine.sync_lag().unwrap_or_default();
                    self.env.sleep(lag).await;
                    self.release(committed);
                }
                Work::Compaction(done) => self.run_compaction(done),
            }
        }
    }

    /// What to do next; nothing at the committer's end.
    fn next_work(&self) -> Option<Work> {
        let mut queue = self.queue.lock();
        let work = queue.take_work();
        if work.is_none() {
            queue.running = false;
            drop(queue);
            self.queue_moved.notify_waiters();
        }
        work
    }

    fn commit_group(&self, group: Vec<Pending>) -> Committed {
        let bytes: usize = group.iter().map(|pending| pending.bytes).sum();
        let (batches, waiters): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|pending| (pending.batch, pending.done))
            .unzip();
        let started = self.env.now();
        let written = catch_unwind(AssertUnwindSafe(|| self.write(batches)));
        let written =
            written.unwrap_or_else(|_| Err(StoreError::Poisoned("the committer panicked".into())));
        // Who writes no row only waits its turn; whether there is space it does not find out.
        let is_barrier = written == Ok(0);
        let written = written.map(drop);
        if written.is_ok() && !is_barrier {
            let took = self.env.now().since(started);
            self.metrics.commit_seconds.record(took);
            self.metrics.commits.increment(1);
            self.metrics.batches.increment(waiters.len() as u64);
        }
        if !is_barrier {
            self.note_health(&written);
        }
        Committed {
            written,
            bytes,
            waiters,
        }
    }

    fn release(&self, committed: Committed) {
        self.free_room(committed.bytes);
        for waiter in committed.waiters {
            // A waiter that left does not need to know.
            drop(waiter.send(committed.written.clone()));
        }
    }

    /// How many rows it wrote.
    fn write(&self, batches: Vec<Batch>) -> Result<usize, StoreError> {
        // A commit that failed leaves those behind it nothing to stand on.
        self.queue.lock().check_health()?;
        // What could not be taken back when it was refused.
        self.take_back().map_err(EngineError::of_read)?;
        let mut plan = Plan::new(self.engine.as_ref(), self.env.wall());
        for change in batches.into_iter().flat_map(|batch| batch.changes) {
            // Only reads so far: a failure here has changed nothing.
            plan.add(change).map_err(EngineError::of_read)?;
        }
        if !plan.writes.is_empty() {
            self.write_rows(&plan.writes)
                .map_err(EngineError::of_commit)?;
        }
        self.metrics.rows.increment(plan.writes.len() as u64);
        self.metrics.bytes.increment(bytes_of(&plan.writes));
        self.metrics.expired_records.increment(plan.expired);
        self.metrics.corrupt_records.increment(plan.corrupt);
        Ok(plan.writes.len())
    }

    /// Readers wait, so that none sees half a record before it and half of it after.
    pub(crate) fn take_back(&self) -> Result<(), EngineError> {
        let _readers_wait = self.view.write();
        self.engine.take_back()
    }

    fn write_rows(&self, writes: &Writes) -> Result<(), EngineError> {
        match self.apply_and_sync(writes) {
            Err(EngineError::Unsynced(why)) => self.recover(writes, why),
            Err(EngineError::Full) => {
                if let Err(error) = self.take_back() {
                    tracing::error!(?error, "the store is shut until the next commit opens it");
                }
                Err(EngineError::Full)
            }
            written => written,
        }
    }

    /// Applying the same rows again changes nothing if they came along, and brings them if they
    /// did not.
    fn recover(&self, writes: &Writes, why: String) -> Result<(), EngineError> {
        self.metrics.sync_errors.increment(1);
        self.set_health(Health::Recovering(why.clone()));
        let recovered = self.rewrite().and_then(|_| self.apply_and_sync(writes));
        match recovered {
            Ok(()) => {
                self.metrics.recoveries.increment(1);
                Ok(())
            }
            Err(EngineError::Deleted) => Err(EngineError::Deleted),
            Err(also) => {
                tracing::error!(?also, "a rewrite to fresh files did not succeed either");
                Err(EngineError::Failed(why))
            }
        }
    }

    fn apply_and_sync(&self, writes: &Writes) -> Result<(), EngineError> {
        {
            let _readers_wait = self.view.write();
            self.engine.apply(writes)?;
        }
        self.engine.sync()
    }

    fn note_health(&self, written: &Result<(), StoreError>) {
        let health = match written {
            Ok(()) => Health::Good,
            Err(why) => {
                self.metrics.count_error(why);
                match why {
                    StoreError::Full => Health::Full,
                    StoreError::Poisoned(why) => Health::Poisoned(why.clone()),
                    StoreError::Deleted => Health::Deleted,
                    StoreError::Closed => Health::Closed,
                    // Nothing was written, and the next commit may well succeed.
                    StoreError::Busy | StoreError::TooLarge | StoreError::Unreadable(_) => return,
                }
            }
        };
        self.set_health(health);
    }

    fn set_health(&self, health: Health) {
        let mut queue = self.queue.lock();
        if queue.health == health {
            return;
        }
        let writable = health.is_good() && !queue.closed;
        self.metrics.writable.set(f64::from(u8::from(writable)));
        match &health {
            Health::Good => tracing::info!("the store takes writes again"),
            Health::Full => tracing::error!("the disk of the store is full; free some space"),
            Health::Recovering(why) => {
                tracing::error!(%why, "the disk of the store does not sync; rewriting what is live");
            }
            Health::Deleted => tracing::error!("the files of the store were deleted"),
            Health::Poisoned(why) => tracing::error!(%why, "the store takes no more writes"),
            Health::Closed => {}
        }
        queue.health = health;
    }

    fn free_room(&self, bytes: usize) {
        let mut queue = self.queue.lock();
        queue.bytes -= bytes;
        self.metrics.queue_bytes.set(queue.bytes as f64);
        drop(queue);
        self.queue_moved.notify_waiters();
    }

    /// Lets batches gather without committing any, until `resume`.
    pub fn pause(&self) {
        self.queue.lock().paused = true;
    }

    pub fn resume(self: &Arc<Self>) {
        let start = {
            let mut queue = self.queue.lock();
            queue.paused = false;
            queue.wants_committer()
        };
        if start {
            self.start_committer();
        }
    }

    /// Takes no more. What is queued is still committed.
    pub fn refuse_more(self: &Arc<Self>) {
        self.queue.lock().closed = true;
        self.metrics.writable.set(0.0);
        self.resume();
    }
}

fn bytes_of(writes: &Writes) -> u64 {
    let value_bytes = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
    let row_bytes = |(key, value): (&Vec<u8>, &Option<Bytes>)| key.len() + value_bytes(value);
    writes.iter().map(row_bytes).sum::<usize>() as u64
}
