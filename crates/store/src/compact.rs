//! Rewriting live rows to fresh files: on command while the store runs, and without a node.
//!
//! A rewrite is the committer's work like any group, so no commit runs beside it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use ostler_env::Env;

use crate::{
    CompactError, Config, Rewritten,
    engine::{EngineError, files::Directory},
    store::{Core, open_engine},
};

pub(crate) type Compaction = oneshot::Sender<Result<Rewritten, CompactError>>;

/// Rewrites a store that no node uses. Blocks until it is done. One whose files changed while it was
/// closed is left as it is: fresh files with a seal of their own would hide that records are gone.
pub fn compact(config: &Config, env: &Env) -> Result<Rewritten, CompactError> {
    check(&config.engine.directory().ok_or(CompactError::NoFiles)?)?;
    let engine = open_engine(config, env)?;
    let rewritten = engine.rewrite().map_err(CompactError::from);
    engine.close();
    rewritten
}

fn check(directory: &Directory) -> Result<(), CompactError> {
    if !directory.has_database()? {
        let path = directory.path().to_owned();
        return Err(CompactError::Missing { path });
    }
    match directory.damaged_blocks() {
        Ok(0) => Ok(()),
        Ok(blocks) => Err(CompactError::Damaged { blocks }),
        Err(why) => Err(CompactError::Failed(why.to_string())),
    }
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
