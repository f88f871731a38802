//! The standalone stream: what belongs to no request [SSE-7], [SSE-9], [SSE-10].
//!
//! Each notice waits, once per thing it is about, until someone listens; then it becomes an
//! event. Waiting notices are not events and are not stored one by one: which lists changed
//! unseen is part of the session's row, and a session that wakes tells of each subscribed
//! resource anyway, because nothing watched it in its sleep.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use ostler_protocol::{inbound::ListKind, notify};

use crate::{
    state::{Effects, Phase, Terms, Write, stream::Stream},
    stream::{Chatter, Place, StreamId},
};

/// Something the client may want to fetch anew.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Notice {
    /// Resources stand for their templates too.
    List(ListKind),
    Updated(Arc<str>),
}

impl Notice {
    fn message(&self) -> Bytes {
        match self {
            Notice::List(kind) => notify::list_changed(*kind, None),
            Notice::Updated(uri) => notify::resource_updated(uri, None),
        }
    }
}

/// What a task tells the session that asked for it, as it goes on the wire. Nobody relies on it,
/// so nothing of it waits for a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// To be stored and replayed like any event.
    Status(Bytes),
    Progress(Bytes),
}

/// Which lists changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ListKinds {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
}

impl ListKinds {
    pub fn notices(self) -> Vec<Notice> {
        let kinds = [
            (ListKind::Tools, self.tools),
            (ListKind::Prompts, self.prompts),
            (ListKind::Resources, self.resources),
        ];
        let changed = kinds.into_iter().filter(|(_, changed)| *changed);
        changed.map(|(kind, _)| Notice::List(kind)).collect()
    }
}

pub(super) struct Standalone {
    heard: bool,
    /// What no listener has been shown; at most one per list and subscription.
    unseen: BTreeSet<Notice>,
    /// What the present listener was shown, newest last. Whatever it did not take before it
    /// left is shown to the next.
    shown: VecDeque<(Place, Notice)>,
    taken: Option<Place>,
    /// The oldest event of this epoch that is still stored.
    oldest_seq: u64,
}

impl Standalone {
    pub fn new(unseen: ListKinds) -> Self {
        Standalone {
            heard: false,
            unseen: unseen.notices().into_iter().collect(),
            shown: VecDeque::new(),
            taken: None,
            oldest_seq: 1,
        }
    }

    pub fn is_heard(&self) -> bool {
        self.heard
    }

    pub fn has_unseen(&self) -> bool {
        self.heard && !self.unseen.is_empty()
    }

    /// List changes that no listener has taken.
    pub fn unseen_lists(&self) -> ListKinds {
        let is_unseen = |kind| {
            let notice = Notice::List(kind);
            self.unseen.contains(&notice) || self.untaken().any(|shown| *shown == notice)
        };
        ListKinds {
            tools: is_unseen(ListKind::Tools),
            prompts: is_unseen(ListKind::Prompts),
            resources: is_unseen(ListKind::Resources),
        }
    }

    pub fn add(&mut self, notice: Notice) {
        self.unseen.insert(notice);
    }

    /// The client no longer cares for this resource.
    pub fn forget(&mut self, uri: &Arc<str>) {
        self.unseen.remove(&Notice::Updated(uri.clone()));
    }

    /// A fresh listener: it begins with a priming event, and gets what the last one missed.
    pub fn open(&mut self, terms: &Terms, stream: &mut Stream, effects: &mut Effects) {
        let missed: Vec<_> = self.untaken().cloned().collect();
        self.unseen.extend(missed);
        self.shown.clear();
        self.heard = true;
        if terms.primes_streams() {
            self.store(Bytes::new(), terms, stream, effects);
        }
    }

    /// A listener that comes back with a cursor: what it missed is replayed to it.
    pub fn resumed(&mut self) {
        self.heard = true;
    }

    pub fn listener_gone(&mut self, taken: Option<Place>) {
        self.heard = false;
        self.taken = self.taken.max(taken);
    }

    /// To whoever listens now; a client that may not be told anything yet is not [LIF-7].
    pub fn tell(
        &mut self,
        news: News,
        phase: Phase,
        terms: &Terms,
        stream: &mut Stream,
        effects: &mut Effects,
    ) {
        match (self.is_ready(phase), news) {
            (false, _) => {}
            (true, News::Status(message)) => drop(self.store(message, terms, stream, effects)),
            (true, News::Progress(message)) => {
                // Nothing holds this stream back.
                stream.chat(Chatter::Progress, message, effects);
            }
        }
    }

    fn is_ready(&self, phase: Phase) -> bool {
        match phase {
            Phase::Presumed | Phase::Open => self.heard,
            Phase::Opening { .. } | Phase::Ended => false,
        }
    }

    /// Shows what waits, if somebody listens and is ready for it [LIF-7].
    pub fn flush(
        &mut self,
        phase: Phase,
        terms: &Terms,
        stream: &mut Stream,
        effects: &mut Effects,
    ) {
        let ready = self.is_ready(phase);
        while let Some(notice) = ready.then(|| self.unseen.pop_first()).flatten() {
            let place = self.store(notice.message(), terms, stream, effects);
            self.shown.push_back((place, notice));
            if self.shown.len() > terms.config.stream_events_max {
                self.shown.pop_front();
            }
        }
    }

    fn untaken(&self) -> impl Iterator<Item = &Notice> {
        let is_untaken = |(place, _): &&(Place, Notice)| Some(*place) > self.taken;
        self.shown
            .iter()
            .filter(is_untaken)
            .map(|(_, notice)| notice)
    }

    fn store(
        &mut self,
        data: Bytes,
        terms: &Terms,
        stream: &mut Stream,
        effects: &mut Effects,
    ) -> Place {
        let place = stream.store(data, false, effects);
        self.trim(terms, place, effects);
        place
    }

    /// Only so many events are kept; who comes back later than that is told of the gap.
    fn trim(&mut self, terms: &Terms, newest: Place, effects: &mut Effects) {
        let kept = newest.seq + 1 - self.oldest_seq;
        if kept > terms.config.stream_events_max as u64 {
            let place = Place {
                seq: self.oldest_seq,
                ..newest
            };
            self.oldest_seq += 1;
            effects.write(Write::DropEvent {
                stream: StreamId::STANDALONE,
                place,
            });
        }
    }
}
