//! What the hub decides, as pure functions: who may link, what a `Hello` means for each call,
//! what time does to a call, to a link and to its credit.

use std::time::Duration;

use ostler_types::{InstanceEpoch, Instant};

use crate::{attempt::AttemptEnd, config::Config};

// ---- who may link ------------------------------------------------------------------

/// A worker process that is known under some worker id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process<'a> {
    pub epoch: InstanceEpoch,
    pub credential: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Nobody is known under this id.
    New,
    /// The same process after a lost link: its calls go on.
    Resume,
    /// A newer process: the calls of the old one end at once.
    Replace,
    Refuse(NotAdmitted),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// The id belongs to another credential while its holder is known here.
    OtherCredential,
    /// The same process has a live link.
    AlreadyLinked,
    /// A newer process of this id is known.
    Outdated,
    Crowded(Crowded),
}

/// What a worker or its credential has too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    Handshakes,
    Workers,
    CatalogsOfWorker,
    Catalogs,
}

impl Crowded {
    /// Which bound that is, for the author of the worker and the operator.
    pub fn explain(self, config: &Config) -> String {
        match self {
            Crowded::Handshakes => format!(
                "{} workers of this credential are in their handshake, as many as may be; try again",
                config.handshakes_per_credential_max
            ),
            Crowded::Workers => format!(
                "this credential has {} workers here, as many as \
                 workers.workers_per_credential_max; try again when one is gone",
                config.workers_per_credential_max
            ),
            Crowded::CatalogsOfWorker => format!(
                "the catalogs of this worker exceed {} bytes, workers.catalog_bytes_max",
                config.catalog_bytes_max
            ),
            Crowded::Catalogs => format!(
                "the catalogs of all workers of this credential exceed {} bytes, \
                 workers.catalog_bytes_per_credential_max",
                config.catalog_bytes_per_credential_max
            ),
        }
    }
}

/// What the other workers of a credential hold of this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Others {
    pub workers: usize,
    pub catalog_bytes: usize,
}

/// A worker id is bound to its credential, and to one process at a time (design 4.1, 4.2).
pub(crate) fn admit(
    known: Option<Process<'_>>,
    known_is_linked: bool,
    newcomer: Process<'_>,
) -> Admission {
    let Some(known) = known else {
        return Admission::New;
    };
    if known.credential != newcomer.credential {
        return Admission::Refuse(NotAdmitted::OtherCredential);
    }
    match newcomer.epoch.cmp(&known.epoch) {
        std::cmp::Ordering::Greater => Admission::Replace,
        std::cmp::Ordering::Less => Admission::Refuse(NotAdmitted::Outdated),
        std::cmp::Ordering::Equal if known_is_linked => {
            Admission::Refuse(NotAdmitted::AlreadyLinked)
        }
        std::cmp::Ordering::Equal => Admission::Resume,
    }
}

/// Whether a worker with so many bytes of catalogs fits in beside the others of its credential: a
/// token says who may link, not how often under other ids.
pub(crate) fn fit(others: Others, catalog_bytes: usize, config: &Config) -> Result<(), Crowded> {
    if others.workers >= config.workers_per_credential_max {
        return Err(Crowded::Workers);
    }
    if catalog_bytes > config.catalog_bytes_max {
        return Err(Crowded::CatalogsOfWorker);
    }
    let all = others.catalog_bytes.saturating_add(catalog_bytes);
    match all > config.catalog_bytes_per_credential_max {
        true => Err(Crowded::Catalogs),
        false => Ok(()),
    }
}

// ---- what a Hello means ------------------------------------------------------------

/// What a `Hello` says about one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    Running,
    Held,
    Ended,
    /// Not named, and all calls were.
    No,
    /// Not named, but not all calls could be.
    Unsure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnHello {
    /// It runs on; what it has not heard is sent again.
    Continue,
    /// Its outcome follows.
    Await,
    /// It ends so.
    End(Gone),
}

/// How a call ends whose worker came back without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    DidNotRun,
    MayHaveRun,
}

impl From<Gone> for AttemptEnd {
    fn from(gone: Gone) -> AttemptEnd {
        match gone {
            Gone::DidNotRun => AttemptEnd::NotNamed,
            Gone::MayHaveRun => AttemptEnd::Lost,
        }
    }
}

/// What the same process, back on a new link, says about a call that has not ended here.
pub(crate) fn on_hello(named: Named) -> OnHello {
    match named {
        Named::Running => OnHello::Continue,
        Named::Held => OnHello::Await,
        // It ended there, and its outcome is gone.
        Named::Ended | Named::Unsure => OnHello::End(Gone::MayHaveRun),
        Named::No => OnHello::End(Gone::DidNotRun),
    }
}

// ---- what time does to a call ------------------------------------------------------

/// What there is to know about a call, but for its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallTimes {
    pub deadline: Instant,
    pub kept: bool,
    pub cancelled: Option<Instant>,
    pub ended: Option<Ended>,
    pub unowned: Option<Unowned>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The worker said so: a kept call waits to be recorded.
    ByWorker,
    /// The platform said so at this time; the worker still owes its outcome.
    ByPlatform(Instant),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unowned {
    pub since: Instant,
    /// `Orphans` was told.
    pub offered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// End it with `Deadline`, cancel it at the worker.
    Deadline,
    /// The worker did not end a cancelled call: end it as cancelled.
    Cancelled,
    /// End it as lost.
    Lost,
    /// Tell `Orphans`.
    Offer,
    /// Nobody claimed it: the worker shall forget it, and so shall we.
    Unclaimed,
    /// Forget that it ever was.
    Remove,
}

