//! One list from the offers of several workers.
//!
//! Entries are united by name. The definition that is listed stays as long as a live worker
//! offers it; after that the first live worker decides. Workers with another contract under the
//! same name (other schemas, other declarations) do not serve the entry until then (GRPC-008).

use std::{collections::HashMap, sync::Arc};

use ostler_types::WorkerId;

use crate::entry::{Definition, Entry};

/// One worker's list, as [`merge`] takes it.
pub(crate) struct Part<'a, P> {
    pub(crate) worker: &'a WorkerId,
    /// Whether calls may go there; if not, the worker left a moment ago.
    pub(crate) live: bool,
    pub(crate) list: &'a [Arc<Definition<P>>],
}

/// Unites `parts`, which are in the order in which the workers came. `listed` is what was
/// listed before.
pub(crate) fn merge<P>(parts: &[Part<'_, P>], listed: &[Arc<Entry<P>>]) -> Vec<Arc<Entry<P>>> {
    let listed: HashMap<&str, u64> = listed
        .iter()
        .map(|entry| (entry.name.as_str(), entry.contract))
        .collect();
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
        .map(|(name, of_name)| unite(&of_name, listed.get(name).copied()));
    let mut entries: Vec<_> = united.collect();
    entries.sort_by_cached_key(|entry| entry.sort_key());
    entries
}

struct Candidate<'a, P> {
    worker: &'a WorkerId,
    live: bool,
    definition: &'a Arc<Definition<P>>,
}

fn unite<P>(candidates: &[Candidate<'_, P>], listed: Option<u64>) -> Arc<Entry<P>> {
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
    Arc::new(Entry::new(winner.definition.clone(), workers.collect()))
}

#[cfg(test)]
mod tests;
