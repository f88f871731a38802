//! A store to a stream.

use std::io::{self, Write};

use ostler_env::Env;

use super::{OfflineError, check::walk, copy::Scratch, copy_of, stream::Sink};
use crate::{Config, OpenError, Store, Table, engine::EngineError, record, store::Core};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Records in the stream.
    pub records: u64,
    /// Records left out, because they are not what was written.
    pub damaged: u64,
    /// Blocks of the files that changed while the store was closed: records may be missing of
    /// which nothing is left.
    pub damaged_blocks: u64,
}

/// Writes all records that verify. As `verify` it looks at a copy and changes nothing.
pub fn export(config: &Config, env: &Env, to: &mut dyn Write) -> Result<Exported, OfflineError> {
    let (copy, _no_node_starts) = copy_of(config, "export")?;
    let store = open(config, &copy, env)?;
    let written = |why| OfflineError::Io {
        path: "the export".into(),
        why,
    };
    let mut sink = Sink::begin(to).map_err(written)?;
    let mut damaged = 0;
    for first in (0..=u8::MAX).filter(|first| holds_records(*first)) {
        damaged += export_table(store.core(), first, &mut sink)?.map_err(written)?;
    }
    let records = sink.end().map_err(written)?;
    Ok(Exported {
        records,
        damaged,
        damaged_blocks: store.core().engine.damaged_blocks(),
    })
}

/// Says where the store is, not where its copy was moved.
fn open(config: &Config, copy: &Scratch, env: &Env) -> Result<Store, OfflineError> {
    Store::open(&config.at(copy.path()), env).map_err(|why| match why {
        OpenError::Quarantined { why, .. } => OfflineError::Unopened {
            path: config.engine.path().unwrap_or(copy.path()).to_owned(),
            why,
        },
        why => why.into(),
    })
}

/// The index of deadlines follows from the records, and parts go with theirs.
fn holds_records(first: u8) -> bool {
    Table::numbered(first).is_some_and(|table| table != Table::Deadlines)
}

/// How many records were left out.
fn export_table(
    core: &Core,
    first: u8,
    sink: &mut Sink<'_>,
) -> Result<io::Result<u64>, OfflineError> {
    let (mut damaged, mut failed) = (0, None);
    let walked = walk(core.engine.as_ref(), &[first], |key, head| {
        match core.parts(key, head)? {
            Ok(parts) if record::decode(key, head, &parts).is_ok() => {
                sink.entry(key, head, &parts).map_err(|why| {
                    failed = Some(why);
                    EngineError::Closed
                })?;
            }
            Ok(_) | Err(record::Damaged) => damaged += 1,
        }
        Ok(())
    });
    match (walked, failed) {
        (_, Some(why)) => Ok(Err(why)),
        (Err((_, why)), None) => Err(why.of_read().into()),
        (Ok(()), None) => Ok(Ok(damaged)),
    }
}
