//! Names of streams and of places in them.

/// One stream of a session, unique in it for ever: the epoch that opened it in the upper half,
/// a count in the lower. No stream id is stored ahead of use for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamId(pub u64);

impl StreamId {
    /// What belongs to no request: list changes and resource updates [SSE-7], [SSE-9].
    pub const STANDALONE: StreamId = StreamId(0);

    /// The `count`-th stream (from 1) that a session opened in `epoch` (from 1).
    pub fn of_call(epoch: u64, count: u32) -> StreamId {
        StreamId(epoch << 32 | u64::from(count))
    }
}

/// Where an event stands in its stream. Ordered: a newer epoch comes after all of an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub epoch: u64,
    /// From 1 in each epoch.
    pub seq: u64,
}

impl Place {
    /// Whether nothing can lie between `self` and `next`: the next number, or the first one of
    /// a newer epoch. Of an older epoch's end nothing can be said, and nothing need be: its
    /// events were all stored before they were shown.
    pub fn is_followed_by(self, next: Place) -> bool {
        let next_number = next.epoch == self.epoch && next.seq == self.seq + 1;
        let new_epoch = next.epoch > self.epoch && next.seq == 1;
        next_number || new_epoch
    }
}

/// What an event id says: everything up to here was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub stream: StreamId,
    pub place: Place,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_calls_never_meet_the_standalone_one_or_each_other() {
        assert!(StreamId::of_call(1, 1) != StreamId::STANDALONE);
        assert!(StreamId::of_call(1, u32::MAX) < StreamId::of_call(2, 1));
    }

    #[test]
    fn a_place_is_followed_by_the_next_number_or_a_new_epoch() {
        let at = |epoch, seq| Place { epoch, seq };
        let check =
            |next, expected| assert_eq!(at(2, 5).is_followed_by(next), expected, "{next:?}");
        check(at(2, 6), true);
        check(at(3, 1), true);
        check(at(9, 1), true);
        check(at(2, 7), false);
        check(at(2, 5), false);
        check(at(3, 2), false);
        check(at(1, 6), false);
    }
}
