//! A stream to a store, whole or not at all.

use std::{fs, io, io::Read, path::Path};

use ostler_env::Env;

use super::{
    OfflineError, Report, check_store,
    copy::Scratch,
    io_at,
    stream::{Entry, Source},
};
use crate::{
    Config, Store,
    engine::{EngineError, Writes},
    key::{deadline_key, part_key},
    record,
};

/// Written at once.
const BATCH_BYTES: usize = 4 << 20;

/// Makes a store of what `export` wrote, with the engine that `config` names, where none is yet.
/// It is filled beside its place, opened again and verified, and only then put there.
pub fn import(config: &Config, env: &Env, from: &mut dyn Read) -> Result<Report, OfflineError> {
    let path = config.engine.path().ok_or(OfflineError::NoFiles)?;
    check_vacant(path)?;
    let mut source = Source::begin(from)?;
    let scratch = Scratch::beside(path, "import")?;
    let config = config.at(scratch.path());
    fill(&config, env, &mut source)?;
    let report = check_store(&config, env)?;
    if !report.is_good() {
        return Err(source.broken("what became of it does not verify"));
    }
    scratch.becomes(path)?;
    Ok(report)
}

fn check_vacant(path: &Path) -> Result<(), OfflineError> {
    match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(OfflineError::Occupied {
            path: path.to_owned(),
        }),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(why) => Err(io_at(path)(why)),
    }
}

fn fill(config: &Config, env: &Env, source: &mut Source<'_>) -> Result<(), OfflineError> {
    let store = Store::open(config, env)?;
    let engine = store.core().engine.as_ref();
    let (mut writes, mut bytes) = (Writes::new(), 0);
    while let Some(entry) = source.next()? {
        if record::decode(&entry.key, &entry.head, &entry.parts).is_err() {
            return Err(source.broken("a record does not verify"));
        }
        bytes += add(&mut writes, entry);
        if bytes >= BATCH_BYTES {
            engine.apply(&writes).map_err(EngineError::of_commit)?;
            (writes, bytes) = (Writes::new(), 0);
        }
    }
    engine.apply(&writes).map_err(EngineError::of_commit)?;
    engine.sync().map_err(EngineError::of_commit)?;
    Ok(())
}

/// The rows of a record that verifies; how many bytes of it.
fn add(writes: &mut Writes, entry: Entry) -> usize {
    let Entry { key, head, parts } = entry;
    let bytes = head.len() + parts.iter().map(bytes::Bytes::len).sum::<usize>();
    for (index, part) in (1..).zip(parts) {
        writes.insert(part_key(&key, index), Some(part));
    }
    let deadline = record::extent(&head)
        .ok()
        .and_then(|extent| extent.deadline_ms);
    if let Some(at) = deadline {
        writes.insert(deadline_key(at, &key), Some(bytes::Bytes::new()));
    }
    writes.insert(key, Some(head));
    bytes
}
