//! The requests of the host that have no answer yet. Each gets one answer at most, whatever stream
//! it comes on.

use std::collections::BTreeMap;

use ostler_protocol::{Era, RequestId};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

/// More would not be a host but a flood. Each holds its request, and a message on its way out.
const FLIGHTS_MAX: usize = 256;

pub struct Flights {
    open: Mutex<BTreeMap<RequestId, Landing>>,
    count: watch::Sender<usize>,
}

/// A request on its way out of the book: who works for it is stopped when this is dropped.
pub struct Landing {
    pub method: String,
    pub era: Era,
    _stop: oneshot::Sender<()>,
    _counted: Counted,
}

/// Ends when nobody works for the request any more: it was answered, or cancelled.
pub type Ended = oneshot::Receiver<()>;

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Full,
    /// Its id is in use ([RPC-2]).
    Twice,
}

struct Counted(watch::Sender<usize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Flights {
    pub fn new() -> Self {
        Self {
            open: Mutex::new(BTreeMap::new()),
            count: watch::channel(0).0,
        }
    }

    pub fn begin(&self, id: &RequestId, method: &str, era: Era) -> Result<Ended, Refusal> {
        let mut open = self.open.lock();
        if open.contains_key(id) {
            return Err(Refusal::Twice);
        }
        if open.len() >= FLIGHTS_MAX {
            return Err(Refusal::Full);
        }
        let (stop, ended) = oneshot::channel();
        self.count.send_modify(|count| *count += 1);
        let landing = Landing {
            method: method.to_owned(),
            era,
            _stop: stop,
            _counted: Counted(self.count.clone()),
        };
        open.insert(id.clone(), landing);
        Ok(ended)
    }

    /// Takes a request out: whoever gets it answers it, or nobody does.
    pub fn end(&self, id: &RequestId) -> Option<Landing> {
        self.open.lock().remove(id)
    }

    pub fn method(&self, id: &RequestId) -> Option<String> {
        let open = self.open.lock();
        open.get(id).map(|landing| landing.method.clone())
    }

    pub fn is_open(&self, id: &RequestId) -> bool {
        self.open.lock().contains_key(id)
    }

    pub async fn all_ended(&self) {
        // We hold the other end.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_ends_once_and_then_nobody_works_for_it() {
        let flights = Flights::new();
        let id = RequestId::number(1);
        let ended = flights.begin(&id, "ping", Era::Legacy).unwrap();
        assert_eq!(
            flights.begin(&id, "ping", Era::Legacy).err(),
            Some(Refusal::Twice)
        );
        assert_eq!(flights.end(&id).unwrap().method, "ping");
        assert!(flights.end(&id).is_none() && !flights.is_open(&id));
        assert!(ended.await.is_err());
        flights.all_ended().await;
    }

    #[test]
    fn there_is_a_limit() {
        let flights = Flights::new();
        let number = |n: usize| RequestId::number(n as u64);
        let held: Vec<_> = (0..FLIGHTS_MAX)
            .map(|n| flights.begin(&number(n), "ping", Era::Legacy).unwrap())
            .collect();
        let one_more = flights.begin(&number(held.len()), "ping", Era::Legacy);
        assert_eq!(one_more.err(), Some(Refusal::Full));
    }
}
