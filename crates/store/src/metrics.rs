//! What an operator sees of the store.

use metrics::{Counter, Gauge, Histogram};
use ostler_env::Registry;

use crate::StoreError;

pub(crate) struct Metrics {
    /// Group commits that are durable.
    pub commits: Counter,
    /// Batches in them: batches per commit tell how well commits group.
    pub batches: Counter,
    pub rows: Counter,
    pub bytes: Counter,
    pub commit_seconds: Histogram,
    pub queue_bytes: Gauge,
    pub corrupt_records: Counter,
    /// Found at open.
    pub damaged_blocks: Counter,
    pub expired_records: Counter,
    pub sync_errors: Counter,
    pub recoveries: Counter,
    pub rewrite_seconds: Histogram,
    /// 1 while durable writes are taken.
    pub writable: Gauge,
    full: Counter,
    poisoned: Counter,
    deleted: Counter,
    busy: Counter,
    too_large: Counter,
    closed: Counter,
    unreadable: Counter,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Metrics {
        let counter = |name, help| registry.counter(name, help, &[]);
        let error = |kind| {
            let help = "Reads and commits that did not happen, by reason.";
            registry.counter("ostler_store_errors_total", help, &[("kind", kind)])
        };
        Metrics {
            commits: counter("ostler_store_commits_total", "Durable group commits."),
            batches: counter("ostler_store_batches_total", "Batches made durable."),
            rows: counter("ostler_store_rows_total", "Rows written or deleted."),
            bytes: counter(
                "ostler_store_bytes_total",
                "Bytes of keys and values written.",
            ),
            commit_seconds: registry.histogram(
                "ostler_store_commit_seconds",
                "How long one group commit took, with its sync.",
                &[],
            ),
            queue_bytes: registry.gauge(
                "ostler_store_queue_bytes",
                "Bytes that wait to be committed.",
                &[],
            ),
            corrupt_records: counter(
                "ostler_store_corrupt_records_total",
                "Records that did not verify and were set aside.",
            ),
            damaged_blocks: counter(
                "ostler_store_damaged_blocks_total",
                "Blocks of 64 KiB that changed while the store was closed.",
            ),
            expired_records: counter(
                "ostler_store_expired_records_total",
                "Records deleted because their deadline passed.",
            ),
            sync_errors: counter(
                "ostler_store_sync_errors_total",
                "Times the disk did not take or sync what it was given.",
            ),
            recoveries: counter(
                "ostler_store_recoveries_total",
                "Times that was mended by a rewrite to fresh files.",
            ),
            rewrite_seconds: registry.histogram(
                "ostler_store_rewrite_seconds",
                "How long all live rows took to be rewritten to fresh files.",
                &[],
            ),
            writable: registry.gauge(
                "ostler_store_writable",
                "1 while durable writes are taken.",
                &[],
            ),
            full: error("full"),
            poisoned: error("poisoned"),
            deleted: error("deleted"),
            busy: error("busy"),
            too_large: error("too_large"),
            closed: error("closed"),
            unreadable: error("unreadable"),
        }
    }

    pub fn count_error(&self, error: &StoreError) {
        let counter = match error {
            StoreError::Full => &self.full,
            StoreError::Poisoned(_) => &self.poisoned,
            StoreError::Deleted => &self.deleted,
            StoreError::Busy => &self.busy,
            StoreError::TooLarge => &self.too_large,
            StoreError::Closed => &self.closed,
            StoreError::Unreadable(_) => &self.unreadable,
        };
        counter.increment(1);
    }
}
