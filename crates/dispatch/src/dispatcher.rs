//! The way to a worker, step by step.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ostler_auth::{decide, policy};
use ostler_catalog::{Catalogs, ChangeWatch, Fingerprints, Snapshot};
use ostler_env::Env;
use ostler_hub::{Hub, Placement, TooManyWatches, Watch};
use ostler_protocol::{Raw, call::Answer, facet::ClientFacet};
use ostler_types::{
    CallId, CallKind, Caller, Instant, Limits, Operation, ServerId, Shard, TenantId,
};

use crate::{
    admission::{Admission, RETRY_AFTER},
    call::{CallStream, KeptCall},
    choice,
    control::CallControl,
    flight::{Facets, Flight, Resend},
    metrics::Metrics,
    refusal::Refusal,
    resolve::{self, Admitted},
    workers::Workers,
};

/// The only way to a worker. Cloning is cheap; all clones are the same dispatcher.
pub struct Dispatcher<W: Workers = Hub>(Arc<Shared<W>>);

pub(crate) struct Shared<W> {
    pub(crate) env: Env,
    pub(crate) workers: W,
    pub(crate) catalogs: Catalogs,
    pub(crate) metrics: Metrics,
    admission: Admission,
    call_timeout: Duration,
    draining: AtomicBool,
}

/// What a request asks of the entry it was admitted for.
#[derive(Debug, Clone)]
pub struct NewCall {
    /// From [`Dispatcher::mint_call_id`].
    pub id: CallId,
    /// An object; for a completion `{argument, context?}`.
    pub arguments: Raw,
    pub facet: ClientFacet,
    pub wants_progress: bool,
    /// Answers known from the start.
    pub answers: Vec<Answer>,
}

/// What the stored row of a kept call says: who may claim it, and where it runs.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub call: CallId,
    pub tenant: &'a TenantId,
    pub server: &'a ServerId,
    pub kind: CallKind,
    pub target: &'a str,
    pub placement: &'a Placement,
    pub deadline: Instant,
}

impl<W: Workers> Clone for Dispatcher<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W: Workers> Dispatcher<W> {
    pub fn new(env: &Env, workers: W, catalogs: Catalogs, limits: &Limits) -> Self {
        Self(Arc::new(Shared {
            env: env.clone(),
            workers,
            catalogs,
            metrics: Metrics::new(env.metrics()),
            admission: Admission::new(limits, env.metrics()),
            call_timeout: limits.call_timeout,
            draining: AtomicBool::new(false),
        }))
    }

    /// What a Server offers, for a look at it. Unknown and foreign Servers look the same.
    pub fn snapshot(&self, caller: &Caller, server: &ServerId) -> Result<Arc<Snapshot>, Refusal> {
        let _permit = decide(caller, server, Operation::Look, NO_SCOPES)?;
        self.0
            .catalogs
            .snapshot(server)
            .ok_or(Refusal::UnknownServer)
    }

    /// Decides at the door whether a request may become a call: is there such a thing, may this
    /// caller use it, is there room, is there a worker.
    pub fn admit(
        &self,
        caller: &Caller,
        server: &ServerId,
        kind: CallKind,
        target: &str,
    ) -> Result<Admitted<W>, Refusal> {
        let admitted = self.try_admit(caller, server, kind, target);
        admitted.inspect_err(|refusal| self.0.metrics.refused(refusal))
    }

    fn try_admit(
        &self,
        caller: &Caller,
        server: &ServerId,
        kind: CallKind,
        target: &str,
    ) -> Result<Admitted<W>, Refusal> {
        let snapshot = self.snapshot(caller, server)?;
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        let entry = resolve::resolve(&snapshot, kind, target)?;
        let operation = Operation::Call { kind, target };
        let permit = policy::decide(caller, server, operation, &entry.declarations().scopes)?;
        let room = self.0.admission.take(caller.tenant())?;
        let candidates = self.0.workers.candidates(server);
        let random = self.0.env.random_u64();
        let worker = choice::choose(&candidates, entry.workers(), random)?.clone();
        Ok(Admitted {
            snapshot,
            kind,
            target: target.to_owned(),
            server: server.clone(),
            entry,
            worker,
            room,
            _permit: permit,
        })
    }

    /// Whether this caller may still have to do with a call that was admitted earlier: scopes are
    /// looked at again, room and workers are not. What is not listed now declares nothing: then
    /// only whose Server it is counts.
    pub fn permit(
        &self,
        caller: &Caller,
        server: &ServerId,
        kind: CallKind,
        target: &str,
    ) -> Result<(), Refusal> {
        let permitted = self.try_permit(caller, server, kind, target);
        permitted.inspect_err(|refusal| self.0.metrics.refused(refusal))
    }

    fn try_permit(
        &self,
        caller: &Caller,
        server: &ServerId,
        kind: CallKind,
        target: &str,
    ) -> Result<(), Refusal> {
        let operation = Operation::Call { kind, target };
        let _permit = decide(caller, server, operation, NO_SCOPES)?;
        let snapshot = self.0.catalogs.snapshot(server);
        let entry = snapshot.and_then(|snapshot| resolve::resolve(&snapshot, kind, target).ok());
        if let Some(entry) = entry {
            let _permit = decide(caller, server, operation, &entry.declarations().scopes)?;
        }
        Ok(())
    }

