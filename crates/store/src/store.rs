//! The handle: opening, reading, committing, closing.

use std::{
    ops::Bound,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore};

use ostler_env::Env;

use crate::{
    Batch, CommitTicket, CompactError, Durable, Health, Key, KeyPrefix, OpenError, Record,
    Rewritten, StoreError,
    batch::Change,
    committer::Queue,
    engine::{
        Engine, EngineError,
        files::Directory,
        fjall::Fjall,
        memory::Memory,
        on_disk::{Database, OnDisk},
        sled::Sled,
    },
    key::{Table, deadline_key, split_deadline_key},
    metrics::Metrics,
    plan::{self, Parts},
    record,
};

/// Which engine, and its bounds.
#[derive(Debug, Clone)]
pub struct Config {
    /// What keeps the rows.
    pub engine: EngineChoice,
    /// What the engine may cache. sled takes some times this in memory; fjall this, and up to
    /// 80 MiB of rows that are not flushed.
    pub cache_bytes: u64,
    /// A database smaller than this is not rewritten at open, however little of it is live.
    pub rewrite_from_bytes: u64,
    /// Bytes that may wait to be committed; at this bound commits wait.
    pub queue_bytes_max: usize,
}

/// What keeps the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineChoice {
    /// Forgets everything at its end.
    Memory,
    /// sled, in this directory.
    Sled { path: PathBuf },
    /// fjall, in this directory.
    Fjall { path: PathBuf },
}

impl EngineChoice {
    /// The directory of an engine that keeps.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            EngineChoice::Memory => None,
            EngineChoice::Sled { path } | EngineChoice::Fjall { path } => Some(path),
        }
    }

    /// Where an engine that keeps has its files, and what its database is called.
    pub(crate) fn directory(&self) -> Option<Directory> {
        let (path, engine) = match self {
            EngineChoice::Memory => return None,
            EngineChoice::Sled { path } => (path, Sled::NAME),
            EngineChoice::Fjall { path } => (path, Fjall::NAME),
        };
        Some(Directory::at(path, engine))
    }

    fn at(&self, path: &Path) -> EngineChoice {
        let path = path.to_owned();
        match self {
            EngineChoice::Memory => EngineChoice::Memory,
            EngineChoice::Sled { .. } => EngineChoice::Sled { path },
            EngineChoice::Fjall { .. } => EngineChoice::Fjall { path },
        }
    }
}

impl Config {
    /// The same engine with its directory elsewhere.
    pub(crate) fn at(&self, path: &Path) -> Config {
        Config {
            engine: self.engine.at(path),
            ..self.clone()
        }
    }

    /// In memory, with the usual bounds.
    pub fn memory() -> Config {
        Config {
            engine: EngineChoice::Memory,
            cache_bytes: 32 << 20,
            rewrite_from_bytes: 256 << 20,
            queue_bytes_max: 32 << 20,
        }
    }

    /// sled in that directory, with the usual bounds.
    pub fn sled(path: impl Into<PathBuf>) -> Config {
        let engine = EngineChoice::Sled { path: path.into() };
        Config {
            engine,
            ..Config::memory()
        }
    }

    /// fjall in that directory, with the usual bounds.
    pub fn fjall(path: impl Into<PathBuf>) -> Config {
        let engine = EngineChoice::Fjall { path: path.into() };
        Config {
            engine,
            ..Config::memory()
        }
    }
}

/// Reads on the blocking pool at once; more wait. Keeps a storm of waking actors from starting
/// hundreds of threads.
const READS_MAX: usize = 16;

/// The longest page of a scan.
const SCAN_LIMIT_MAX: usize = 4_096;

/// The store of one node. Cloning is cheap; all clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Core>);

pub(crate) struct Core {
    pub env: Env,
    pub engine: Box<dyn Engine>,
    pub queue: Mutex<Queue>,
    /// Room was freed, or the committer ended.
    pub queue_moved: Notify,
    pub queue_bytes_max: usize,
    /// Held for writing while rows are applied, so that a reader never sees half a record.
    pub view: RwLock<()>,
    reads: Arc<Semaphore>,
    pub metrics: Metrics,
}

impl Store {
    /// Opens or creates a store. Blocks while the engine recovers.
    pub fn open(config: &Config, env: &Env) -> Result<Store, OpenError> {
        let engine = open_engine(config, env)?;
        engine.rewrite_if_bloated(config.rewrite_from_bytes);
        Ok(Store::over(engine, config.queue_bytes_max, env))
    }

    pub(crate) fn over(engine: Box<dyn Engine>, queue_bytes_max: usize, env: &Env) -> Store {
        let metrics = Metrics::new(env.metrics());
        metrics.writable.set(1.0);
        metrics.damaged_blocks.increment(engine.damaged_blocks());
        Store(Arc::new(Core {
            env: env.clone(),
            engine,
            queue: Mutex::new(Queue::new()),
            queue_moved: Notify::new(),
            queue_bytes_max,
            view: RwLock::new(()),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            metrics,
        }))
    }