/// What is due for a call at `now`, and if nothing is, when to look again. `lost` is when its
/// link was lost.
pub(crate) fn due(
    now: Instant,
    call: &CallTimes,
    lost: Option<Instant>,
    config: &Config,
) -> (Due, Instant) {
    let mut next = Instant(u64::MAX);
    let mut passed = |at: Instant| {
        next = next.min(at);
        at <= now
    };
    let what = match (call.ended, lost) {
        (Some(Ended::ByPlatform(_)), Some(_)) => Due::Remove,
        (Some(Ended::ByPlatform(at)), None) if passed(at + config.grace_abandoned) => Due::Remove,
        (Some(Ended::ByPlatform(_)), None) => Due::Nothing,
        (Some(Ended::ByWorker), _) => unowned(call, config, &mut passed),
        (None, _) if passed(call.deadline) => Due::Deadline,
        (None, Some(_)) if call.cancelled.is_some() => Due::Cancelled,
        (None, Some(lost)) if passed(lost + grace(call, config)) => Due::Lost,
        (None, Some(_)) => unowned(call, config, &mut passed),
        (None, None) => match call.cancelled {
            Some(at) if passed(at + config.grace_cancel) => Due::Cancelled,
            Some(_) => Due::Nothing,
            None => unowned(call, config, &mut passed),
        },
    };
    match what {
        Due::Nothing => (what, next),
        _ => (what, now),
    }
}

fn unowned(call: &CallTimes, config: &Config, passed: &mut impl FnMut(Instant) -> bool) -> Due {
    match call.unowned.filter(|_| call.kept) {
        None => Due::Nothing,
        Some(Unowned { offered: false, .. }) => Due::Offer,
        Some(Unowned { since, .. }) if passed(since + config.grace_kept) => Due::Unclaimed,
        Some(_) => Due::Nothing,
    }
}

fn grace(call: &CallTimes, config: &Config) -> Duration {
    match call.kept {
        true => config.grace_kept,
        false => config.grace_plain,
    }
}

// ---- heartbeats --------------------------------------------------------------------

/// Whether the worker is alive, by what was heard of it.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    interval: Duration,
    silence_max: Duration,
    heard: Instant,
    pinged: Instant,
    ticked: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    Quiet,
    Ping,
    Dead,
}

impl Heartbeat {
    pub fn new(now: Instant, config: &Config) -> Self {
        Self {
            interval: config.heartbeat,
            // A quarter more, for the way of the last answer.
            silence_max: config.heartbeat * config.heartbeats_missed_max + config.heartbeat / 4,
            heard: now,
            pinged: now,
            ticked: now,
        }
    }

    /// Any frame counts: a worker that sends is alive.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub fn tick(&mut self, now: Instant) -> Beat {
        let paused = now.since(std::mem::replace(&mut self.ticked, now));
        if paused >= self.interval {
            // This node did not look: what the worker sent meanwhile may still be on its way in.
            self.heard = now;
        }
        if now.since(self.heard) >= self.silence_max {
            return Beat::Dead;
        }
        if now.since(self.pinged) < self.interval {
            return Beat::Quiet;
        }
        self.pinged = now;
        Beat::Ping
    }
}

// ---- credit ------------------------------------------------------------------------

/// What a worker may still send, and what it is owed for what was taken in.
#[derive(Debug)]
pub(crate) struct Credit {
    /// Below zero: the worker sent more than it was allowed.
    left: i64,
    overdraft_max: i64,
    ungranted: u64,
    grant_at: u64,
    /// Progress, logs and visits since the last tick.
    chatter: u32,
    chatter_max: u32,
    /// Frames that cost no credit since the last tick.
    free: u32,
}

/// Frames without a cost in one tick. An honest worker sends a few: for heartbeats, for what it
/// took in, for pages that are done.
const FREE_PER_TICK_MAX: u32 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Fine,
    /// So much beyond its credit that it cannot be a mistake of a few frames in flight.
    Overdrawn,
}

impl Credit {
    /// `tick` is how often [`Credit::tick`] will be called.
    pub fn new(config: &Config, tick: Duration) -> Self {
        let credit = config.byte_credit as u64;
        let chatter = f64::from(config.chatter_per_second_max) * tick.as_secs_f64();
        Self {
            left: credit as i64,
            overdraft_max: credit as i64,
            ungranted: 0,
            grant_at: credit / 4,
            chatter: 0,
            chatter_max: (chatter as u32).max(1),
            free: 0,
        }
    }

    /// A frame of this cost came in.
    pub fn take(&mut self, cost: usize) -> Taken {
        self.left -= cost as i64;
        self.ungranted += cost as u64;
        self.free += u32::from(cost == 0);
        match self.left < -self.overdraft_max || self.free > FREE_PER_TICK_MAX {
            true => Taken::Overdrawn,
            false => Taken::Fine,
        }
    }

    pub fn chatter(&mut self) {
        self.chatter = self.chatter.saturating_add(1);
    }

    /// Beyond this, grants wait for the next tick: the worker is slowed down, nobody else is.
    pub fn is_throttled(&self) -> bool {
        self.chatter > self.chatter_max
    }

    /// What to grant now, if it is worth a frame.
    pub fn grant(&mut self) -> Option<u64> {
        let due = self.ungranted >= self.grant_at && !self.is_throttled();
        due.then(|| {
            self.left += self.ungranted as i64;
            std::mem::take(&mut self.ungranted)
        })
    }

    pub fn tick(&mut self) {
        self.chatter = 0;
        self.free = 0;
    }
}

#[cfg(test)]
mod tests;