    /// Starts a call. It has begun when this returns; drive it by polling the stream.
    pub fn start(
        &self,
        caller: &Caller,
        admitted: Admitted<W>,
        call: NewCall,
        control: CallControl,
    ) -> CallStream<W> {
        let declarations = admitted.declarations();
        let resend = Resend {
            caller: caller.clone(),
            arguments: call.arguments,
            facet: call.facet,
            wants_progress: call.wants_progress,
            answers: call.answers,
            idempotent: declarations.idempotent,
        };
        let facets = Facets {
            shared: self.0.clone(),
            call: call.id,
            kind: admitted.kind,
            deadline: self.deadline(caller, declarations.timeout),
            tool: admitted.tool().cloned(),
            server: admitted.server,
            target: admitted.target,
            control,
            room: admitted.room,
        };
        CallStream::new(Flight::start(facets, resend, &admitted.worker))
    }

    fn deadline(&self, caller: &Caller, declared: Option<Duration>) -> Instant {
        let timeout = declared.unwrap_or(Duration::MAX).min(self.0.call_timeout);
        caller.deadline.min(self.0.env.now() + timeout)
    }

    /// Claims a kept call that runs already, for the owner whose row it is. What any other
    /// attempt than the row's says does not count, and is left for the hub to forget.
    pub fn attach(&self, claim: Claim<'_>) -> Option<KeptCall<W>> {
        if *claim.tenant != claim.server.tenant {
            return None;
        }
        let attempt = self.0.workers.attach(claim.call, claim.placement)?;
        let facets = Facets {
            shared: self.0.clone(),
            call: claim.call,
            kind: claim.kind,
            server: claim.server.clone(),
            target: claim.target.to_owned(),
            tool: self.tool_of(&claim),
            control: CallControl::new(),
            deadline: claim.deadline,
            room: self.0.admission.take_anyway(claim.tenant),
        };
        Some(KeptCall::new(Flight::claim(facets, attempt)))
    }

    fn tool_of(&self, claim: &Claim<'_>) -> Option<Arc<ostler_catalog::Tool>> {
        let snapshot = self.0.catalogs.snapshot(claim.server)?;
        let tool = (claim.kind == CallKind::Tool).then(|| snapshot.tool(claim.target))?;
        tool.cloned()
    }

    /// A new id, in the shard of whoever will own the call.
    pub fn mint_call_id(&self, shard: Shard) -> CallId {
        let mut bytes = [0; 16];
        self.0.env.fill_random(&mut bytes);
        bytes[0] = shard.0;
        CallId(u128::from_be_bytes(bytes))
    }

    /// Follows the lists of a Server, from what they are now.
    pub fn watch_changes(
        &self,
        caller: &Caller,
        server: &ServerId,
    ) -> Result<ChangeWatch, Refusal> {
        let _permit = decide(caller, server, Operation::Listen, NO_SCOPES)?;
        Ok(self.0.catalogs.watch(server))
    }

    /// Follows the lists of a Server, from what a listener knew of them earlier.
    pub fn watch_changes_since(
        &self,
        caller: &Caller,
        server: &ServerId,
        seen: Fingerprints,
    ) -> Result<ChangeWatch, Refusal> {
        let _permit = decide(caller, server, Operation::Listen, NO_SCOPES)?;
        Ok(self.0.catalogs.watch_since(server, seen))
    }

    /// Takes no new calls from here on. Running ones go on.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Calls admitted and not ended.
    pub fn in_flight(&self) -> usize {
        self.0.admission.in_flight()
    }
}

impl Dispatcher {
    /// Follows one resource, for who may read it. While nobody serves it now, the watch waits.
    pub fn watch_resource(
        &self,
        caller: &Caller,
        server: &ServerId,
        uri: &str,
    ) -> Result<Watch, Refusal> {
        let _permit = decide(caller, server, Operation::Listen, NO_SCOPES)?;
        if let Some(snapshot) = self.0.catalogs.snapshot(server) {
            check_watchable(caller, server, &snapshot, uri)?;
        }
        let watch = self.0.workers.watch(server, uri);
        let retry_after = RETRY_AFTER;
        watch.map_err(|full| match full {
            TooManyWatches::OfTenant => Refusal::RateLimited { retry_after },
            TooManyWatches::OfNode => Refusal::Overloaded { retry_after },
        })
    }
}

fn check_watchable(
    caller: &Caller,
    server: &ServerId,
    snapshot: &Snapshot,
    uri: &str,
) -> Result<(), Refusal> {
    let kind = CallKind::Resource;
    if !snapshot.capabilities.resource_watch {
        return Err(Refusal::NotOffered(kind));
    }
    let entry = match resolve::resolve(snapshot, kind, uri) {
        Err(Refusal::NoWorker) => return Ok(()),
        found => found?,
    };
    let operation = Operation::Call { kind, target: uri };
    let _permit = decide(caller, server, operation, &entry.declarations().scopes)?;
    Ok(())
}

const NO_SCOPES: &[&str] = &[];

#[cfg(test)]
mod tests;
