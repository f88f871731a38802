//! One Server's place in the catalogs: who offers what, and the snapshot made of it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use metrics::Counter;
use ostler_types::{Instant, WorkerId};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    catalogs::server_refusal,
    change::Fingerprints,
    check::Checked,
    entry::{Definition, Entry},
    merge::{self, Part},
    offer::{EntryKind, EntryRefusal},
    snapshot::{Capabilities, List, Snapshot},
};

/// Workers that serve one Server.
const WORKERS_MAX: usize = 1_000;

/// Readers take `current` without a lock; writers change `state` and show what it comes to.
pub(crate) struct Slot {
    state: Mutex<State>,
    current: ArcSwapOption<Snapshot>,
    /// When the next grace ends, so that readers know without the lock; `u64::MAX` for never.
    grace_end: AtomicU64,
    turns: watch::Sender<u64>,
    changes: Counter,
}

impl Slot {
    /// `order`: no other slot's, whose places mean nothing here.
    pub(crate) fn new(order: u64, changes: Counter) -> Self {
        let offers = Vec::new();
        Self {
            state: Mutex::new(State { order, offers }),
            current: ArcSwapOption::empty(),
            grace_end: AtomicU64::new(u64::MAX),
            turns: watch::Sender::new(0),
            changes,
        }
    }

    /// Takes an offer in place of what the worker offered before.
    pub(crate) fn put(
        &self,
        now: Instant,
        worker: &WorkerId,
        checked: Checked,
        refusals: &mut Vec<EntryRefusal>,
    ) {
        let mut state = self.state.lock();
        state.expire(now);
        if !state.put(worker, checked) {
            refusals.push(server_refusal("too many workers serve this server"));
            return;
        }
        let snapshot = self.publish(&mut state);
        state.conflicts(worker, &snapshot, refusals);
    }

    /// What the worker offered stays listed until `until`.
    pub(crate) fn leave(&self, now: Instant, worker: &WorkerId, until: Instant) {
        let mut state = self.state.lock();
        state.expire(now);
        if state.leave(worker, until) {
            self.publish(&mut state);
        }
    }

    /// The view as it is now: a grace that is over counts. The clock is read only if one runs.
    pub(crate) fn snapshot(&self, now: impl Fn() -> Instant) -> Option<Arc<Snapshot>> {
        if self.grace_end().is_some_and(|end| end <= now()) {
            let mut state = self.state.lock();
            if state.expire(now()) {
                self.publish(&mut state);
            }
        }
        self.current.load_full()
    }

    /// `None` before anybody has offered anything.
    pub(crate) fn fingerprints(&self, now: Instant) -> Option<Fingerprints> {
        self.snapshot(|| now).map(|s| s.fingerprints())
    }

    pub(crate) fn grace_end(&self) -> Option<Instant> {
        let end = self.grace_end.load(Ordering::Acquire);
        (end != u64::MAX).then_some(Instant(end))
    }

    /// Counts up whenever a new snapshot is shown.
    pub(crate) fn turns(&self) -> watch::Receiver<u64> {
        self.turns.subscribe()
    }

    pub(crate) fn is_in_use(&self) -> bool {
        self.turns.receiver_count() > 0 || !self.state.lock().offers.is_empty()
    }

    fn publish(&self, state: &mut State) -> Arc<Snapshot> {
        let before = self.current.load_full();
        let snapshot = Arc::new(state.snapshot(before.as_deref()));
        if before.is_none_or(|before| before.generation != snapshot.generation) {
            self.changes.increment(1);
        }
        let end = state.grace_end().map_or(u64::MAX, |end| end.0);
        self.current.store(Some(snapshot.clone()));
        self.grace_end.store(end, Ordering::Release);
        self.turns.send_modify(|turn| *turn += 1);
        snapshot
    }
}

/// Who offers what, in the order in which the workers came.
#[derive(Default)]
struct State {
    order: u64,
    offers: Vec<WorkerOffer>,
}

struct WorkerOffer {
    worker: WorkerId,
    checked: Checked,
    /// Until when it stays listed, once the worker has left.
    gone_until: Option<Instant>,
}

impl WorkerOffer {
    fn is_live(&self) -> bool {
        self.gone_until.is_none()
    }
}

impl State {
    /// False if there is no room.
    fn put(&mut self, worker: &WorkerId, checked: Checked) -> bool {
        let offer = WorkerOffer {
            worker: worker.clone(),
            checked,
            gone_until: None,
        };
        let has_room = self.offers.len() < WORKERS_MAX;
        match self.offers.iter_mut().find(|offer| offer.worker == *worker) {
            Some(place) => *place = offer,
            None if has_room => self.offers.push(offer),
            None => return false,
        }
        true
    }

    fn leave(&mut self, worker: &WorkerId, until: Instant) -> bool {
        let mut live = self.offers.iter_mut().filter(|offer| offer.is_live());
        match live.find(|offer| offer.worker == *worker) {
            Some(offer) => offer.gone_until = Some(until),
            None => return false,
        }
        true
    }

    /// Forgets offers whose grace is over; true if there were any.
    fn expire(&mut self, now: Instant) -> bool {
        if self.grace_end().is_none_or(|end| now < end) {
            return false;
        }
        self.offers
            .retain(|offer| offer.gone_until.is_none_or(|until| now < until));
        true
    }

    /// When something is to be forgotten. With nobody left all goes together at the end of the
    /// last grace: what is missing until then is missing for lack of workers only.
    fn grace_end(&self) -> Option<Instant> {
        let ends = self.offers.iter().filter_map(|offer| offer.gone_until);
        match self.offers.iter().any(WorkerOffer::is_live) {
            true => ends.min(),
            false => ends.max(),
        }
    }

