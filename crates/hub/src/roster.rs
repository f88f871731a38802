//! Which workers are known and linked, and how busy they are.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use ostler_types::{InstanceEpoch, Instant, ServerId, WorkerId};
use parking_lot::{Mutex, RwLock};

use crate::{
    config::Config,
    instance::Instance,
    link::Link,
    machine::{Admission, Crowded, NotAdmitted, Others, Process, admit, fit},
};

/// A worker that was linked when this was made.
#[derive(Clone)]
pub struct WorkerRef {
    pub(crate) instance: Arc<Instance>,
    pub(crate) link: Arc<Link>,
}

/// Why a call was not sent. It did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotStarted {
    #[error("the worker has no room")]
    NoCredit,
    #[error("the worker is not linked or takes no calls")]
    NotLinked,
}

impl WorkerRef {
    pub fn id(&self) -> &WorkerId {
        &self.instance.worker
    }

    pub fn epoch(&self) -> InstanceEpoch {
        self.instance.epoch
    }

    /// Calls it runs now.
    pub fn in_flight(&self) -> u32 {
        self.instance.in_flight()
    }

    /// Calls it takes at once.
    pub fn capacity(&self) -> u32 {
        self.link.capacity
    }

    /// Whether it still takes calls.
    pub fn takes_calls(&self) -> bool {
        self.link.takes_calls()
    }
}

#[derive(Default)]
pub(crate) struct Roster {
    /// One process per worker id: linked, or within its grace.
    /// In an order, so that a seeded run is the same each time.
    known: Mutex<BTreeMap<WorkerId, Arc<Instance>>>,
    linked: RwLock<HashMap<ServerId, Arc<[WorkerRef]>>>,
    attempts: Mutex<HashMap<Claim, Attempts>>,
}

/// A worker id, and the credential of who says that it is its own. Nobody's links are counted as
/// those of another.
type Claim = (Arc<str>, WorkerId);

/// Links of one claim in the current window.
struct Attempts {
    since: Instant,
    links: u32,
}

const FLAP_WINDOW: Duration = Duration::from_secs(10);

/// A worker that was let in.
pub(crate) struct Admitted {
    pub instance: Arc<Instance>,
    /// Not one that is back after a lost link.
    pub is_new: bool,
    /// The older process under the same id.
    pub replaced: Option<Arc<Instance>>,
}

impl Roster {
    /// Lets a worker in and gives it its link, or says why not.
    pub fn admit(
        &self,
        worker: &WorkerId,
        process: Process<'_>,
        link: &Arc<Link>,
        config: &Config,
        new: impl FnOnce() -> Instance,
    ) -> Result<Admitted, NotAdmitted> {
        let mut known = self.known.lock();
        let others = others(&known, worker, process.credential);
        // Who is back had its place and its bytes all the while: it is refused only if it brings more.
        fit(others, link.catalog_bytes(), config).map_err(NotAdmitted::Crowded)?;
        let current = known.get(worker).cloned();
        let linked = current.as_ref().is_some_and(|it| it.link().is_some());
        let admission = admit(current.as_ref().map(|it| it.process()), linked, process);
        let (instance, is_new, replaced) = match (admission, current) {
            (Admission::Refuse(why), _) => return Err(why),
            (Admission::Resume, Some(instance)) => (instance, false, None),
            (Admission::New | Admission::Replace | Admission::Resume, current) => {
                let instance = Arc::new(new());
                known.insert(worker.clone(), instance.clone());
                (instance, true, current)
            }
        };
        instance.set_link(link.clone());
        Ok(Admitted {
            instance,
            is_new,
            replaced,
        })
    }

    /// Gives a catalog of a link this size, if the worker and its credential may have that.
    pub fn resize(
        &self,
        instance: &Instance,
        link: &Link,
        server: u32,
        bytes: usize,
        config: &Config,
    ) -> Result<(), Crowded> {
        let known = self.known.lock();
        let others = others(&known, &instance.worker, &instance.grant.credential);
        let others_of_link = link.catalog_bytes() - link.catalog_bytes_of(server);
        fit(others, others_of_link + bytes, config)?;
        link.set_catalog_bytes(server, bytes);
        Ok(())
    }

    /// Counts a link of this worker id; says how long to wait if there were too many (GRPC-042).
    pub fn count_link(&self, claim: Claim, now: Instant, max: u32) -> Result<(), Duration> {
        let mut attempts = self.attempts.lock();
        let fresh = || Attempts {
            since: now,
            links: 0,
        };
        let mine = attempts.entry(claim).or_insert_with(fresh);
        if now.since(mine.since) >= FLAP_WINDOW {
            *mine = fresh();
        }
        mine.links += 1;
        match mine.links > max {
            true => Err((mine.since + FLAP_WINDOW).left(now)),
            false => Ok(()),
        }
    }

    /// Makes a link a candidate for calls.
    pub fn publish(&self, instance: &Arc<Instance>, link: &Arc<Link>) {
        let worker = WorkerRef {
            instance: instance.clone(),
            link: link.clone(),
        };
        let mut linked = self.linked.write();
        for server in link.servers() {
            let others = linked.get(server).into_iter().flat_map(|list| list.iter());
            let list = others.cloned().chain([worker.clone()]).collect();
            linked.insert(server.clone(), list);
        }
    }

    /// Takes links that take no calls off the lists of the Servers of this one.
    pub fn refresh(&self, link: &Link) {
        let mut linked = self.linked.write();
        for server in link.servers() {
            let Some(list) = linked.get(server) else {
                continue;
            };
            let left: Arc<[_]> = list.iter().filter(|it| it.takes_calls()).cloned().collect();
            match left.is_empty() {
                true => drop(linked.remove(server)),
                false => drop(linked.insert(server.clone(), left)),
            }
        }
    }

    pub fn candidates(&self, server: &ServerId) -> Arc<[WorkerRef]> {
        let found = self.linked.read().get(server).cloned();
        found.unwrap_or_else(|| Arc::new([]))
    }

    pub fn find(&self, worker: &WorkerId) -> Option<Arc<Instance>> {
        self.known.lock().get(worker).cloned()
    }

    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.known.lock().values().cloned().collect()
    }

    pub fn links(&self) -> Vec<Arc<Link>> {
        let known = self.known.lock();
        known
            .values()
            .filter_map(|instance| instance.link())
            .collect()
    }

    /// Forgets processes that are gone for good, and with them whose their ids are.
    pub fn expire(&self, now: Instant, grace: Duration) {
        let mut known = self.known.lock();
        known.retain(|_, instance| !instance.is_gone(now, grace));
        drop(known);
        let mut attempts = self.attempts.lock();
        attempts.retain(|_, mine| now.since(mine.since) < FLAP_WINDOW);
    }
}

/// Who else is known of this credential, and what they hold: within their grace, what they had.
fn others(
    known: &BTreeMap<WorkerId, Arc<Instance>>,
    worker: &WorkerId,
    credential: &str,
) -> Others {
    let known = known.values();
    let others = known.filter(|it| *it.grant.credential == *credential && it.worker != *worker);
    others.fold(Others::default(), |sum, other| Others {
        workers: sum.workers + 1,
        catalog_bytes: sum.catalog_bytes + other.catalog_bytes(),
    })
}