    /// Commits a batch: durable when this returns `Ok`, with the proof. Waits for room while too
    /// many bytes wait to be committed; the caller's deadline bounds that.
    // Cancel safe in that a batch is committed whole or not at all; dropped early, it is not
    // known which.
    pub async fn commit(&self, batch: Batch) -> Result<Durable, StoreError> {
        self.room().await;
        self.submit(batch).await
    }

    /// Queues a batch behind all that were queued before and returns at once; the ticket ends
    /// when it is durable. Does not wait for room, so keep few tickets at a time: beyond twice
    /// the bound it is refused as busy.
    pub fn submit(&self, batch: Batch) -> CommitTicket {
        self.0.submit(batch)
    }

    /// Waits while as many bytes wait to be committed as may.
    // Cancel safe: reserves nothing.
    async fn room(&self) {
        self.queue_until(|queue| queue.bytes() < self.0.queue_bytes_max)
            .await;
    }

    async fn queue_until(&self, done: impl Fn(&Queue) -> bool) {
        loop {
            let moved = self.0.queue_moved.notified();
            tokio::pin!(moved);
            // Listen first, look second: no move can fall in between.
            moved.as_mut().enable();
            if done(&self.0.queue.lock()) {
                return;
            }
            moved.await;
        }
    }

    /// Waits until all that was queued before is durable or refused. A read sees what the commit
    /// under way has applied, a moment before it is durable: whoever takes up and shows what
    /// another may just have written waits for this first.
    // Cancel safe: it changes nothing.
    pub async fn settled(&self) -> Result<(), StoreError> {
        {
            let queue = self.0.queue.lock();
            queue.check_health()?;
            if queue.is_settled() {
                return Ok(());
            }
        }
        // Commits are in order, so an empty one ends behind all others.
        self.submit(Batch::new()).await.map(drop)
    }

    /// The record under a key. One that does not verify counts as absent: it is logged,
    /// counted and set aside. Sees what is applied, perhaps just before it is durable (see
    /// [`Store::settled`]), and nothing that is still queued.
    pub async fn get(&self, key: &Key) -> Result<Option<Record>, StoreError> {
        let key = key.clone();
        self.read(move |core| core.get(&key)).await
    }

    /// The records whose keys start with `prefix`, in the order of their keys, from the first
    /// one behind `after` on. Fewer than `limit` means that there are no more. `limit` is at
    /// most 4096, and the page is held in memory.
    pub async fn scan(
        &self,
        prefix: &KeyPrefix,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Record)>, StoreError> {
        let (prefix, after) = (prefix.clone(), after.cloned());
        let limit = limit.min(SCAN_LIMIT_MAX);
        self.read(move |core| core.scan(&prefix, after, limit))
            .await
    }

    /// Whether the store can do its work now.
    pub fn health(&self) -> Health {
        self.0.queue.lock().health()
    }

    /// Waits until the store cannot write any more, and says why.
    // Cancel safe: it only looks.
    pub async fn poisoned(&self) -> String {
        self.queue_until(|queue| matches!(queue.health(), Health::Poisoned(_)))
            .await;
        match self.health() {
            Health::Poisoned(why) => why,
            Health::Good
            | Health::Full
            | Health::Recovering(_)
            | Health::Deleted
            | Health::Closed => "it is closed".to_owned(),
        }
    }

    /// Rewrites all live records to fresh files and drops the old ones. Commits gather
    /// meanwhile; reads go on but for the moment of the swap.
    // Cancel safe: the rewrite goes on, its report is lost.
    pub async fn compact(&self) -> Result<Rewritten, CompactError> {
        let done = self.0.request_compaction()?;
        done.await.unwrap_or(Err(CompactError::Closed))
    }

    /// Takes no more, commits what is queued, frees files and locks. Other clones of this
    /// store find it closed.
    pub async fn close(self) {
        self.0.refuse_more();
        self.queue_until(|queue| !queue.is_running()).await;
        let closing = self.read(|core| {
            core.engine.close();
            Ok(())
        });
        // It fails only if the runtime is going down, and then all ends anyway.
        drop(closing.await);
    }

    /// Lets commits gather, durable none, until [`Store::resume`]: for swapping files, and for
    /// tests of what must not be seen before it is stored.
    pub fn pause(&self) {
        self.0.pause();
    }

    /// Commits what gathered since [`Store::pause`].
    pub fn resume(&self) {
        self.0.resume();
    }

    /// Up to `limit` records whose deadline has passed, as changes that end them.
    pub(crate) async fn expired(&self, limit: usize) -> Result<Batch, StoreError> {
        let now = self.0.env.wall();
        self.read(move |core| core.expired(now.0, limit)).await
    }

