//! A bounded queue with two lanes: control overtakes data.
//!
//! One mutex around two deques, not two channels of a library: an idle mailbox then owns no
//! buffer at all, and there is one waker to think about.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use ostler_env::Env;
use ostler_types::Instant;

/// What lies in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<C, D> {
    /// Stop, cancel, lease, probe: what must not wait behind data.
    Control(C),
    /// Everything else.
    Data(D),
}

/// What could not be delivered comes back to its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent<T> {
    /// The lane is at its bound (or still was at the sender's deadline).
    Full(T),
    /// The actor is gone, or takes no more.
    Closed(T),
}

impl<T> NotSent<T> {
    /// The item itself.
    pub fn into_inner(self) -> T {
        match self {
            NotSent::Full(item) | NotSent::Closed(item) => item,
        }
    }
}

/// Why a question to an actor has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskError {
    /// There was no room for the question before the deadline.
    Full,
    /// The actor is gone, or ended without answering.
    Closed,
    /// The question was delivered; the answer did not come in time.
    Deadline,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AskError::Full => "the actor's mailbox is full",
            AskError::Closed => "the actor is gone",
            AskError::Deadline => "the actor did not answer in time",
        })
    }
}

impl std::error::Error for AskError {}

/// Where an actor puts its answer. Answering never waits; an asker that left is no error.
#[derive(Debug)]
pub struct Reply<R>(oneshot::Sender<R>);

impl<R> Reply<R> {
    /// A reply port and the end that waits for it.
    pub fn new() -> (Reply<R>, oneshot::Receiver<R>) {
        let (tx, rx) = oneshot::channel();
        (Reply(tx), rx)
    }

    /// Answers.
    pub fn send(self, answer: R) {
        // The asker may have given up; its answer is of no use to anybody else.
        drop(self.0.send(answer));
    }

    /// Whether the asker has given up.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// The sending end. Cloning is cheap. When the last one is dropped, the mailbox ends.
pub struct Address<C, D>(Arc<Shared<C, D>>);

/// The receiving end. Dropping it drops what lies in it, and with it every reply port.
pub struct Mailbox<C, D>(Arc<Shared<C, D>>);

struct Shared<C, D> {
    lanes: Mutex<Lanes<C, D>>,
    /// Free places of the data lane, handed out in the order of asking.
    room: Semaphore,
    addresses: AtomicUsize,
}

struct Lanes<C, D> {
    control: VecDeque<C>,
    control_len_max: usize,
    data: VecDeque<D>,
    open: bool,
    waker: Option<Waker>,
}

/// A mailbox whose lanes hold at most so many items each.
pub fn mailbox<C, D>(
    control_len_max: usize,
    data_len_max: usize,
) -> (Address<C, D>, Mailbox<C, D>) {
    assert!(control_len_max > 0 && data_len_max > 0, "a lane has room");
    let lanes = Lanes {
        control: VecDeque::new(),
        control_len_max,
        data: VecDeque::new(),
        open: true,
        waker: None,
    };
    let shared = Arc::new(Shared {
        lanes: Mutex::new(lanes),
        room: Semaphore::new(data_len_max),
        addresses: AtomicUsize::new(1),
    });
    (Address(shared.clone()), Mailbox(shared))
}

impl<C, D> Address<C, D> {
    /// Puts an item into the data lane if there is room. Never waits.
    pub fn tell(&self, item: D) -> Result<(), NotSent<D>> {
        match self.0.room.try_acquire() {
            Ok(place) => {
                place.forget();
                self.push_data(item)
            }
            Err(tokio::sync::TryAcquireError::NoPermits) => Err(NotSent::Full(item)),
            Err(tokio::sync::TryAcquireError::Closed) => Err(NotSent::Closed(item)),
        }
    }

    /// Puts an item into the data lane, waiting for room until `deadline`.
    // Cancel safe: dropped before its end, the item was not sent.
    pub async fn send(&self, env: &Env, item: D, deadline: Instant) -> Result<(), NotSent<D>> {
        if let Ok(place) = self.0.room.try_acquire() {
            place.forget();
            return self.push_data(item);
        }
        match env.until(deadline, self.0.room.acquire()).await {
            Some(Ok(place)) => place.forget(),
            Some(Err(_)) => return Err(NotSent::Closed(item)),
            None => return Err(NotSent::Full(item)),
        }
        self.push_data(item)
    }

    /// Sends a question and waits for its answer, both until `deadline`.
    // Cancel safe, but the actor may have got the question.
    pub async fn ask<R>(
        &self,
        env: &Env,
        deadline: Instant,
        question: impl FnOnce(Reply<R>) -> D,
    ) -> Result<R, AskError> {
        let (reply, answer) = Reply::new();
        match self.send(env, question(reply), deadline).await {
            Ok(()) => {}
            Err(NotSent::Full(_)) => return Err(AskError::Full),
            Err(NotSent::Closed(_)) => return Err(AskError::Closed),
        }
        match env.until(deadline, answer).await {
            Some(answer) => answer.map_err(|_| AskError::Closed),
            None => Err(AskError::Deadline),
        }
    }

