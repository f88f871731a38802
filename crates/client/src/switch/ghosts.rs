//! Requests that nobody here waits for any more, while the server may still be at them: it has not
//! read yet that they are cancelled, or does not care. What it asks and logs for them must be shown
//! to no other principal.

use std::{collections::VecDeque, time::Duration};

use ostler_types::Instant;

/// More are not told apart: then nobody is shown what names no request, as long as one lasts.
const GHOSTS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Ghosts {
    /// By their ends, the next one first.
    known: VecDeque<Ghost>,
    /// As long as there is one of an unknown owner.
    crowded_until: Option<Instant>,
    /// A server need not answer what is cancelled ([CAN-1]), so each has its time.
    ghost_max: Duration,
}

#[derive(Debug)]
struct Ghost {
    /// Of the request whose response lays it.
    id: u64,
    owner: u64,
    until: Instant,
}

impl Ghosts {
    pub(super) fn new(ghost_max: Duration) -> Ghosts {
        Ghosts {
            known: VecDeque::new(),
            crowded_until: None,
            ghost_max,
        }
    }

    pub(super) fn add(&mut self, now: Instant, id: u64, owner: u64) {
        let until = now + self.ghost_max;
        self.known.retain(|ghost| ghost.until > now);
        match self.known.len() < GHOSTS_MAX {
            true => self.known.push_back(Ghost { id, owner, until }),
            false => self.crowded_until = Some(until),
        }
    }

    /// The server has answered it, or says that it never began.
    pub(super) fn lay(&mut self, id: u64) {
        self.known.retain(|ghost| ghost.id != id);
    }

    pub(super) fn has_any(&self, now: Instant) -> bool {
        let is_there = |until: Instant| until > now;
        let mut known = self.known.iter();
        known.any(|ghost| is_there(ghost.until)) || self.crowded_until.is_some_and(is_there)
    }

    /// Whether one may be of anybody else than this owner.
    pub(super) fn has_others(&self, now: Instant, owner: u64) -> bool {
        let mut others = self.known.iter().filter(|ghost| ghost.owner != owner);
        others.any(|ghost| ghost.until > now) || self.crowded_until.is_some_and(|until| until > now)
    }
}
