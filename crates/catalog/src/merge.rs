//! One list from the offers of several workers.
//!
//! Entries are united by name. The definition that is listed stays as long as a live worker
//! offers it; after that the first live worker decides. Workers with another contract under the
//! same name (other schemas, files, declarations) do not serve the entry until then (GRPC-008).
//!
//! A new entry is listed where its worker put it. From then on it keeps its place whatever comes
//! and goes around it, because the cursors of clients name places [P-3]. That everybody has left
//! is no exception: whoever comes back finds the places as they were.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use ostler_types::WorkerId;

use crate::entry::{Definition, Entry};

/// Between the places of two entries that are listed together: room for new ones in between.
const STEP: u64 = 1 << 40;

/// One worker's list, as [`merge`] takes it.
pub(crate) struct Part<'a, P> {
    pub(crate) worker: &'a WorkerId,
    /// Whether calls may go there; if not, the worker left a moment ago.
    pub(crate) live: bool,
    pub(crate) list: &'a [Arc<Definition<P>>],
}

/// What is kept of an entry from one list to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) contract: u64,
    pub(crate) place: u64,
}

/// Unites `parts`, which are in the order in which the workers came. `listed` is what was
/// listed before, by name.
pub(crate) fn merge<P>(parts: &[Part<'_, P>], listed: &HashMap<&str, Kept>) -> Vec<Arc<Entry<P>>> {
    let mut candidates: HashMap<&str, Vec<Candidate<'_, P>>> = HashMap::new();
    for part in parts {
        for definition in part.list {
            let candidate = Candidate {
                worker: part.worker,
                live: part.live,
                definition,
            };
            let of_name = candidates.entry(definition.name.as_str()).or_default();
            of_name.push(candidate);
        }
    }
    let united = candidates
        .into_iter()
        .map(|(name, of_name)| unite(&of_name, listed.get(name).map(|entry| entry.contract)));
    let mut entries: Vec<_> = united.collect();
    entries.sort_by_cached_key(|entry| (entry.index, entry.name.clone()));
    place(&mut entries, listed);
    entries.sort_by_cached_key(Entry::sort_key);
    entries.into_iter().map(Arc::new).collect()
}

/// Gives each entry its place: the one it has, or one between the entry it follows in the order
/// of the offers and whatever stands behind that. Where there is no room left, names decide.
fn place<P>(entries: &mut [Entry<P>], listed: &HashMap<&str, Kept>) {
    let kept = |entry: &Entry<P>| listed.get(entry.name.as_str()).map(|listed| listed.place);
    let mut taken: BTreeSet<u64> = entries.iter().filter_map(kept).collect();
    let mut before = 0;
    for entry in entries {
        entry.place = kept(entry).unwrap_or_else(|| between(before, &taken));
        taken.insert(entry.place);
        before = entry.place;
    }
}

fn between(before: u64, taken: &BTreeSet<u64>) -> u64 {
    let behind = taken.range(before.saturating_add(1)..).next().copied();
    let behind = behind.unwrap_or_else(|| before.saturating_add(2 * STEP));
    before.midpoint(behind)
}

struct Candidate<'a, P> {
    worker: &'a WorkerId,
    live: bool,
    definition: &'a Arc<Definition<P>>,
}

fn unite<P>(candidates: &[Candidate<'_, P>], listed: Option<u64>) -> Entry<P> {
    let live = || candidates.iter().filter(|candidate| candidate.live);
    let winner = live()
        .find(|candidate| Some(candidate.definition.contract) == listed)
        .or_else(|| live().next())
        .or_else(|| candidates.first())
        .expect("a name comes from a candidate");
    let contract = winner.definition.contract;
    let workers = live()
        .filter(|candidate| candidate.definition.contract == contract)
        .map(|candidate| candidate.worker.clone());
    Entry::new(winner.definition.clone(), workers.collect())
}

#[cfg(test)]
mod tests;
