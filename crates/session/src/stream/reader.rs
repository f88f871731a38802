//! The way from the actor to one client connection: a queue with a bound in bytes.
//!
//! The actor never waits for a reader. Chatter (progress, logs) is dropped first; if stored
//! events alone fill the queue the reader is cut off, and comes back with its cursor [SSE-14].

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
    bytes_max: usize,
    /// Told when the reader leaves; shared by all readers of a session.
    departures: Arc<Departures>,
}

/// Tells the actor that some reader left.
#[derive(Default)]
pub(crate) struct Departures {
    left: AtomicBool,
    waker: AtomicWaker,
}

impl Departures {
    pub fn tell(&self) {
        self.left.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Ready once after one or more readers left.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Register first, look second: no departure can fall in between.
        self.waker.register(cx.waker());
        match self.left.swap(false, Ordering::AcqRel) {
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
pub(crate) fn pair(bytes_max: usize, departures: &Arc<Departures>) -> (Writer, StreamReader) {
    let shared = Arc::new(Shared {
        queue: Mutex::default(),
        bytes_max,
        departures: departures.clone(),
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

    /// Queues a message that is neither: a refusal that no stream could store.
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
        let bytes_max = self.0.bytes_max;
        self.with_queue(|queue| match queue {
            Queue { gone: true, .. } | Queue { ended: true, .. } => Pushed::Gone,
            queue => match kind {
                Kind::Chatter(chatter) => queue.push_chatter(frame, chatter, bytes_max),
                Kind::Event(_) | Kind::Plain => queue.push_event(frame, kind, bytes_max),
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
    fn push_event(&mut self, frame: Frame, kind: Kind, bytes_max: usize) -> Pushed {
        if let Kind::Event(place) = kind {
            if self.pushed >= Some(place) {
                return Pushed::Queued;
            }
            self.pushed = Some(place);
        }
        if self.bytes >= bytes_max {
            self.drop_chatter();
        }
        if self.bytes >= bytes_max {
            self.ended = true;
            return Pushed::Cut;
        }
        self.add(frame, kind);
        Pushed::Queued
    }

    fn push_chatter(&mut self, frame: Frame, chatter: Chatter, bytes_max: usize) -> Pushed {
        let kind = Kind::Chatter(chatter);
        let full = self.bytes + cost(&frame) > bytes_max;
        let crowded = full || self.frames.len() >= MERGE_FROM_LEN;
        if crowded && chatter == Chatter::Progress && self.replace_progress(&frame) {
            return Pushed::Queued;
        }
        if full {
            return Pushed::Dropped;
        }
        self.add(frame, kind);
        Pushed::Queued
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

    fn add(&mut self, frame: Frame, kind: Kind) {
        self.bytes += cost(&frame);
        self.frames.push_back(Queued { frame, kind });
    }

    fn take(&mut self) -> Option<Frame> {
        let Queued { frame, kind } = self.frames.pop_front()?;
        self.bytes -= cost(&frame);
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

impl StreamReader {
    /// A frame that is there already, for tests and for callers that batch.
    pub fn try_next(&mut self) -> Option<Frame> {
        self.0.queue.lock().take()
    }
}

impl Stream for StreamReader {
    type Item = Frame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        let mut queue = self.0.queue.lock();
        if let Some(frame) = queue.take() {
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
        self.0.departures.tell();
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

    fn channel(bytes_max: usize) -> (Writer, StreamReader) {
        pair(bytes_max, &Arc::default())
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
        let (writer, mut reader) = channel(500);
        assert_eq!(writer.event(place(1), frame(400)), Pushed::Queued);
        assert_eq!(writer.event(place(2), frame(1)), Pushed::Cut);
        assert_eq!(writer.event(place(3), frame(1)), Pushed::Gone);
        assert_eq!(lengths(&mut reader), [400]);
        assert_eq!(writer.taken(), Some(place(1)));
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
        let departures = Arc::<Departures>::default();
        let (writer, reader) = pair(1_000, &departures);
        drop(reader);
        std::future::poll_fn(|cx| departures.poll(cx)).await;
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
