//! Which worker takes a call: the less loaded one of two at random.
//!
//! Always taking the least loaded one would send every call of one moment to the same worker;
//! two choices spread them almost as evenly as full knowledge would, and look at two only.

use ostler_types::WorkerId;

use crate::{admission::RETRY_AFTER, refusal::Refusal, workers::Worker};

/// Chooses among `candidates` one of `serving` that has room.
pub(crate) fn choose<'a, W: Worker>(
    candidates: &'a [W],
    serving: &[WorkerId],
    random: u64,
) -> Result<&'a W, Refusal> {
    if let Some(two) = two_of(candidates, random)
        && two
            .iter()
            .all(|worker| serves(serving, *worker) && has_room(*worker))
    {
        return Ok(less_loaded(two[0], two[1]));
    }
    choose_of_all(candidates, serving)
}

/// When one of the two is no choice at all: the least loaded one of those that are.
fn choose_of_all<'a, W: Worker>(
    candidates: &'a [W],
    serving: &[WorkerId],
) -> Result<&'a W, Refusal> {
    let mut serving = candidates
        .iter()
        .filter(|worker| serves(serving, *worker))
        .peekable();
    if serving.peek().is_none() {
        return Err(Refusal::NoWorker);
    }
    let retry_after = RETRY_AFTER;
    serving
        .filter(|worker| has_room(*worker))
        .reduce(less_loaded)
        .ok_or(Refusal::Overloaded { retry_after })
}

/// Two different ones, if there are two.
fn two_of<W>(candidates: &[W], random: u64) -> Option<[&W; 2]> {
    let len = candidates.len() as u64;
    if len < 2 {
        return None;
    }
    let first = (random >> 32) % len;
    let second = (first + 1 + (random & 0xFFFF_FFFF) % (len - 1)) % len;
    Some([first, second].map(|at| &candidates[at as usize]))
}

fn serves<W: Worker>(serving: &[WorkerId], worker: &W) -> bool {
    serving.contains(worker.id())
}

fn has_room<W: Worker>(worker: &W) -> bool {
    worker.in_flight() < worker.capacity()
}

/// By in-flight over capacity, compared without dividing.
fn less_loaded<'a, W: Worker>(one: &'a W, other: &'a W) -> &'a W {
    let load = |a: &W, b: &W| u64::from(a.in_flight()) * u64::from(b.capacity());
    match load(one, other) <= load(other, one) {
        true => one,
        false => other,
    }
}

#[cfg(test)]
mod tests;
