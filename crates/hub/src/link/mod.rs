//! The live stream to one worker and the actor that reads it.
//!
//! A link goes through three phases: the handshake (in `service`, before the stream is answered),
//! serving, and draining after the worker or the node said that it will end. What leaves goes
//! through the [`outbox`], from any thread; what comes in is read here and pushed into slots.

pub(crate) mod frames;
pub(crate) mod handshake;
mod inbound;
pub(crate) mod outbox;

use std::{
    ops::ControlFlow,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::Stream;
use ostler_env::Sleep;
use ostler_rpc::{
    transfer::{Assembler, AssemblerLimits},
    worker_v1::{self as wire, FromWorker, to_worker::Frame},
};
use ostler_types::{Instant, ServerId};
use tonic::Status;

pub(crate) use outbox::NotSent;

use crate::{
    Inner,
    config::Config,
    instance::Instance,
    link::outbox::{Outbound, Outbox, Why},
    machine::{Beat, Credit, Heartbeat},
    metrics::{EndedLink, Throttled},
};

/// What everybody may know of a live link.
pub(crate) struct Link {
    /// Unique in this hub.
    pub number: u64,
    pub capacity: u32,
    pub outbox: Outbox,
    servers: Vec<LinkedServer>,
    standing: AtomicU8,
}

/// Whether a link takes calls, and what ends it if not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Standing {
    Serves,
    /// The worker will end it when its calls are done.
    WorkerLeaves,
    /// The hub ends it when its plain calls are done; kept ones go on elsewhere.
    NodeDrains,
}

/// One Server this worker serves; frames name it by its place in the list.
pub(crate) struct LinkedServer {
    id: ServerId,
    /// Its resources can be watched.
    watches: AtomicBool,
    /// Of its catalog, as it came.
    catalog_bytes: AtomicUsize,
}

impl LinkedServer {
    pub fn new(id: ServerId, watches: bool, catalog_bytes: usize) -> LinkedServer {
        LinkedServer {
            id,
            watches: watches.into(),
            catalog_bytes: catalog_bytes.into(),
        }
    }
}

impl Link {
    pub fn new(number: u64, capacity: u32, servers: Vec<LinkedServer>, config: &Config) -> Link {
        Link {
            number,
            capacity,
            outbox: Outbox::new(number, capacity, config),
            servers,
            standing: AtomicU8::new(Standing::Serves as u8),
        }
    }

    pub fn servers(&self) -> impl Iterator<Item = &ServerId> {
        self.servers.iter().map(|server| &server.id)
    }

    pub fn server_index(&self, id: &ServerId) -> Option<u32> {
        let place = self.servers.iter().position(|server| server.id == *id)?;
        u32::try_from(place).ok()
    }

    fn server(&self, index: u32) -> Option<&LinkedServer> {
        self.servers.get(index as usize)
    }

    /// Of all its catalogs together.
    pub fn catalog_bytes(&self) -> usize {
        let each = |server: &LinkedServer| server.catalog_bytes.load(Ordering::Acquire);
        self.servers.iter().map(each).sum()
    }

    pub fn catalog_bytes_of(&self, index: u32) -> usize {
        let server = self.server(index);
        server.map_or(0, |server| server.catalog_bytes.load(Ordering::Acquire))
    }

    pub fn set_catalog_bytes(&self, index: u32, bytes: usize) {
        if let Some(server) = self.server(index) {
            server.catalog_bytes.store(bytes, Ordering::Release);
        }
    }

    pub fn takes_calls(&self) -> bool {
        self.serves() && !self.outbox.is_closed()
    }

    /// Whether neither side has said that it will end; the link may be broken all the same.
    pub fn serves(&self) -> bool {
        self.stands(Standing::Serves)
    }

    /// The worker takes no new calls. True if it did until now.
    pub fn leaving(&self) -> bool {
        let (from, to) = (Standing::Serves as u8, Standing::WorkerLeaves as u8);
        let changed = self
            .standing
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        changed.is_ok()
    }

    /// Whether the worker said that it will end.
    pub fn has_left(&self) -> bool {
        self.stands(Standing::WorkerLeaves)
    }

    /// The node sends no new calls.
    pub fn drain(&self) {
        self.stand(Standing::NodeDrains);
        self.outbox.control(Frame::Drain(wire::Drain {}));
    }

