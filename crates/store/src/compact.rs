//! Rewriting live rows to fresh files: on command while the store runs, and without a node.
//!
//! A rewrite is the committer's work like any group, so no commit runs beside it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use ostler_env::Env;

use crate::{
    CompactError, Config, Rewritten,
    engine::EngineError,
    store::{Core, open_engine},
};

pub(crate) type Compaction = oneshot::Sender<Result<Rewritten, CompactError>>;

/// Rewrites a store that no node uses. Blocks until it is done.
pub fn compact(config: &Config, env: &Env) -> Result<Rewritten, CompactError> {
    let engine = open_engine(config, env)?;
    let rewritten = engine.rewrite().map_err(CompactError::from);
    engine.close();
    rewritten
}

impl Core {
    /// The caller is the committer.
    pub(crate) fn run_compaction(&self, done: Compaction) {
        let writable = self.queue.lock().check_health().is_ok();
        let rewritten = match writable {
            true => self.rewrite().map_err(CompactError::from),
            false => Err(CompactError::Closed),
        };
        // Who left does not need to know.
        drop(done.send(rewritten));
    }

    pub(crate) fn rewrite(&self) -> Result<Rewritten, EngineError> {
        let started = self.env.now();
        let work = || self.take_back().and_then(|()| self.engine.rewrite());
        let rewritten = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(EngineError::Failed("the rewrite panicked".into())));
        let took = self.env.now().since(started);
        self.metrics.rewrite_seconds.record(took);
        rewritten
    }
}

impl From<EngineError> for CompactError {
    fn from(why: EngineError) -> CompactError {
        match why {
            EngineError::Full => CompactError::Full,
            EngineError::Failed(why) | EngineError::Unsynced(why) => CompactError::Failed(why),
            EngineError::Deleted => CompactError::Failed("its files were deleted".into()),
            EngineError::Closed => CompactError::Closed,
        }
    }
}
