//! What a cursor still has to see of a stream: pure arithmetic over its stored events.

use bytes::Bytes;

use crate::stream::Place;

/// One stored event. Empty data is a priming event or, as the last one, a mark of the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredEvent {
    pub place: Place,
    pub data: Bytes,
    /// Nothing follows it.
    pub last: bool,
}

/// What is to be sent to the reader.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    /// Strictly after the cursor, in order.
    pub events: Vec<StoredEvent>,
    /// Nothing will follow: the stream ends after these.
    pub complete: bool,
}

/// Something after the cursor is no longer there, or there is nothing to resume.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gap;

/// Picks what follows `after` from the `stored` events of a stream, which are in order and are
/// all that there are from `after` itself on.
/// `live`: the stream may still grow.
pub(crate) fn replay(
    mut stored: Vec<StoredEvent>,
    after: Place,
    live: bool,
) -> Result<Replay, Gap> {
    let ended = stored.last().is_some_and(|event| event.last);
    let seen = stored.partition_point(|event| event.place <= after);
    let mut events = stored.split_off(seen);
    let gap_free = match events.first() {
        Some(first) => {
            let is_next =
                |one: &StoredEvent, next: &StoredEvent| one.place.is_followed_by(next.place);
            after.is_followed_by(first.place) && events.is_sorted_by(is_next)
        }
        // Seen to its end. Of a dead stream without an end nothing good can be said.
        None => live || ended,
    };
    // A mark of the end is none of the messages.
    events.retain(|event| !(event.last && event.data.is_empty()));
    match gap_free && (live || ended) {
        true => Ok(Replay {
            events,
            complete: ended || !live,
        }),
        false => Err(Gap),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(epoch, seq)` pairs; the stream's last event is marked by `end`.
    fn stream(places: &[(u64, u64)], end: bool) -> Vec<StoredEvent> {
        let event = |(index, (epoch, seq)): (usize, &(u64, u64))| StoredEvent {
            place: Place {
                epoch: *epoch,
                seq: *seq,
            },
            data: Bytes::from_static(b"x"),
            last: end && index + 1 == places.len(),
        };
        places.iter().enumerate().map(event).collect()
    }

    /// What is replayed as (places, complete).
    type Expected<'a> = Result<(&'a [(u64, u64)], bool), Gap>;

    fn check(stored: Vec<StoredEvent>, cursor: (u64, u64), live: bool, expected: Expected<'_>) {
        let (epoch, seq) = cursor;
        let pair = |place: Place| (place.epoch, place.seq);
        let found = replay(stored, Place { epoch, seq }, live);
        let found = found.map(|replay| {
            let places: Vec<_> = replay
                .events
                .iter()
                .map(|event| pair(event.place))
                .collect();
            (places, replay.complete)
        });
        assert_eq!(found, expected.map(|(places, end)| (places.to_vec(), end)));
    }

    #[test]
    fn replay_starts_strictly_after_the_cursor() {
        let live = || stream(&[(1, 1), (1, 2), (1, 3)], false);
        check(live(), (1, 1), true, Ok((&[(1, 2), (1, 3)], false)));
        check(live(), (1, 3), true, Ok((&[], false)));
    }

    #[test]
    fn a_finished_stream_ends_after_its_last_event_as_often_as_asked() {
        let done = || stream(&[(1, 1), (1, 2)], true);
        check(done(), (1, 1), false, Ok((&[(1, 2)], true)));
        check(done(), (1, 1), false, Ok((&[(1, 2)], true)));
        check(done(), (1, 2), false, Ok((&[], true)));
    }

    #[test]
    fn a_mark_of_the_end_is_not_replayed() {
        let mut marked = stream(&[(1, 1), (1, 2), (1, 3)], true);
        marked[2].data = Bytes::new();
        check(marked.clone(), (1, 1), false, Ok((&[(1, 2)], true)));
        check(marked, (1, 2), false, Ok((&[], true)));
    }

    #[test]
    fn a_cursor_of_an_older_epoch_sees_everything_newer() {
        let moved = || stream(&[(1, 1), (1, 2), (3, 1), (3, 2)], false);
        check(moved(), (1, 2), true, Ok((&[(3, 1), (3, 2)], false)));
        // A former owner had shown (2, 1); the new owner never saw it.
        check(moved(), (2, 1), true, Ok((&[(3, 1), (3, 2)], false)));
    }

    #[test]
    fn a_trimmed_cursor_is_a_gap() {
        let trimmed = || stream(&[(1, 977), (1, 978)], false);
        check(trimmed(), (1, 1), true, Err(Gap));
        check(
            trimmed(),
            (1, 976),
            true,
            Ok((&[(1, 977), (1, 978)], false)),
        );
    }

    #[test]
    fn an_event_that_is_missing_further_on_is_a_gap_too() {
        let lost = || stream(&[(1, 1), (1, 2), (1, 4), (1, 5)], true);
        check(lost(), (1, 1), false, Err(Gap));
        check(lost(), (1, 2), false, Err(Gap));
        check(lost(), (1, 4), false, Ok((&[(1, 5)], true)));
        // A newer epoch begins with its first event.
        check(stream(&[(1, 1), (2, 2)], false), (1, 1), true, Err(Gap));
    }

    #[test]
    fn a_stream_that_is_gone_or_was_withdrawn_is_a_gap() {
        check(stream(&[], false), (1, 1), false, Err(Gap));
        check(stream(&[(1, 1)], false), (1, 1), false, Err(Gap));
    }
}
