//! What can go wrong, and how the store is.

use std::path::PathBuf;

/// Why a read or a commit did not happen. Cloned to every waiter of a group commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The platform's fault; passes when space is freed. Reads go on. The batch is not stored; only
    /// where the disk was full in the middle of it, it may be, as a whole.
    #[error("the disk of the store is full")]
    Full,
    /// The platform's fault; only a restart of the node helps.
    #[error("the store stopped taking writes: {0}")]
    Poisoned(String),
    /// The platform's fault, and somebody's who deleted its files; a restart begins with nothing.
    #[error("the files of the store were deleted")]
    Deleted,
    /// The platform's fault; passes. More is waiting to be written than may wait.
    #[error("too many bytes wait to be written")]
    Busy,
    /// The writer's fault: a key or a payload beyond the store's limits.
    #[error("a key or a payload is too large for the store")]
    TooLarge,
    /// The store was closed; the node is going down.
    #[error("the store is closed")]
    Closed,
    /// The platform's fault: the engine could not read.
    #[error("the store could not read: {0}")]
    Unreadable(String),
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the directory.
    #[error(
        "{path} is in use by another process; \
         stop that one, or give this node a data directory of its own"
    )]
    InUse { path: PathBuf },
    /// Its format is of a later version; its files are untouched.
    #[error(
        "{path} was written by a newer version (store format {found}, this one reads up to \
         {known}); start the newer version, nothing was changed"
    )]
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    /// Another engine keeps its rows there; opening would begin with nothing.
    #[error(
        "{path} holds a store of the engine {found}, not {wanted}; \
         set store.engine to {found}, or move the store with export and import"
    )]
    OtherEngine {
        path: PathBuf,
        found: &'static str,
        wanted: &'static str,
    },
    /// Its files are damaged; they were moved aside.
    #[error(
        "{path} could not be opened ({why}) and was moved to {moved_to}; \
         the next start begins with an empty store, keep the moved one for analysis"
    )]
    Quarantined {
        path: PathBuf,
        moved_to: PathBuf,
        why: String,
    },
    /// The system would not let us.
    #[error("{path} could not be opened: {why}")]
    Io { path: PathBuf, why: String },
}

/// Why a store was not rewritten. It goes on with the files it had.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// It could not even be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The operator's fault: this engine has no files.
    #[error("the memory engine keeps nothing on a disk")]
    NoFiles,
    /// The operator's fault: another directory was meant, or no node ever ran here.
    #[error("there is no store in {path}")]
    Missing { path: PathBuf },
    /// The platform's fault: records may be gone, and a rewrite would hide it.
    #[error(
        "{blocks} blocks of its files changed while the store was closed, so it is not rewritten; \
         `ostler store export` saves what is good of it"
    )]
    Damaged { blocks: u64 },
    /// The old and the new files must fit beside each other.
    #[error("there is no space to rewrite the store; free some and try again")]
    Full,
    /// A row could not be read, or a file not be written.
    #[error("the store could not be rewritten ({0}); it goes on with the files it had")]
    Failed(String),
    /// One is asked for already.
    #[error("a rewrite waits already")]
    Waiting,
    /// The store was closed, or takes no more writes.
    #[error("the store takes no more writes")]
    Closed,
}

/// Whether the store can do its work now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Good,
    /// Durable writes are refused until there is space again.
    Full,
    /// The disk did not sync, because of this: durable writes wait while what is live is
    /// rewritten to fresh files.
    Recovering(String),
    /// Durable writes are refused until a restart, because of this.
    Poisoned(String),
    /// Durable writes are refused: somebody deleted its files.
    Deleted,
    /// The node is going down.
    Closed,
}

impl Health {
    /// Whether it can.
    pub fn is_good(&self) -> bool {
        *self == Health::Good
    }
}
