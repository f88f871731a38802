//! The way from the actor to one client connection: a queue with a bound in bytes.
//!
//! The actor never waits for a reader. One that is behind loses chatter (progress, logs) first. If
//! it takes nothing for a while, or its events alone grow beyond every measure, it is cut off, and
//! comes back with its cursor [SSE-14]. A burst by itself cuts nobody off: several answers may
//! become visible at once.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, task::AtomicWaker};
use ostler_types::Instant;
use parking_lot::Mutex;

use crate::stream::Place;

/// One thing for a client to see. `edge` gives it the form of an event stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where to resume after this; only stored events have one.
    pub id: Option<String>,
    /// A JSON-RPC message on one line; empty for priming events and bare `retry` hints.
    pub data: Bytes,
    /// How long to wait before resuming, should the stream end.
    pub retry: Option<Duration>,
}

/// What may be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chatter {
    Progress,
    Log,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    /// Chatter that found no room.
    Dropped,
    /// The reader was too slow and is cut off.
    Cut,
    /// Nobody reads here any more.
    Gone,
}

/// The actor's end.
pub(crate) struct Writer(Arc<Shared>);

/// The connection's end: yields frames, ends when the stream is complete, the reader was cut
/// off, or the session closed it. Dropping it ends nothing but the reading [CAN-2].
pub struct StreamReader(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    bounds: Bounds,
    /// Given when the reader leaves or has room again; shared by all readers of a session.
    nudge: Arc<Nudge>,
}

/// How much may wait for one reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// From here on it is behind: it gets no chatter, and must take something now and then.
    pub behind_bytes: usize,
    /// Here it is cut off, however fast it takes; one event may lie beyond.
    pub bytes_max: usize,
}

/// A reader that is behind is cut off when it takes nothing for so long, twice so at most.
/// Generous: one large answer takes a slow line a while, and it is taken as a whole.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(60);

/// Tells the actor to look at its readers: some reader left, or is behind no longer.
#[derive(Default)]
pub(crate) struct Nudge {
    given: AtomicBool,
    waker: AtomicWaker,
}

impl Nudge {
    pub fn give(&self) {
        self.given.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Ready once after it was given, however often.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Register first, look second: no nudge can fall in between.
        self.waker.register(cx.waker());
        match self.given.swap(false, Ordering::AcqRel) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Queued>,
    bytes: usize,
    /// The place of the newest event ever queued: a replay and a live event may overlap, and
    /// the reader sees each once.
    pushed: Option<Place>,
    /// The place of the last event the connection took.
    taken: Option<Place>,
    ended: bool,
    gone: bool,
    /// Since when the reader is behind and has taken nothing, as far as anybody looked.
    behind_since: Option<Instant>,
    waker: Option<Waker>,
}

struct Queued {
    frame: Frame,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Event(Place),
    Chatter(Chatter),
    Plain,
}

/// Progress is merged with the newest waiting one once this many frames wait [P-7].
const MERGE_FROM_LEN: usize = 32;
/// What a waiting frame costs beyond its data.
const FRAME_BYTES: usize = 128;

/// A queue that holds at most `bytes_max` of waiting frames, plus one event: the bound is
/// checked before an event is added, so that a large response can always be delivered.
pub(crate) fn pair(bounds: Bounds, nudge: &Arc<Nudge>) -> (Writer, StreamReader) {
    let shared = Arc::new(Shared {
        queue: Mutex::default(),
        bounds,
        nudge: nudge.clone(),
    });
    (Writer(shared.clone()), StreamReader(shared))
}

impl Writer {
    /// Queues a stored event, or cuts the reader off.
    pub fn event(&self, place: Place, frame: Frame) -> Pushed {
        self.push(frame, Kind::Event(place))
    }

    /// Queues what may be dropped.
    pub fn chatter(&self, chatter: Chatter, frame: Frame) -> Pushed {
        self.push(frame, Kind::Chatter(chatter))
    }

    /// Queues a message that is neither: a refusal that no stream could store. Its POST bounds it.
    pub fn plain(&self, frame: Frame) -> Pushed {
        self.push(frame, Kind::Plain)
    }

    /// No more frames; what waits is still delivered.
    pub fn end(&self) {
        self.with_queue(|queue| queue.ended = true);
    }

    /// Nobody reads here any more, or nobody may.
    pub fn is_done(&self) -> bool {
        let queue = self.0.queue.lock();
        queue.gone || queue.ended
    }

    /// Whether more waits for the reader than it should.
    pub fn is_behind(&self) -> bool {
        self.0.queue.lock().bytes >= self.0.bounds.behind_bytes
    }

    /// When a reader that is behind has taken nothing for too long, if it takes nothing until then.
    pub fn stalls_at(&self, now: Instant) -> Option<Instant> {
        let mut queue = self.0.queue.lock();
        let is_behind = queue.bytes >= self.0.bounds.behind_bytes;
        is_behind.then(|| *queue.behind_since.get_or_insert(now) + STALL_MAX)
    }

