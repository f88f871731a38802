//! Streams as the machine sees them: where the next event goes, and whether it may be seen yet.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ostler_types::CallId;

use crate::{
    state::{Act, Effects, Terms, Write},
    stream::{Chatter, Place, StreamId},
};

/// The streams of a session that may still grow.
pub(super) struct Streams {
    /// It never ends.
    pub standalone: Stream,
    /// Those that answer a POST.
    posts: BTreeMap<StreamId, Stream>,
    epoch: u64,
    opened: u32,
}

/// What a client reads in order: the answers to one POST (a call, or all calls of a batch), or what
/// belongs to no request.
pub(super) struct Stream {
    id: StreamId,
    next: Place,
    gate: Gate,
    /// Calls on it that have not ended. That of a POST ends with the last.
    calls_open: usize,
}

/// Whether the client may see anything yet.
enum Gate {
    /// Some workers have not promised to run their calls on: what the client could come back with
    /// waits for that (design: keeping).
    Closed {
        promises: BTreeSet<CallId>,
        held: Vec<Act>,
    },
    Open,
}

/// Chatter that waits for the gate; more is dropped. The gate opens within a round trip.
const HELD_CHATTER_MAX: usize = 64;

impl Streams {
    pub fn new(epoch: u64) -> Self {
        Streams {
            standalone: Stream::open(StreamId::STANDALONE, epoch),
            posts: BTreeMap::new(),
            epoch,
            opened: 0,
        }
    }

    /// Those that answer a POST.
    pub fn posts_len(&self) -> usize {
        self.posts.len()
    }

    pub fn is_live(&self, id: StreamId) -> bool {
        id == StreamId::STANDALONE || self.posts.contains_key(&id)
    }

    pub fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        match id {
            StreamId::STANDALONE => Some(&mut self.standalone),
            id => self.posts.get_mut(&id),
        }
    }

    /// A new stream, which shows nothing before all these calls are safe.
    pub fn open(&mut self, calls: impl Iterator<Item = CallId>) -> &mut Stream {
        self.opened += 1;
        let id = StreamId::of_call(self.epoch, self.opened);
        let gate = Gate::Closed {
            promises: calls.collect(),
            held: Vec::new(),
        };
        let stream = Stream {
            gate,
            ..Stream::open(id, self.epoch)
        };
        self.posts.entry(id).insert_entry(stream).into_mut()
    }

    /// A stream of an earlier life: what was kept then is safe.
    pub fn reopen(&mut self, id: StreamId) {
        let reopened = || Stream::open(id, self.epoch);
        self.posts.entry(id).or_insert_with(reopened);
    }

    /// Those whose readers may be sent away, and come back for the rest. An answer to a POST has a
    /// way back only if it began with one that was shown; without, it must not be broken off
    /// [SSE-2], [SSE-12].
    pub fn with_way_back(&self, terms: &Terms) -> impl Iterator<Item = StreamId> {
        let primed = |stream: &&Stream| terms.primes_streams() && stream.is_open();
        let posts = self.posts.values().filter(primed);
        std::iter::once(StreamId::STANDALONE).chain(posts.map(Stream::id))
    }

    pub fn remove(&mut self, id: StreamId) {
        self.posts.remove(&id);
    }

    /// Ends all that answer a POST.
    pub fn take_posts(&mut self) -> impl Iterator<Item = StreamId> + use<> {
        std::mem::take(&mut self.posts).into_keys()
    }

    /// Whether any event may be stored.
    pub fn has_stored(&self) -> bool {
        self.epoch > 1 || self.opened > 0 || self.standalone.next_seq() > 1
    }
}

impl Stream {
    /// A stream that nothing holds back.
    fn open(id: StreamId, epoch: u64) -> Self {
        Stream {
            id,
            next: Place { epoch, seq: 1 },
            gate: Gate::Open,
            calls_open: 0,
        }
    }

    pub fn id(&self) -> StreamId {
        self.id
    }

    /// The number of the next event.
    pub fn next_seq(&self) -> u64 {
        self.next.seq
    }

    /// One more call is on it.
    pub fn enter(&mut self) {
        self.calls_open += 1;
    }

    /// A call on it has ended; whether that was the last.
    pub fn leave(&mut self) -> bool {
        self.calls_open -= 1;
        self.calls_open == 0 && self.id != StreamId::STANDALONE
    }

    /// Stores an event and shows it, in this order.
    pub fn store(&mut self, data: Bytes, last: bool, effects: &mut Effects) -> Place {
        let place = self.write(data.clone(), last, effects);
        let stream = self.id;
        self.show(
            Act::Show {
                stream,
                place,
                data,
            },
            effects,
        );
        place
    }

    /// Stores that nothing follows, which nobody is shown: a reader sees the end itself.
    pub fn store_end(&mut self, effects: &mut Effects) {
        self.write(Bytes::new(), true, effects);
    }

    fn write(&mut self, data: Bytes, last: bool, effects: &mut Effects) -> Place {
        let (stream, place) = (self.id, self.next);
        self.next.seq += 1;
        effects.write(Write::Event {
            stream,
            place,
            data,
            last,
        });
        place
    }

    /// Shows what is not stored, unless too much of it waits; whether it does so.
    pub fn chat(&mut self, chatter: Chatter, data: Bytes, effects: &mut Effects) -> bool {
        let is_crowded = match &self.gate {
            Gate::Closed { held, .. } => {
                let chatter = held.iter().filter(|act| matches!(act, Act::Chat { .. }));
                chatter.count() >= HELD_CHATTER_MAX
            }
            Gate::Open => false,
        };
        if !is_crowded {
            let stream = self.id;
            self.show(
                Act::Chat {
                    stream,
                    chatter,
                    data,
                },
                effects,
            );
        }
        !is_crowded
    }

    fn show(&mut self, act: Act, effects: &mut Effects) {
        match &mut self.gate {
            Gate::Closed { held, .. } => held.push(act),
            Gate::Open => effects.act(act),
        }
    }

    /// What is put on it is shown at once.
    pub fn is_open(&self) -> bool {
        matches!(self.gate, Gate::Open)
    }

    // Closed => Open: the workers run all calls on, or they have ended already. Whether it is so now.
    pub fn promised(&mut self, call: CallId, effects: &mut Effects) -> bool {
        let Gate::Closed { promises, held } = &mut self.gate else {
            return false;
        };
        promises.remove(&call);
        let opens = promises.is_empty();
        if opens {
            effects.acts.append(held);
            self.gate = Gate::Open;
        }
        opens
    }
}
