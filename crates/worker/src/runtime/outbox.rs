//! What waits to leave on one link.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use ostler_rpc::{
    convert::Writer,
    frame::Frame,
    lanes::Lanes,
    transfer::TransferNumbers,
    worker_v1::{FromWorker, from_worker},
};
use parking_lot::Mutex;
use tokio_stream::Stream;

/// Chatter is dropped while more than this waits: what comes later says more.
const CHATTER_BYTES_MAX: usize = 64 << 10;

/// Frames that wait, besides what calls have to say: a node that takes answers never has as many.
const WAITING_LEN_MAX: usize = 10_000;

/// Frames of one call that wait, at most: it started, is kept, asks, became a task, ended.
const FRAMES_PER_CALL: usize = 8;

/// The room of a link before its node said how much there is; the smallest allowed.
const ROOM_MIN: usize = 512 << 10;

/// The sending half of a link. Bounded: chatter is dropped when much waits, and outcomes count
/// against what the worker holds.
pub(crate) struct Outbox {
    numbers: TransferNumbers,
    state: Mutex<State>,
}

struct State {
    lanes: Lanes<FromWorker, ()>,
    /// Calls of earlier links whose news all goes out at the beginning of this one.
    adrift_len: usize,
    /// Ends the stream once all has left.
    closed: bool,
    waker: Option<Waker>,
}

impl Outbox {
    pub fn new() -> Arc<Self> {
        let state = State {
            lanes: Lanes::new(ROOM_MIN),
            adrift_len: 0,
            closed: false,
            waker: None,
        };
        Arc::new(Self {
            numbers: TransferNumbers::default(),
            state: Mutex::new(state),
        })
    }

    /// The node said how many bytes may be out. Nothing but control has left before. The link
    /// carries `adrift_len` calls of earlier ones from here on.
    pub fn welcomed(&self, byte_credit: u64, adrift_len: usize) {
        let room = usize::try_from(byte_credit).unwrap_or(usize::MAX);
        self.update(|state| {
            state.lanes = Lanes::new(room.max(ROOM_MIN));
            state.adrift_len = adrift_len;
        });
    }

    /// A frame that flow control does not count; it overtakes data.
    pub fn control(&self, frame: from_worker::Frame) {
        self.update(|state| state.lanes.push_control(frame.into()));
    }

    /// `write` packs the payloads of one `Hello`, whose parts go ahead uncounted.
    pub fn hello(&self, write: impl FnOnce(&mut Writer<'_>) -> from_worker::Frame) {
        let mut writer = Writer::new(&self.numbers);
        let frame = write(&mut writer);
        let transfers = writer.into_transfers();
        self.update(|state| {
            for mut transfer in transfers {
                while let Some(part) = transfer.next_part() {
                    state.lanes.push_control(FromWorker::of_part(part));
                }
            }
            state.lanes.push_control(frame.into());
        });
    }

    /// `write` packs the payloads of one frame.
    pub fn send(&self, write: impl FnOnce(&mut Writer<'_>) -> from_worker::Frame) {
        let mut writer = Writer::new(&self.numbers);
        let frame = write(&mut writer);
        let transfers = writer.into_transfers();
        self.update(|state| state.lanes.push_data(frame.into(), transfers, ()));
    }

    /// Whether chatter would have to wait, and so is dropped.
    pub fn is_busy(&self) -> bool {
        self.waiting_bytes() > CHATTER_BYTES_MAX
    }

    /// Bytes that wait for the node to take them.
    pub fn waiting_bytes(&self) -> usize {
        self.state.lock().lanes.waiting_bytes()
    }

    /// Whether the node goes on talking and takes no answers. `capacity` is of the worker.
    pub fn is_stuck(&self, capacity: u32) -> bool {
        let state = self.state.lock();
        let waiting_len = state.lanes.control_len() + state.lanes.small_len();
        let of_calls = FRAMES_PER_CALL * capacity as usize + state.adrift_len;
        waiting_len > WAITING_LEN_MAX + of_calls
    }

    pub fn grant(&self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.update(|state| state.lanes.allow(bytes));
    }

    /// Sends what waits, then ends the stream.
    pub fn close(&self) {
        self.update(|state| state.closed = true);
    }

    /// Ends the stream at once: the link is lost, and what waits cannot leave any more. Without
    /// this the transport would go on asking an outbox that nobody fills.
    fn abandon(&self) {
        self.update(|state| {
            state.lanes = Lanes::new(ROOM_MIN);
            state.closed = true;
        });
    }

    fn update(&self, edit: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.state.lock();
            edit(&mut state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<FromWorker>> {
        let mut state = self.state.lock();
        if let Some(leaving) = state.lanes.pop() {
            return Poll::Ready(Some(leaving.frame));
        }
        if state.closed && state.lanes.is_empty() {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Whoever holds this keeps the outbox's stream open.
pub(crate) struct Lifeline(pub Arc<Outbox>);

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// The frames of an outbox as the body of a request.
pub(crate) struct Outgoing(pub Arc<Outbox>);

impl Stream for Outgoing {
    type Item = FromWorker;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FromWorker>> {
        self.0.poll_next(cx)
    }
}