    /// The view of the offers. Who the Server is and what it can do outlive its last worker.
    fn snapshot(&self, before: Option<&Snapshot>) -> Snapshot {
        let live = self.offers.iter().filter(|offer| offer.is_live());
        let leader = live.chain(&self.offers).next().map(|offer| &offer.checked);
        let snapshot = Snapshot {
            generation: 0,
            server_info: match leader {
                Some(leader) => leader.server_info.clone(),
                None => before.map(|b| b.server_info.clone()).unwrap_or_default(),
            },
            instructions: match leader {
                Some(leader) => leader.instructions.clone(),
                None => before.and_then(|b| b.instructions.clone()),
            },
            capabilities: Capabilities::default(),
            order: self.order,
            tools: self.list(|c| &c.tools, before.map(|b| &b.tools)),
            prompts: self.list(|c| &c.prompts, before.map(|b| &b.prompts)),
            resources: self.list(|c| &c.resources, before.map(|b| &b.resources)),
            templates: self.list(|c| &c.templates, before.map(|b| &b.templates)),
            skills: self.list(|c| &c.skills, before.map(|b| &b.skills)),
            last_shown: match self.offers.is_empty() {
                true => Some(before.map(Snapshot::fingerprints).unwrap_or_default()),
                false => None,
            },
            workers: self.live_workers(|_| true),
            completers: self.live_workers(|checked| checked.completions),
            watchers: self.live_workers(|checked| checked.resource_watch),
        };
        let capabilities = self.capabilities(&snapshot, before);
        Snapshot {
            generation: next_generation(&snapshot, before),
            capabilities,
            ..snapshot
        }
    }

    fn list<P>(
        &self,
        list_of: impl Fn(&Checked) -> &Vec<Arc<Definition<P>>>,
        before: Option<&List<Entry<P>>>,
    ) -> List<Entry<P>> {
        let parts = self.offers.iter().map(|offer| Part {
            worker: &offer.worker,
            live: offer.is_live(),
            list: list_of(&offer.checked),
        });
        let parts: Vec<_> = parts.collect();
        let listed = before.map(List::kept).unwrap_or_default();
        List::new(merge::merge(&parts, &listed), before)
    }

    fn live_workers(&self, is_wanted: impl Fn(&Checked) -> bool) -> Arc<[WorkerId]> {
        let live = self.offers.iter().filter(|offer| offer.is_live());
        let wanted = live.filter(|offer| is_wanted(&offer.checked));
        wanted.map(|offer| offer.worker.clone()).collect()
    }

    fn capabilities(&self, snapshot: &Snapshot, before: Option<&Snapshot>) -> Capabilities {
        if let (true, Some(before)) = (self.offers.is_empty(), before) {
            return before.capabilities;
        }
        let any = |has: fn(&Checked) -> bool| self.offers.iter().any(|o| has(&o.checked));
        let resources = !snapshot.resources().is_empty() || !snapshot.templates().is_empty();
        let skills = !snapshot.skills().is_empty();
        let mut all_skills = snapshot.skills().iter();
        let tells_files = all_skills.all(|skill| skill.parts.files.is_some());
        Capabilities {
            tools: !snapshot.tools().is_empty(),
            prompts: !snapshot.prompts().is_empty(),
            resources,
            resource_watch: resources && any(|checked| checked.resource_watch),
            logging: any(|checked| checked.logging),
            completions: any(|checked| checked.completions),
            tasks: Snapshot::may_become_task(snapshot.tools()),
            apps: snapshot.has_apps(),
            skills,
            skill_directories: skills && tells_files,
        }
    }

    /// Which entries of a worker are not served by it, because they are listed otherwise.
    fn conflicts(&self, worker: &WorkerId, snapshot: &Snapshot, refusals: &mut Vec<EntryRefusal>) {
        let Some(offer) = self.offers.iter().find(|offer| offer.worker == *worker) else {
            return;
        };
        let checked = &offer.checked;
        find_conflicts(EntryKind::Tool, &checked.tools, &snapshot.tools, refusals);
        find_conflicts(
            EntryKind::Prompt,
            &checked.prompts,
            &snapshot.prompts,
            refusals,
        );
        find_conflicts(
            EntryKind::Resource,
            &checked.resources,
            &snapshot.resources,
            refusals,
        );
        find_conflicts(
            EntryKind::Template,
            &checked.templates,
            &snapshot.templates,
            refusals,
        );
        find_conflicts(
            EntryKind::Skill,
            &checked.skills,
            &snapshot.skills,
            refusals,
        );
    }
}

fn next_generation(snapshot: &Snapshot, before: Option<&Snapshot>) -> u64 {
    match before {
        None => 1,
        Some(before) if before.fingerprints() == snapshot.fingerprints() => before.generation,
        Some(before) => before.generation + 1,
    }
}

fn find_conflicts<P>(
    kind: EntryKind,
    offered: &[Arc<Definition<P>>],
    listed: &List<Entry<P>>,
    refusals: &mut Vec<EntryRefusal>,
) {
    for definition in offered {
        let other = listed.find(&definition.name);
        if other.is_some_and(|other| other.contract != definition.contract) {
            refusals.push(EntryRefusal {
                kind,
                name: definition.name.clone(),
                reason:
                    "another worker serves this name with other schemas, files or declarations; \
                         this one is taken when that worker has left"
                        .to_owned(),
            });
        }
    }
}