    fn stand(&self, standing: Standing) {
        self.standing.store(standing as u8, Ordering::Release);
    }

    fn stands(&self, standing: Standing) -> bool {
        self.standing.load(Ordering::Acquire) == standing as u8
    }

    /// Tells the worker what is watched, or no longer. No resource has a longer name.
    pub fn watch(&self, server: &ServerId, uri: &str, watched: bool) {
        if uri.len() > URI_BYTES_MAX {
            return;
        }
        let Some(index) = self.server_index(server) else {
            return;
        };
        let watches = self
            .server(index)
            .is_some_and(|s| s.watches.load(Ordering::Acquire));
        let (server, uri) = (index, uri.to_owned());
        if watches && watched {
            self.outbox
                .control(Frame::Watch(wire::Watch { server, uri }));
        } else if watches {
            self.outbox
                .control(Frame::Unwatch(wire::Unwatch { server, uri }));
        }
    }
}

/// The actor that reads one link.
pub(crate) struct WorkerLink<S> {
    hub: Arc<Inner>,
    instance: Arc<Instance>,
    link: Arc<Link>,
    inbound: S,
    assembler: Assembler,
    credit: Credit,
    heartbeat: Heartbeat,
    timer: Sleep,
    tick: Duration,
    /// Something came in since the last tick.
    heard: bool,
    ping: Option<Ping>,
    /// Outcomes for calls that never were, since `unknown_since`.
    unknown: u32,
    unknown_since: Instant,
    /// Stands for a task that was dropped or panicked until `run` knows better.
    end: LinkEnd,
}

struct Ping {
    nonce: u64,
    sent: Instant,
}

/// Why a link ended, and what its worker is told.
pub(crate) struct LinkEnd {
    pub reason: EndedLink,
    pub status: Option<Status>,
}

impl LinkEnd {
    fn new(reason: EndedLink, status: Status) -> LinkEnd {
        let status = Some(status);
        LinkEnd { reason, status }
    }

    fn quiet(reason: EndedLink) -> LinkEnd {
        let status = None;
        LinkEnd { reason, status }
    }

    fn violation(message: impl Into<String>) -> LinkEnd {
        Self::new(EndedLink::Violation, Status::invalid_argument(message))
    }
}

type Step = ControlFlow<LinkEnd>;

/// The name of a resource, in bytes.
const URI_BYTES_MAX: usize = 64 << 10;
/// So many frames are read before timers and the other side are looked at again.
const BATCH_LEN_MAX: usize = 128;