    pub(crate) fn env(&self) -> &Env {
        &self.0.env
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Core>) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let result = if self.0.engine.blocks() {
            let place = self.0.reads.clone().acquire_owned().await;
            let core = self.0.clone();
            let job = self.0.env.spawn_blocking("store-read", move || {
                // It is taken until the read has ended, also when nobody waits for it any more.
                let _place = place;
                work(&core)
            });
            job.await
                .unwrap_or_else(|_| Err(EngineError::Failed("the read panicked".into())))
        } else {
            work(&self.0)
        };
        result.map_err(|why| {
            let why = why.of_read();
            self.0.metrics.count_error(&why);
            why
        })
    }

    /// Rows as they are stored, for the conformance suite.
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0
    }
}

/// Opens what keeps the rows. Blocks while it recovers.
pub(crate) fn open_engine(config: &Config, env: &Env) -> Result<Box<dyn Engine>, OpenError> {
    let (cache_bytes, now_ms) = (config.cache_bytes, env.wall().0);
    Ok(match &config.engine {
        EngineChoice::Memory => Box::new(Memory::default()),
        EngineChoice::Sled { path } => Box::new(OnDisk::<Sled>::open(path, cache_bytes, now_ms)?),
        EngineChoice::Fjall { path } => Box::new(OnDisk::<Fjall>::open(path, cache_bytes, now_ms)?),
    })
}

impl Core {
    fn get(self: &Arc<Self>, key: &Key) -> Result<Option<Record>, EngineError> {
        let (head, record) = {
            let _view = self.view.read();
            let Some(head) = self.engine.get(key.as_bytes())? else {
                return Ok(None);
            };
            let record = self.assemble(key.as_bytes(), &head)?;
            (head, record)
        };
        Ok(self.verified(key, head, record))
    }

    fn scan(
        self: &Arc<Self>,
        prefix: &KeyPrefix,
        mut after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Record)>, EngineError> {
        let mut page = Vec::new();
        while page.len() < limit {
            let wanted = limit - page.len();
            let found = self.scan_once(prefix, after.as_ref(), wanted)?;
            let last_page = found.len() < wanted;
            for (key, head, record) in found {
                after = Some(key.clone());
                let record = self.verified(&key, head, record);
                page.extend(record.map(|record| (key, record)));
            }
            if last_page {
                break;
            }
        }
        Ok(page)
    }

    fn scan_once(
        &self,
        prefix: &KeyPrefix,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<(Key, Bytes, Assembled)>, EngineError> {
        let _view = self.view.read();
        let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_bytes()));
        let rows = self.engine.scan(prefix.as_bytes(), from, limit)?;
        let assemble = |(key, head): (Vec<u8>, Bytes)| {
            let record = self.assemble(&key, &head)?;
            Ok((Key::from_stored(key), head, record))
        };
        rows.into_iter().map(assemble).collect()
    }

    /// The caller holds the view.
    pub fn assemble(&self, key: &[u8], head: &Bytes) -> Result<Assembled, EngineError> {
        let parts = self.parts(key, head)?;
        Ok(parts.and_then(|parts| record::decode(key, head, &parts)))
    }

    /// The rows behind a head. The caller holds the view.
    pub fn parts(&self, key: &[u8], head: &Bytes) -> Result<Parts, EngineError> {
        plan::parts(key, head, |part| self.engine.get(part))
    }

    /// The record, or a note that there is none any more.
    fn verified(self: &Arc<Self>, key: &Key, head: Bytes, record: Assembled) -> Option<Record> {
        let record = record.ok();
        if record.is_none() {
            tracing::error!(?key, "a record does not verify and is set aside");
            let mut batch = Batch::new();
            let key = key.clone();
            batch.changes.push(Change::SetAside { key, head });
            // Nobody waits: if it cannot be written now, the next read tries again.
            drop(self.submit(batch));
        }
        record
    }

    fn expired(&self, now_ms: u64, limit: usize) -> Result<Batch, EngineError> {
        let _view = self.view.read();
        let entries = self
            .engine
            .scan(&[Table::Deadlines as u8], Bound::Unbounded, limit)?;
        let mut batch = Batch::new();
        for (entry, _) in entries {
            let Some((deadline_ms, key)) = split_deadline_key(&entry) else {
                continue;
            };
            if deadline_ms > now_ms {
                break;
            }
            let key = Key::from_stored(key.to_vec());
            debug_assert_eq!(deadline_key(deadline_ms, key.as_bytes()), entry);
            batch.changes.push(Change::Expire { key, deadline_ms });
        }
        Ok(batch)
    }
}

pub(crate) type Assembled = Result<Record, record::Damaged>;
