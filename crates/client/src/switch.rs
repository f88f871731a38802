//! A channel that several requests share, and an inbox for each of them.

mod ghosts;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use ostler_env::Env;
use ostler_protocol::RequestId;
use ostler_types::Instant;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::{error::Error, message::Message, pace::Pace};

use state::{Effect, Input, State};

pub(crate) use state::{Flight, Item, Part, RELATED_TASK, TOO_MUCH};

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Switch(Arc<Shared>);

struct Shared {
    env: Env,
    inner: Mutex<Inner>,
    /// Why nothing comes any more.
    broken: watch::Sender<Option<String>>,
}

struct Inner {
    state: State,
    slots: BTreeMap<u64, Slot>,
}

#[derive(Default)]
struct Slot {
    items: VecDeque<Item>,
    failed: Option<Error>,
    wake: Arc<Notify>,
}

/// What comes for one flight, which ends with it. The server may still be at it then, unless it is
/// settled.
pub(crate) struct Inbox {
    switch: Switch,
    id: u64,
    wake: Arc<Notify>,
}

impl Switch {
    pub(crate) fn new(pace: &Pace) -> Switch {
        let inner = Inner {
            state: State::new(&pace.limits),
            slots: BTreeMap::new(),
        };
        Switch(Arc::new(Shared {
            env: pace.env.clone(),
            inner: Mutex::new(inner),
            broken: watch::channel(None).0,
        }))
    }

    /// From now on its messages are kept for it.
    pub(crate) fn open(&self, flight: Flight) -> Result<Inbox, Error> {
        let now = self.0.env.now();
        let mut inner = self.0.inner.lock();
        if let Some(reason) = self.0.broken.borrow().clone() {
            return Err(Error::NotSent { reason });
        }
        let (id, slot) = (flight.id, Slot::default());
        let wake = slot.wake.clone();
        inner.slots.insert(id, slot);
        inner.perform(now, Input::Begun(flight));
        Ok(Inbox {
            switch: self.clone(),
            id,
            wake,
        })
    }

    /// Says that a request is about to be sent; whether anybody still waits for it.
    pub(crate) fn begins(&self, id: u64) -> bool {
        let now = self.0.env.now();
        let mut inner = self.0.inner.lock();
        inner.perform(now, Input::Written { id });
        inner.state.has(id)
    }

    /// Says that the server is at work for one until it has answered another request, which need
    /// not be waited for.
    pub(crate) fn outlasts(&self, id: u64, until: u64) {
        self.perform(Input::Outlasts { id, until });
    }

    /// A question of the server is about to be answered: it waits no more.
    pub(crate) fn answers(&self, asked: &RequestId) {
        let asked = asked.clone();
        self.perform(Input::Answered { asked });
    }

    /// Whether anybody hears what belongs to no request.
    pub(crate) fn has_listen(&self) -> bool {
        self.0.inner.lock().state.has_listen()
    }

    /// Sorts a message; what must be said to the server then.
    #[must_use]
    pub(crate) fn hear(&self, message: Message) -> Vec<Bytes> {
        self.perform(Input::Heard(message))
    }

    /// Everything that waits fails.
    pub(crate) fn fail(&self, reason: &str) {
        let (reason, now) = (reason.to_owned(), self.0.env.now());
        let mut inner = self.0.inner.lock();
        self.0.broken.send_replace(Some(reason.clone()));
        inner.perform(now, Input::Broke { reason });
    }

    fn perform(&self, input: Input) -> Vec<Bytes> {
        let now = self.0.env.now();
        self.0.inner.lock().perform(now, input)
    }

    /// Why nothing comes any more, once that is so.
    // Cancel safe: it only looks.
    pub(crate) async fn broken(&self) -> String {
        let mut broken = self.0.broken.subscribe();
        let reason = broken.wait_for(Option::is_some).await;
        let reason = reason.ok().and_then(|reason| reason.clone());
        // The sender is in `self`.
        reason.unwrap_or_default()
    }
}

impl Inner {
    fn perform(&mut self, now: Instant, input: Input) -> Vec<Bytes> {
        let (mut effects, mut said) = (Vec::new(), Vec::new());
        self.state.apply(now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Say(bytes) => said.push(bytes),
                Effect::Deliver { to, item } => {
                    if let Some(slot) = self.slots.get_mut(&to) {
                        slot.items.push_back(item);
                        slot.wake.notify_one();
                    }
                }
                Effect::Fail { to, error } => {
                    if let Some(slot) = self.slots.get_mut(&to) {
                        slot.failed = Some(error);
                        slot.wake.notify_one();
                    }
                }
            }
        }
        said
    }

    fn take(&mut self, now: Instant, id: u64) -> Option<Result<Item, Error>> {
        let slot = self.slots.get_mut(&id)?;
        let Some(item) = slot.items.pop_front() else {
            return slot.failed.clone().map(Err);
        };
        let bytes = item.bytes();
        self.perform(now, Input::Taken { id, bytes });
        Some(Ok(item))
    }
}

impl Inbox {
    /// The server is at work for it no more. Where its response comes on the channel itself, that
    /// says so already.
    pub(crate) fn settle(self) {
        self.switch.perform(Input::Settled { id: self.id });
    }

    /// It is told when this page is done.
    pub(crate) fn awaits(&self, page: String) {
        self.switch.perform(Input::Awaits { id: self.id, page });
    }

    // Cancel safe: nothing is taken that is not given.
    pub(crate) async fn next(&mut self) -> Result<Item, Error> {
        loop {
            let now = self.switch.0.env.now();
            let taken = self.switch.0.inner.lock().take(now, self.id);
            match taken {
                Some(item) => return item,
                None => self.wake.notified().await,
            }
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let now = self.switch.0.env.now();
        let mut inner = self.switch.0.inner.lock();
        inner.slots.remove(&self.id);
        inner.perform(now, Input::Ended { id: self.id });
    }
}