    /// Puts an item into the control lane, which the actor reads first. Never waits.
    pub fn control(&self, item: C) -> Result<(), NotSent<C>> {
        let waker = {
            let mut lanes = self.0.lanes.lock();
            if !lanes.open {
                return Err(NotSent::Closed(item));
            }
            if lanes.control.len() >= lanes.control_len_max {
                return Err(NotSent::Full(item));
            }
            lanes.control.push_back(item);
            lanes.waker.take()
        };
        wake(waker);
        Ok(())
    }

    /// Whether the actor is gone or takes no more.
    pub fn is_closed(&self) -> bool {
        !self.0.lanes.lock().open
    }

    /// The caller owns one place of the lane.
    fn push_data(&self, item: D) -> Result<(), NotSent<D>> {
        let waker = {
            let mut lanes = self.0.lanes.lock();
            if !lanes.open {
                return Err(NotSent::Closed(item));
            }
            lanes.data.push_back(item);
            lanes.waker.take()
        };
        wake(waker);
        Ok(())
    }
}

impl<C, D> Clone for Address<C, D> {
    fn clone(&self) -> Self {
        self.0.addresses.fetch_add(1, Ordering::Relaxed);
        Address(self.0.clone())
    }
}

impl<C, D> Drop for Address<C, D> {
    fn drop(&mut self) {
        if self.0.addresses.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waker = self.0.lanes.lock().waker.take();
            wake(waker);
        }
    }
}

impl<C, D> fmt::Debug for Address<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address")
    }
}

impl<C, D> Mailbox<C, D> {
    /// The next item, control first; `None` once nobody can send any more and all is read.
    // Cancel safe: an item leaves the queue only in the poll that returns it.
    pub async fn next(&mut self) -> Option<Item<C, D>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Mailbox::next`] for hand-written polls.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item<C, D>>> {
        let item = {
            let mut lanes = self.0.lanes.lock();
            let item = lanes.pop();
            if item.is_none() && lanes.open && self.0.addresses.load(Ordering::Acquire) > 0 {
                lanes.rest(cx.waker());
                return Poll::Pending;
            }
            item
        };
        self.free_place(&item);
        Poll::Ready(item)
    }

    /// The next of the control lane alone, while the actor can take no data; `None` once nobody
    /// can send any more.
    pub fn poll_control(&mut self, cx: &mut Context<'_>) -> Poll<Option<C>> {
        let mut lanes = self.0.lanes.lock();
        let control = lanes.control.pop_front();
        if control.is_none() && lanes.open && self.0.addresses.load(Ordering::Acquire) > 0 {
            lanes.rest(cx.waker());
            return Poll::Pending;
        }
        Poll::Ready(control)
    }

    /// The next item if there is one now: to drain what gathered into one turn.
    pub fn try_next(&mut self) -> Option<Item<C, D>> {
        let item = self.0.lanes.lock().pop();
        self.free_place(&item);
        item
    }

    /// Takes no more. What lies in the mailbox can still be read.
    pub fn close(&mut self) {
        self.0.lanes.lock().open = false;
        self.0.room.close();
    }

    /// Whether nothing lies in either lane.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Items in both lanes.
    pub fn len(&self) -> usize {
        let lanes = self.0.lanes.lock();
        lanes.control.len() + lanes.data.len()
    }

    fn free_place(&self, item: &Option<Item<C, D>>) {
        if let Some(Item::Data(_)) = item {
            self.0.room.add_permits(1);
        }
    }
}

impl<C, D> Drop for Mailbox<C, D> {
    fn drop(&mut self) {
        self.close();
        let (control, data) = {
            let mut lanes = self.0.lanes.lock();
            (
                std::mem::take(&mut lanes.control),
                std::mem::take(&mut lanes.data),
            )
        };
        // Outside the lock: an item's destructor may use an address of this mailbox.
        drop((control, data));
    }
}

impl<C, D> Lanes<C, D> {
    fn pop(&mut self) -> Option<Item<C, D>> {
        let control = self.control.pop_front().map(Item::Control);
        control.or_else(|| self.data.pop_front().map(Item::Data))
    }

    /// Nothing to do now: remember whom to wake, and give a burst's buffers back.
    fn rest(&mut self, waker: &Waker) {
        const KEPT_LEN: usize = 4;
        if self.control.capacity() > KEPT_LEN {
            self.control = VecDeque::new();
        }
        if self.data.is_empty() && self.data.capacity() > KEPT_LEN {
            self.data = VecDeque::new();
        }
        match &mut self.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// What an idle mailbox takes.
#[cfg(test)]
pub(crate) fn bytes_idle() -> usize {
    size_of::<Shared<(), ()>>()
}

#[cfg(test)]
mod tests;