    /// Up to where the connection took events.
    pub fn taken(&self) -> Option<Place> {
        self.0.queue.lock().taken
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub fn waiting_bytes(&self) -> usize {
        self.0.queue.lock().bytes
    }

    fn push(&self, frame: Frame, kind: Kind) -> Pushed {
        let bounds = self.0.bounds;
        self.with_queue(|queue| match queue {
            Queue { gone: true, .. } | Queue { ended: true, .. } => Pushed::Gone,
            queue => match kind {
                Kind::Chatter(chatter) => queue.push_chatter(frame, chatter, bounds),
                Kind::Event(place) => queue.push_event(frame, place, bounds),
                Kind::Plain => queue.add(frame, kind),
            },
        })
    }

    fn with_queue<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let (result, waker) = {
            let mut queue = self.0.queue.lock();
            let result = change(&mut queue);
            (result, queue.waker.take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }
}

/// An actor that ends leaves no connection hanging; its client resumes.
impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Queue {
    fn push_event(&mut self, frame: Frame, place: Place, bounds: Bounds) -> Pushed {
        if self.pushed >= Some(place) {
            return Pushed::Queued;
        }
        self.pushed = Some(place);
        if self.bytes >= bounds.behind_bytes {
            self.drop_chatter();
        }
        if self.bytes >= bounds.bytes_max {
            self.ended = true;
            return Pushed::Cut;
        }
        self.add(frame, Kind::Event(place))
    }

    fn push_chatter(&mut self, frame: Frame, chatter: Chatter, bounds: Bounds) -> Pushed {
        let kind = Kind::Chatter(chatter);
        let full = self.bytes + cost(&frame) > bounds.behind_bytes;
        let crowded = full || self.frames.len() >= MERGE_FROM_LEN;
        if crowded && chatter == Chatter::Progress && self.replace_progress(&frame) {
            return Pushed::Queued;
        }
        if full {
            return Pushed::Dropped;
        }
        self.add(frame, kind)
    }

    /// The newest progress says all that the older said; only the last in line is replaced,
    /// so that order against logs and events stays.
    fn replace_progress(&mut self, frame: &Frame) -> bool {
        let is_progress = |last: &&mut Queued| last.kind == Kind::Chatter(Chatter::Progress);
        let Some(last) = self.frames.back_mut().filter(is_progress) else {
            return false;
        };
        self.bytes = self.bytes - cost(&last.frame) + cost(frame);
        last.frame = frame.clone();
        true
    }

    fn drop_chatter(&mut self) {
        let is_kept = |queued: &Queued| !matches!(queued.kind, Kind::Chatter(_));
        self.frames.retain(is_kept);
        self.bytes = self.frames.iter().map(|queued| cost(&queued.frame)).sum();
    }

    fn add(&mut self, frame: Frame, kind: Kind) -> Pushed {
        self.bytes += cost(&frame);
        self.frames.push_back(Queued { frame, kind });
        Pushed::Queued
    }

    fn take(&mut self) -> Option<Frame> {
        let Queued { frame, kind } = self.frames.pop_front()?;
        self.bytes -= cost(&frame);
        self.behind_since = None;
        match kind {
            Kind::Event(place) => self.taken = Some(place),
            Kind::Chatter(_) | Kind::Plain => {}
        }
        if self.frames.is_empty() {
            // A burst's buffer is not kept by a stream that may idle for hours.
            self.frames = VecDeque::new();
        }
        Some(frame)
    }
}

fn cost(frame: &Frame) -> usize {
    frame.data.len() + FRAME_BYTES
}

impl Shared {
    fn take(&self, queue: &mut Queue) -> Option<Frame> {
        let was_behind = queue.bytes >= self.bounds.behind_bytes;
        let frame = queue.take()?;
        if was_behind && queue.bytes < self.bounds.behind_bytes {
            self.nudge.give();
        }
        Some(frame)
    }
}

impl StreamReader {
    /// A frame that is there already, for tests and for callers that batch.
    pub fn try_next(&mut self) -> Option<Frame> {
        self.0.take(&mut self.0.queue.lock())
    }
}

impl Stream for StreamReader {
    type Item = Frame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        let mut queue = self.0.queue.lock();
        if let Some(frame) = self.0.take(&mut queue) {
            return Poll::Ready(Some(frame));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        match &mut queue.waker {
            Some(known) => known.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        let dropped = {
            let mut queue = self.0.queue.lock();
            queue.gone = true;
            queue.bytes = 0;
            std::mem::take(&mut queue.frames)
        };
        drop(dropped);
        self.0.nudge.give();
    }
}

impl std::fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamReader")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Frame {
        Frame {
            id: None,
            data: Bytes::from(vec![b'x'; bytes]),
            retry: None,
        }
    }

    fn place(seq: u64) -> Place {
        Place { epoch: 1, seq }
    }

    fn channel(behind_bytes: usize) -> (Writer, StreamReader) {
        let bytes_max = 2 * behind_bytes;
        let bounds = Bounds {
            behind_bytes,
            bytes_max,
        };
        pair(bounds, &Arc::default())
    }

    fn lengths(reader: &mut StreamReader) -> Vec<usize> {
        std::iter::from_fn(|| reader.try_next())
            .map(|frame| frame.data.len())
            .collect()
    }

    #[test]
    fn chatter_goes_first_and_events_stay() {
        let (writer, mut reader) = channel(1_000);
        assert_eq!(writer.event(place(1), frame(300)), Pushed::Queued);
        assert_eq!(writer.chatter(Chatter::Log, frame(301)), Pushed::Queued);
        assert_eq!(writer.chatter(Chatter::Log, frame(302)), Pushed::Dropped);
        assert_eq!(writer.event(place(2), frame(303)), Pushed::Queued);
        assert_eq!(writer.event(place(3), frame(304)), Pushed::Queued);
        assert_eq!(lengths(&mut reader), [300, 303, 304]);
    }

    #[test]
    fn a_reader_too_slow_for_stored_events_is_cut_after_what_it_has() {
        let (writer, mut reader) = channel(250);
        assert_eq!(writer.event(place(1), frame(400)), Pushed::Queued);
        assert_eq!(writer.event(place(2), frame(1)), Pushed::Cut);
        assert_eq!(writer.event(place(3), frame(1)), Pushed::Gone);
        assert_eq!(lengths(&mut reader), [400]);
        assert_eq!(writer.taken(), Some(place(1)));
    }

    #[test]
    fn a_reader_that_is_behind_stalls_unless_it_takes_something() {
        let (writer, mut reader) = channel(500);
        let (start, second) = (Instant(0), Duration::from_secs(1));
        writer.event(place(1), frame(100));
        assert_eq!(writer.stalls_at(start), None);
        writer.event(place(2), frame(400));
        assert!(writer.is_behind());
        assert_eq!(writer.stalls_at(start), Some(start + STALL_MAX));
        assert_eq!(writer.stalls_at(start + second), Some(start + STALL_MAX));
        reader.try_next();
        let later = start + second;
        assert_eq!(writer.stalls_at(later), Some(later + STALL_MAX));
        reader.try_next();
        assert_eq!(writer.stalls_at(later), None);
    }

    #[tokio::test]
    async fn a_reader_that_has_caught_up_is_noticed() {
        let nudge = Arc::<Nudge>::default();
        let (behind_bytes, bytes_max) = (500, 1_000);
        let bounds = Bounds {
            behind_bytes,
            bytes_max,
        };
        let (writer, mut reader) = pair(bounds, &nudge);
        writer.event(place(1), frame(600));
        reader.try_next();
        std::future::poll_fn(|cx| nudge.poll(cx)).await;
        assert!(!writer.is_behind());
    }

    #[test]
    fn an_event_that_is_replayed_and_live_is_seen_once() {
        let (writer, mut reader) = channel(1_000);
        writer.event(place(1), frame(1));
        writer.event(place(2), frame(2));
        writer.event(place(2), frame(2));
        writer.event(place(3), frame(3));
        assert_eq!(lengths(&mut reader), [1, 2, 3]);
    }

    #[test]
    fn a_response_larger_than_the_bound_fits_behind_small_events() {
        let (writer, mut reader) = channel(1_000);
        writer.event(place(1), frame(0));
        assert_eq!(writer.event(place(2), frame(100_000)), Pushed::Queued);
        assert_eq!(lengths(&mut reader), [0, 100_000]);
    }

    #[test]
    fn a_flood_of_progress_leaves_the_newest_one() {
        let (writer, mut reader) = channel(64 << 10);
        for bytes in 0..10_000 {
            writer.chatter(Chatter::Progress, frame(bytes % 100));
            assert!(writer.waiting_bytes() <= 64 << 10);
        }
        let seen = lengths(&mut reader);
        assert!(seen.len() <= MERGE_FROM_LEN, "{}", seen.len());
        assert_eq!(seen.last(), Some(&99));
        assert_eq!(writer.waiting_bytes(), 0);
    }

    #[tokio::test]
    async fn a_reader_that_leaves_is_noticed_and_fed_no_more() {
        let nudge = Arc::<Nudge>::default();
        let (behind_bytes, bytes_max) = (1_000, 1_000);
        let bounds = Bounds {
            behind_bytes,
            bytes_max,
        };
        let (writer, reader) = pair(bounds, &nudge);
        drop(reader);
        std::future::poll_fn(|cx| nudge.poll(cx)).await;
        assert!(writer.is_done());
        assert_eq!(writer.event(place(1), frame(1)), Pushed::Gone);
    }

    #[tokio::test]
    async fn a_stream_ends_after_its_last_frame_when_its_writer_is_dropped() {
        use futures_util::StreamExt;
        let (writer, reader) = channel(1_000);
        writer.event(place(1), frame(7));
        drop(writer);
        let seen: Vec<_> = reader.map(|frame| frame.data.len()).collect().await;
        assert_eq!(seen, [7]);
    }
}
