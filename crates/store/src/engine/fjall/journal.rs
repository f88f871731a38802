//! fjall's journals before it opens them.
//!
//! A batch whose sync a power cut interrupted may have a hole: its end is on the disk, something
//! before it is not. fjall drops a batch without an end, but refuses to open for a hole in one;
//! and where it cannot read on, it drops all that follows and says nothing. Commits are synced
//! one by one, so what was cut can only be the very last batch, which was never acknowledged:
//! that one is cut off here. Anything else that does not verify is damage, and is named.
//!
//! ```text
//! batch = 1 | count u32 | sequence u64 | count items | 3 | xxh3 of the items u64 | "FJL" 3
//! item  = 2 | type u8 | 0 (not compressed) | keyspace u64 | key len u16 | value len u32, twice
//!       | key | value
//! ```
//! Numbers are little-endian. Behind the last batch there are zeros, or nothing.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::Unopened;

/// What ends every batch.
const TRAILER: [u8; 4] = *b"FJL\x03";

/// Cuts off a last batch that is not whole, and refuses journals that are damaged otherwise.
pub(super) fn mend(database: &Path) -> Result<(), Unopened> {
    let journals = journals(database).map_err(Unopened::Io)?;
    // All but the last were synced before the next was begun.
    let last = journals.last();
    for path in &journals {
        let journal = fs::read(path).map_err(Unopened::Io)?;
        match first_bad_batch(&journal) {
            None => {}
            Some(at) if Some(path) == last && is_last(&journal[at..]) => {
                tracing::warn!(at, "a commit that was cut short is dropped");
                cut(path, at).map_err(Unopened::Io)?;
            }
            Some(at) => {
                let path = path.display();
                return Err(Unopened::Damaged(format!("{path} is damaged at byte {at}")));
            }
        }
    }
    Ok(())
}

/// In the order in which they were written.
fn journals(database: &Path) -> io::Result<Vec<PathBuf>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|end| end == "jnl")) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

fn cut(path: &Path, at: usize) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(at as u64)?;
    file.sync_all()
}

fn first_bad_batch(journal: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < journal.len() {
        if journal[at] == 0 {
            let is_end = journal[at..].iter().all(|byte| *byte == 0);
            return (!is_end).then_some(at);
        }
        match batch_len(&journal[at..]) {
            Some(len) => at += len,
            None => return Some(at),
        }
    }
    None
}

/// The length of a whole batch that is what was written.
fn batch_len(journal: &[u8]) -> Option<usize> {
    let mut rest = journal;
    let (1, count) = (take_u8(&mut rest)?, take_u32(&mut rest)?) else {
        return None;
    };
    take(&mut rest, 8)?;
    let items = rest;
    for _ in 0..count {
        skip_item(&mut rest)?;
    }
    let items = &items[..items.len() - rest.len()];
    let tag = take_u8(&mut rest)?;
    let checksum = take(&mut rest, 8)?;
    let is_whole = tag == 3
        && checksum == xxhash_rust::xxh3::xxh3_64(items).to_le_bytes()
        && take(&mut rest, TRAILER.len())? == TRAILER;
    is_whole.then(|| journal.len() - rest.len())
}

fn skip_item(rest: &mut &[u8]) -> Option<()> {
    let [2, _, 0] = *take(rest, 3)? else {
        return None;
    };
    take(rest, 8)?;
    let key_len = take(rest, 2)?.try_into().ok()?;
    let _value_len = take_u32(rest)?;
    let stored_len = take_u32(rest)?;
    take(rest, u16::from_le_bytes(key_len).into())?;
    take(rest, stored_len as usize).map(|_| ())
}

fn take_u8(rest: &mut &[u8]) -> Option<u8> {
    take(rest, 1).map(|byte| byte[0])
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?))
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

/// A whole batch behind this one would have been written after this one was synced. A trailer alone
/// says nothing: it may be in a payload.
fn is_last(journal: &[u8]) -> bool {
    (1..journal.len()).all(|at| batch_len(&journal[at..]).is_none())
}
