//! The requests in flight of one session: the one thing a plain call touches.
//!
//! A small lock instead of a message to the actor: a plain call then costs no wake-up. The actor
//! hears of a request only once its call has a stream.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ostler_dispatch::CallControl;
use ostler_protocol::{RequestId, call::LogLevel};
use ostler_types::Instant;
use parking_lot::Mutex;

use crate::SessionError;

pub(crate) struct Book {
    pages: Mutex<Pages>,
    /// When the session was last used, in nanoseconds of the node's clock.
    used: AtomicU64,
    /// When its row was last asked to say so.
    marked: AtomicU64,
    requests_max: usize,
}

struct Pages {
    requests: HashMap<RequestId, Entry>,
    log_level: LogLevel,
    ended: bool,
}

struct Entry {
    /// Gone once the actor has the call.
    control: Option<CallControl>,
    cancelled: bool,
}

/// Who must act on a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// Done: the call was not the actor's yet.
    Here,
    /// The actor has the call.
    ByActor,
    /// Not in flight (any more): to be ignored [CAN-5].
    Unknown,
}

impl Book {
    pub fn new(now: Instant, requests_max: usize) -> Book {
        let pages = Pages {
            requests: HashMap::new(),
            log_level: LogLevel::Info,
            ended: false,
        };
        Book {
            pages: Mutex::new(pages),
            used: AtomicU64::new(now.0),
            marked: AtomicU64::new(now.0),
            requests_max,
        }
    }

    /// Books a request; its id is taken until the entry is removed [RPC-2].
    pub fn enter(
        &self,
        id: &RequestId,
        control: Option<CallControl>,
    ) -> Result<LogLevel, SessionError> {
        let mut pages = self.pages.lock();
        if pages.ended {
            return Err(SessionError::Unknown);
        }
        if pages.requests.contains_key(id) {
            return Err(SessionError::DuplicateId);
        }
        if pages.requests.len() >= self.requests_max {
            let retry_after = Duration::from_secs(1);
            return Err(SessionError::Busy { retry_after });
        }
        let entry = Entry {
            control,
            cancelled: false,
        };
        pages.requests.insert(id.clone(), entry);
        Ok(pages.log_level)
    }

    /// The request is answered, or withdrawn.
    pub fn remove(&self, id: &RequestId) {
        self.pages.lock().requests.remove(id);
    }

    /// The actor takes the call from here.
    pub fn hand_over(&self, id: &RequestId) {
        if let Some(entry) = self.pages.lock().requests.get_mut(id) {
            entry.control = None;
        }
    }

    /// Whether the request was cancelled, before it was handed over or since.
    pub fn is_cancelled(&self, id: &RequestId) -> bool {
        let pages = self.pages.lock();
        pages.requests.get(id).is_some_and(|entry| entry.cancelled)
    }

    /// Cancels the call if it is still here [CAN-1].
    pub fn cancel(&self, id: &RequestId, reason: &str) -> Cancelled {
        let control = {
            let mut pages = self.pages.lock();
            let Some(entry) = pages.requests.get_mut(id) else {
                return Cancelled::Unknown;
            };
            entry.cancelled = true;
            entry.control.clone()
        };
        match control {
            Some(control) => {
                control.cancel(reason);
                Cancelled::Here
            }
            None => Cancelled::ByActor,
        }
    }

    /// The session ends: cancels what the actor does not have, and takes nothing new.
    pub fn end(&self) {
        let requests = {
            let mut pages = self.pages.lock();
            pages.ended = true;
            std::mem::take(&mut pages.requests)
        };
        for control in requests.into_values().filter_map(|entry| entry.control) {
            control.cancel("the session ended");
        }
    }

    pub fn is_ended(&self) -> bool {
        self.pages.lock().ended
    }

    pub fn set_log_level(&self, level: LogLevel) {
        self.pages.lock().log_level = level;
    }

    pub fn mark_used(&self, now: Instant) {
        self.used.fetch_max(now.0, Ordering::Relaxed);
    }

    /// Whether the stored mark of use should be renewed; says so once per interval.
    pub fn mark_is_due(&self, now: Instant, interval: Duration) -> bool {
        let marked = Instant(self.marked.load(Ordering::Relaxed));
        let due = now.since(marked) >= interval;
        if due {
            self.marked.store(now.0, Ordering::Relaxed);
        }
        due
    }

    pub fn used(&self) -> Instant {
        Instant(self.used.load(Ordering::Relaxed))
    }
}

/// One booked request; dropping it gives the id back.
pub(crate) struct Booking {
    book: Arc<Book>,
    id: Option<RequestId>,
}

impl Booking {
    pub fn new(book: Arc<Book>, id: RequestId) -> Booking {
        Booking { book, id: Some(id) }
    }

    pub fn id(&self) -> &RequestId {
        let id = self.id.as_ref();
        id.expect("the id leaves only with the booking")
    }

    /// The actor keeps the id from here on, and removes it.
    pub fn hand_over(mut self) -> RequestId {
        let id = self.id.take().expect("the id leaves only with the booking");
        self.book.hand_over(&id);
        id
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            self.book.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_behind_the_hand_over_is_the_actors_and_is_not_forgotten() {
        let book = Arc::new(Book::new(Instant(0), 8));
        let id = RequestId::number(1);
        let control = CallControl::new();
        book.enter(&id, Some(control.clone())).expect("booked");
        let id = Booking::new(book.clone(), id).hand_over();
        assert!(!book.is_cancelled(&id));
        assert_eq!(book.cancel(&id, "x"), Cancelled::ByActor);
        assert!(book.is_cancelled(&id) && !control.is_cancelled());
        book.remove(&id);
        assert!(!book.is_cancelled(&id));
    }
}