impl<S> WorkerLink<S>
where
    S: Stream<Item = Result<FromWorker, Status>> + Unpin,
{
    pub fn new(hub: Arc<Inner>, instance: Arc<Instance>, link: Arc<Link>, inbound: S) -> Self {
        let config = &hub.shared.config;
        let now = hub.shared.env.now();
        let tick = config.heartbeat / 8;
        Self {
            assembler: Assembler::new(AssemblerLimits {
                payload_bytes_max: config.outcome_bytes_max,
                open_bytes_max: config.open_transfer_bytes_max,
                open_len_max: link.capacity as usize + 64,
            }),
            credit: Credit::new(config, tick),
            heartbeat: Heartbeat::new(now, config),
            timer: hub.shared.env.deadline_sleep(now + tick),
            tick,
            heard: false,
            ping: None,
            unknown: 0,
            unknown_since: now,
            end: LinkEnd::quiet(EndedLink::Lost),
            hub,
            instance,
            link,
            inbound,
        }
    }

    /// The other direction, for the transport.
    pub fn outbound(&self) -> Outbound {
        Outbound::new(self.link.clone())
    }

    pub async fn run(mut self) {
        let end = match self.serve().await {
            ControlFlow::Break(end) => end,
            ControlFlow::Continue(()) => self.drain().await,
        };
        self.end = end;
    }

    /// Until the link ends, or it is known that it will.
    async fn serve(&mut self) -> Step {
        while self.link.serves() {
            self.turn().await?;
        }
        ControlFlow::Continue(())
    }

    /// Until the worker ends it or the last plain call has ended.
    async fn drain(&mut self) -> LinkEnd {
        while !self.link.stands(Standing::NodeDrains) || self.instance.runs_plain_calls() {
            if let ControlFlow::Break(end) = self.turn().await {
                return end;
            }
        }
        LinkEnd::new(EndedLink::Drained, Status::unavailable("drained"))
    }

    async fn turn(&mut self) -> Step {
        std::future::poll_fn(|cx| self.poll_turn(cx)).await
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Poll::Ready(why) = self.link.outbox.poll_closed(cx) {
            return Poll::Ready(Step::Break(self.closed(why)));
        }
        let tick = Pin::new(&mut self.timer).poll(cx).is_ready();
        // Before the tick: a worker whose frames are here is not silent.
        let read = self.poll_batch(cx);
        match read {
            Poll::Ready(Step::Continue(())) | Poll::Pending if tick => Poll::Ready(self.on_tick()),
            Poll::Ready(_) | Poll::Pending => read,
        }
    }

    /// Pending when nothing more has come in.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        for _ in 0..BATCH_LEN_MAX {
            let item = ready!(Pin::new(&mut self.inbound).poll_next(cx));
            let step = self.on_item(item);
            if step.is_break() {
                return Poll::Ready(step);
            }
        }
        Poll::Ready(Step::Continue(()))
    }

    fn closed(&self, why: Why) -> LinkEnd {
        LinkEnd::quiet(match why {
            Why::Dropped => EndedLink::Lost,
            Why::Stalled => EndedLink::Stalled,
            Why::Told if self.hub.is_closing() => EndedLink::Drained,
            Why::Told => EndedLink::Replaced,
        })
    }

    fn on_item(&mut self, item: Option<Result<FromWorker, Status>>) -> Step {
        match item {
            Some(Ok(frame)) => self.on_frame(frame),
            None if !self.link.serves() => Step::Break(LinkEnd::quiet(EndedLink::Left)),
            None => Step::Break(LinkEnd::quiet(EndedLink::Lost)),
            Some(Err(status)) => Step::Break(inbound::broken(status)),
        }
    }

    fn on_tick(&mut self) -> Step {
        let now = self.hub.shared.env.now();
        self.timer.reset(now + self.tick);
        if self.hub.is_closing() {
            return Step::Break(self.closed(Why::Told));
        }
        // A link that was made while the hub began to drain has not been told.
        if self.hub.is_draining() && self.link.serves() {
            self.link.drain();
            self.hub.roster.refresh(&self.link);
        }
        if std::mem::take(&mut self.heard) {
            self.heartbeat.heard(now);
        }
        let throttled = &self.hub.shared.metrics.throttled;
        if self.credit.is_throttled() {
            throttled.count(Throttled::Chatter);
        }
        if self.instance.holds_too_much() {
            throttled.count(Throttled::Unowned);
        }
        self.credit.tick();
        self.grant();
        match self.heartbeat.tick(now) {
            Beat::Quiet => Step::Continue(()),
            Beat::Ping => self.beat(now),
            Beat::Dead => {
                let silent = Status::deadline_exceeded("no sign of life from the worker");
                Step::Break(LinkEnd::new(EndedLink::Silent, silent))
            }
        }
    }

    /// A reload may have taken the worker's credential away.
    fn beat(&mut self, now: Instant) -> Step {
        if !self.hub.tokens.is_current(&self.instance.grant) {
            let status = Status::unauthenticated("the credential is not valid any more");
            return Step::Break(LinkEnd::new(EndedLink::Revoked, status));
        }
        let nonce = now.0;
        self.ping = Some(Ping { nonce, sent: now });
        self.link.outbox.control(Frame::Ping(wire::Ping { nonce }));
        Step::Continue(())
    }

    fn grant(&mut self) {
        // What nobody owns is claimed or given up first; heartbeats and control need no credit.
        if self.instance.holds_too_much() {
            return;
        }
        if let Some(bytes) = self.credit.grant() {
            self.link
                .outbox
                .control(Frame::Grant(wire::Grant { bytes }));
        }
    }
}

/// However the task ends, nobody waits for a link that nobody reads.
impl<S> Drop for WorkerLink<S> {
    fn drop(&mut self) {
        self.link.outbox.close(Why::Told, self.end.status.take());
        self.instance.lose_link(&self.link);
        let reason = match std::thread::panicking() {
            true => EndedLink::Panicked,
            false => self.end.reason,
        };
        self.hub.unlinked(&self.instance, &self.link, reason);
    }
}

#[cfg(test)]
mod tests;
