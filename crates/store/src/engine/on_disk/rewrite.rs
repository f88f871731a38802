//! Copying all rows into a fresh database and swapping it in.

use std::ops::Bound;

use super::{
    Database, OnDisk, State, guarded, io_failed, open_guarded, remove_leftovers, still_there,
};
use crate::engine::{
    Engine, EngineError, Rewritten, Writes,
    files::{disk_bytes, sync_tree},
};

/// Rows that are copied at once: 16 MiB at most.
const PAGE_LEN: usize = 1_024;

/// A database this many times as large as its last rewrite left it holds mostly what is dead.
const BLOAT_FACTOR: u64 = 4;

impl<D: Database> OnDisk<D> {
    /// Whether it takes much more than its rows need. What they need is not known without
    /// reading all of them, so the rule is: it takes at least `from_bytes`, and
    /// [`BLOAT_FACTOR`] times what its last rewrite left. A database that has truly grown is
    /// rewritten in vain, but not again before it is that many times larger still.
    pub(super) fn is_bloated(&self, from_bytes: u64) -> bool {
        let took = disk_bytes(&self.directory.database());
        let rewritten = self.directory.rewritten_bytes().unwrap_or(0);
        !D::SHRINKS && took >= from_bytes && took / BLOAT_FACTOR >= rewritten
    }

    /// If it fails, the database is the one it was.
    pub(super) fn rewrite_rows(&self) -> Result<Rewritten, EngineError> {
        let bytes_before = disk_bytes(&self.directory.database());
        let rewritten = self.copy().and_then(|rows| self.swap().map(|()| rows));
        remove_leftovers(&self.directory);
        let rows = rewritten?;
        let bytes_after = disk_bytes(&self.directory.database());
        if let Err(error) = self.directory.note_rewritten(bytes_after) {
            tracing::warn!(%error, "the size of the store is not noted; it may be rewritten early");
        }
        Ok(Rewritten {
            rows,
            bytes_before,
            bytes_after,
        })
    }

    /// Writes all rows into a fresh database, which is whole, closed and synced afterwards.
    fn copy(&self) -> Result<u64, EngineError> {
        self.with(still_there)?;
        let path = self.directory.fresh().map_err(|why| io_failed(&why))?;
        let db = open_guarded::<D>(&path, self.cache_bytes)?;
        let copied = self.copy_into(&db);
        let closed = guarded(|| {
            db.close();
            Ok(())
        });
        let rows = copied?;
        closed?;
        sync_tree(&path).map_err(|why| io_failed(&why))?;
        Ok(rows)
    }

    fn copy_into(&self, fresh: &D) -> Result<u64, EngineError> {
        let (mut rows, mut last) = (0, None);
        loop {
            let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = self.scan(&[], from, PAGE_LEN)?;
            let Some((key, _)) = page.last() else {
                break;
            };
            last = Some(key.clone());
            rows += page.len() as u64;
            let live = page.into_iter().map(|(key, row)| (key, Some(row)));
            let writes: Writes = live.collect();
            self.check_space(&writes)?;
            guarded(|| fresh.apply(&writes))?;
        }
        guarded(|| fresh.sync())?;
        Ok(rows)
    }

    /// Readers wait here, for as long as one database is closed and the other opened.
    fn swap(&self) -> Result<(), EngineError> {
        let mut state = self.state.write();
        let lock = state.let_go()?;
        *state = State::Shut(lock, EngineError::Failed("it is being replaced".into()));
        let swapped = self.directory.swap_in_fresh();
        // In any case: either the new one or the old one is there.
        self.reopen(&mut state)?;
        swapped.map_err(|why| io_failed(&why))
    }
}
