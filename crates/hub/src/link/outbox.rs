//! What leaves for a worker: the lanes, guarded, and the stream that tonic reads them from.
//!
//! Lock order: this one, then a slot's. Nothing holds a slot's lock while it comes here.

use std::{
    pin::Pin,
    slice,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures_util::Stream;
use ostler_protocol::call::Answer;
use ostler_rpc::{
    FRAME_BYTES_MAX,
    convert::Writer,
    frame::Frame as _,
    lanes::Lanes,
    transfer::TransferNumbers,
    worker_v1::{self as wire, ToWorker, to_worker::Frame},
};
use ostler_types::CallId;
use parking_lot::{Mutex, MutexGuard};
use tonic::Status;

use crate::{
    config::Config,
    slot::{Orders, Position, Slot},
    watch,
};

pub(crate) struct Outbox {
    link: u64,
    numbers: TransferNumbers,
    waiting_bytes_max: usize,
    control_len_max: usize,
    control_bytes_max: usize,
    state: Mutex<State>,
}

struct State {
    lanes: Lanes<ToWorker, Data>,
    /// Nothing leaves before `Welcome`.
    welcomed: bool,
    /// Bytes the worker has taken in.
    taken: u64,
    closed: Option<Closed>,
    /// Whoever sends what waits here.
    sender: Option<Waker>,
    /// Whoever must know that it is closed.
    watcher: Option<Waker>,
}

/// What a data frame belongs to.
enum Data {
    Call(Arc<Slot>),
    /// The answers with these numbers.
    Answers(Arc<Slot>, Vec<u64>),
}

struct Closed {
    why: Why,
    /// For the worker, once.
    status: Option<Status>,
}

/// Who closed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The transport dropped the stream.
    Dropped,
    /// The worker does not read what needs no credit.
    Stalled,
    /// The hub, which knows why.
    Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSent {
    Closed,
    Full,
    /// No frame can hold it.
    TooLarge,
}

/// `Recorded` frames name up to so many calls.
const RECORDED_LEN_MAX: usize = 256;

impl Outbox {
    pub fn new(link: u64, capacity: u32, config: &Config) -> Outbox {
        let lanes = Lanes::new(config.unacknowledged_bytes_max);
        let state = State {
            lanes,
            welcomed: false,
            taken: 0,
            closed: None,
            sender: None,
            watcher: None,
        };
        Outbox {
            link,
            numbers: TransferNumbers::default(),
            waiting_bytes_max: config.waiting_bytes_max,
            // Keep, cancel, recorded and forget for each call, and as many watches.
            control_len_max: 4 * capacity as usize + 2 * config.watches_max,
            control_bytes_max: config.control_bytes_max
                + config.watches_max * watch::URI_BYTES_AVERAGE_MAX,
            state: Mutex::new(state),
        }
    }

    /// Lets frames leave, this one first.
    pub fn welcome(&self, welcome: wire::Welcome) {
        let mut state = self.state.lock();
        let waiting: Vec<_> = std::iter::from_fn(|| state.lanes.pop_control()).collect();
        state.lanes.push_control(Frame::Welcome(welcome).into());
        waiting
            .into_iter()
            .for_each(|frame| state.lanes.push_control(frame));
        state.welcomed = true;
        wake_sender(state);
    }

    /// A frame that overtakes all calls. A closed outbox drops it: what matters of it is sent
    /// again on the next link.
    pub fn control(&self, frame: Frame) {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return;
        }
        let lanes = &state.lanes;
        if lanes.control_len() >= self.control_len_max
            || lanes.control_bytes() >= self.control_bytes_max
        {
            let status = Status::resource_exhausted("the worker does not read its link");
            return state.close(Why::Stalled, Some(status));
        }
        state.lanes.push_control(frame.into());
        wake_sender(state);
    }

    /// `Recorded`, together with those that still wait.
    pub fn recorded(&self, call: CallId) {
        let mut state = self.state.lock();
        let added = state.lanes.edit_last_control(|it| match &mut it.frame {
            Some(Frame::Recorded(recorded)) if recorded.calls.len() < RECORDED_LEN_MAX => {
                recorded.calls.push(call.into());
                true
            }
            _ => false,
        });
        if added {
            return;
        }
        drop(state);
        let calls = vec![call.into()];
        self.control(Frame::Recorded(wire::Recorded { calls }));
    }

    /// Of those that wait only the latest of each Server is kept.
    pub fn catalog_taken(&self, taken: wire::CatalogTaken) {
        let mut state = self.state.lock();
        let server = taken.server;
        let is_older = |it: &ToWorker| matches!(&it.frame, Some(Frame::CatalogTaken(it)) if it.server == server);
        state.lanes.drop_control(is_older);
        drop(state);
        self.control(Frame::CatalogTaken(taken));
    }

    /// A call, whose arguments and known answers are written by `write`.
    pub fn call(
        &self,
        slot: &Arc<Slot>,
        write: impl FnOnce(&mut Writer<'_>) -> wire::Call,
    ) -> Result<(), NotSent> {
        let mut writer = Writer::new(&self.numbers);
        let frame: ToWorker = Frame::Call(write(&mut writer)).into();
        if frame.cost() > FRAME_BYTES_MAX {
            return Err(NotSent::TooLarge);
        }
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return Err(NotSent::Closed);
        }
        if state.lanes.waiting_bytes() >= self.waiting_bytes_max {
            return Err(NotSent::Full);
        }
        let tag = Data::Call(slot.clone());
        state.lanes.push_data(frame, writer.into_transfers(), tag);
        wake_sender(state);
        Ok(())
    }

    /// Answers are never refused; who may answer how much is decided where questions are let in.
    /// Those that do not fit into one frame together go one by one, and what fits into none is
    /// left out: no worker asks with such a key.
    pub fn answers(&self, slot: &Arc<Slot>, answers: &[Answer], numbers: &[u64]) {
        if self.answers_frame(slot, answers, numbers) {
            return;
        }
        for (answer, number) in answers.iter().zip(numbers) {
            self.answers_frame(slot, slice::from_ref(answer), slice::from_ref(number));
        }
    }

    /// False if no frame can hold them.
    fn answers_frame(&self, slot: &Arc<Slot>, answers: &[Answer], numbers: &[u64]) -> bool {
        let mut writer = Writer::new(&self.numbers);
        let answers = wire::Answers {
            call: Some(slot.call.into()),
            answers: writer.answers(answers),
        };
        let frame: ToWorker = Frame::Answers(answers).into();
        if frame.cost() > FRAME_BYTES_MAX {
            return false;
        }
        let mut state = self.state.lock();
        if state.closed.is_none() {
            let tag = Data::Answers(slot.clone(), numbers.to_vec());
            state.lanes.push_data(frame, writer.into_transfers(), tag);
            wake_sender(state);
        }
        true
    }

    /// Sends what a worker must be told about a call.
    pub fn orders(&self, slot: &Arc<Slot>, orders: Orders) {
        for frame in order_frames(slot.call, &orders) {
            self.control(frame);
        }
        if !orders.answers.is_empty() {
            self.answers(slot, &orders.answers, &orders.numbers);
        }
    }

    /// The worker took in so many bytes.
    pub fn consumed(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.taken = state.taken.saturating_add(bytes);
        state
            .lanes
            .allow(usize::try_from(bytes).unwrap_or(usize::MAX));
        wake_sender(state);
    }

    /// How far the worker has taken in what was sent.
    pub fn taken(&self) -> Position {
        Position {
            link: self.link,
            bytes: self.state.lock().taken,
        }
    }

    pub fn is_closed(&self) -> bool {
        self.state.lock().closed.is_some()
    }

    pub fn close(&self, why: Why, status: Option<Status>) {
        self.state.lock().close(why, status);
    }

    /// Takes a call back if nothing of it has left.
    pub fn take_back(&self, slot: &Arc<Slot>) -> bool {
        let mine = |data: &Data| matches!(data, Data::Call(it) if Arc::ptr_eq(it, slot));
        !self.state.lock().lanes.take_unsent(mine).is_empty()
    }

    /// Calls whose frame never left as a whole. Nothing leaves after this.
    pub fn take_unsent(&self) -> Vec<Arc<Slot>> {
        let mut state = self.state.lock();
        state.close(Why::Told, None);
        let unsent = state.lanes.take_all();
        let call = |data| match data {
            Data::Call(slot) => Some(slot),
            Data::Answers(..) => None,
        };
        unsent.into_iter().filter_map(call).collect()
    }

    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Why> {
        let mut state = self.state.lock();
        if let Some(closed) = &state.closed {
            return Poll::Ready(closed.why);
        }
        match &mut state.watcher {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<ToWorker, Status>>> {
        let mut state = self.state.lock();
        if let Some(closed) = &mut state.closed {
            return Poll::Ready(closed.status.take().map(Err));
        }
        if let Some(frame) = state.welcomed.then(|| state.pop(self.link)).flatten() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match &mut state.sender {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl State {
    fn pop(&mut self, link: u64) -> Option<ToWorker> {
        let leaving = self.lanes.pop()?;
        match leaving.tag {
            None => {}
            Some(Data::Call(slot)) => {
                for frame in order_frames(slot.call, &slot.hand()) {
                    self.lanes.push_control(frame.into());
                }
            }
            Some(Data::Answers(slot, numbers)) => {
                let bytes = self.lanes.sent_bytes();
                slot.answers_left(&numbers, Position { link, bytes });
            }
        }
        Some(leaving.frame)
    }

    fn close(&mut self, why: Why, status: Option<Status>) {
        if self.closed.is_none() {
            self.closed = Some(Closed { why, status });
        }
        let wakers = [self.sender.take(), self.watcher.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

fn wake_sender(mut state: MutexGuard<'_, State>) {
    let waker = state.sender.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn order_frames(call: CallId, orders: &Orders) -> impl Iterator<Item = Frame> {
    let call = Some(call.into());
    let keep = orders.keep.then(|| Frame::Keep(wire::Keep { call }));
    let reason = orders.cancel.clone();
    let cancel = reason.map(|reason| Frame::Cancel(wire::Cancel { call, reason }));
    keep.into_iter().chain(cancel)
}

/// The response stream of one link.
pub struct Outbound(Arc<super::Link>);

impl Outbound {
    pub(crate) fn new(link: Arc<super::Link>) -> Self {
        Self(link)
    }
}

impl Stream for Outbound {
    type Item = Result<ToWorker, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.outbox.poll_frame(cx)
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.0.outbox.close(Why::Dropped, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_word_on_each_catalog_waits() {
        let outbox = Outbox::new(1, 1, &Config::default());
        let taken = |server, refusals: usize| wire::CatalogTaken {
            server,
            refusals: vec![wire::EntryRefusal::default(); refusals],
        };
        for refusals in 0..100 {
            outbox.catalog_taken(taken(0, refusals));
            outbox.catalog_taken(taken(1, 0));
        }
        let mut state = outbox.state.lock();
        assert_eq!(state.lanes.control_len(), 2);
        let first = state.lanes.pop_control().and_then(|it| it.frame);
        assert_eq!(first, Some(Frame::CatalogTaken(taken(0, 99))));
    }

    #[test]
    fn recorded_calls_share_a_frame_as_long_as_it_waits() {
        let outbox = Outbox::new(1, 1, &Config::default());
        for call in 0..RECORDED_LEN_MAX as u128 + 1 {
            outbox.recorded(CallId(call));
        }
        let mut state = outbox.state.lock();
        let lengths = std::iter::from_fn(|| state.lanes.pop_control()).map(|it| match it.frame {
            Some(Frame::Recorded(recorded)) => recorded.calls.len(),
            other => panic!("{other:?} was not pushed"),
        });
        assert_eq!(lengths.collect::<Vec<_>>(), [RECORDED_LEN_MAX, 1]);
    }

    #[test]
    fn a_worker_that_does_not_read_its_control_frames_is_given_up_at_a_bound_in_bytes() {
        let config = Config {
            control_bytes_max: 64 << 10,
            watches_max: 0,
            ..Config::default()
        };
        let outbox = Outbox::new(1, 1_000, &config);
        let watch = || {
            let uri = "x".repeat(16 << 10);
            Frame::Watch(wire::Watch { server: 0, uri })
        };
        (0..4).for_each(|_| outbox.control(watch()));
        assert!(!outbox.is_closed());
        outbox.control(watch());
        assert!(outbox.is_closed());
    }
}
