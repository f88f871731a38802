//! A worker comes, a worker goes.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use futures_util::Stream;
use ostler_rpc::worker_v1::{self as wire, FromWorker};
use ostler_types::{ServerId, WorkerId};
use parking_lot::Mutex;
use tonic::Status;

use crate::{
    Inner,
    config::Config,
    instance::{Instance, KnownCalls},
    link::{
        Link, LinkedServer, WorkerLink,
        handshake::{Newcomer, Offered},
        outbox::Why,
    },
    machine::{Crowded, NotAdmitted, Process},
    metrics::{EndedLink, RefusedLink},
    offer,
    roster::Admitted,
    service::Refused,
};

/// Which link's catalog of a worker counts: links of one worker may end after the next began.
#[derive(Default)]
pub(crate) struct Registered(Mutex<HashMap<(ServerId, WorkerId), u64>>);

impl Registered {
    /// Before the catalog is registered, so that no earlier link removes it.
    pub fn take(&self, server: &ServerId, worker: &WorkerId, link: &Link) {
        let key = (server.clone(), worker.clone());
        self.0.lock().insert(key, link.number);
    }

    pub fn is_of(&self, server: &ServerId, worker: &WorkerId, link: &Link) -> bool {
        let key = (server.clone(), worker.clone());
        self.0.lock().get(&key) == Some(&link.number)
    }

    /// Removes what is this link's and nobody else's.
    fn leave(&self, server: &ServerId, worker: &WorkerId, link: &Link, remove: impl FnOnce()) {
        let key = (server.clone(), worker.clone());
        let mut registered = self.0.lock();
        if registered.get(&key) == Some(&link.number) {
            registered.remove(&key);
            remove();
        }
    }
}

impl Inner {
    /// Gives a checked worker its link and the actor that reads it: from here on calls go out.
    /// Nothing is awaited, so a link is made whole or not at all.
    pub(crate) fn admit<S>(
        self: &Arc<Self>,
        newcomer: Newcomer,
        inbound: S,
    ) -> Result<WorkerLink<S>, Refused>
    where
        S: Stream<Item = Result<FromWorker, Status>> + Unpin,
    {
        let (now, max) = (
            self.shared.env.now(),
            self.shared.config.links_per_ten_seconds_max,
        );
        let claim = (newcomer.grant.credential.clone(), newcomer.worker.clone());
        if let Err(wait) = self.roster.count_link(claim, now, max) {
            let message = format!("linked too often, wait {} ms", wait.as_millis());
            return Err(Refused {
                reason: RefusedLink::Flapping,
                status: Status::resource_exhausted(message),
            });
        }
        let link = Arc::new(self.new_link(&newcomer));
        let Admitted {
            instance,
            is_new,
            replaced,
        } = self.let_in(&newcomer, &link)?;
        self.shared.metrics.links.increment(1.0);
        // From here on dropping the reader undoes it all, also if a catalog makes us panic.
        let reader = WorkerLink::new(self.clone(), instance.clone(), link.clone(), inbound);
        if let Some(old) = replaced {
            self.replace(&old);
        }
        let (known, welcome) = self.register(newcomer, &link);
        instance.hello(&link, &known);
        if is_new {
            let (worker, grant) = (&instance.worker, &instance.grant);
            self.orphans.newcomer(worker, instance.epoch, grant);
        }
        link.outbox.welcome(welcome);
        self.roster.publish(&instance, &link);
        self.watches.tell(&link);
        // Counted when it takes calls, so that whoever waits for a link can use it.
        self.shared.metrics.links_opened.increment(1);
        Ok(reader)
    }

    fn new_link(&self, newcomer: &Newcomer) -> Link {
        let number = self.links_made.fetch_add(1, Ordering::Relaxed);
        let server = |it: &Offered| {
            LinkedServer::new(it.server.clone(), it.offer.resource_watch, it.catalog_bytes)
        };
        let servers = newcomer.offers.iter().map(server).collect();
        Link::new(number, newcomer.capacity, servers, &self.shared.config)
    }

    fn let_in(&self, newcomer: &Newcomer, link: &Arc<Link>) -> Result<Admitted, Refused> {
        let (worker, epoch, grant) = (&newcomer.worker, newcomer.epoch, &newcomer.grant);
        let process = Process {
            epoch,
            credential: &grant.credential,
        };
        let new = || Instance::new(worker.clone(), epoch, grant.clone(), self.shared.clone());
        let config = &self.shared.config;
        let admitted = self.roster.admit(worker, process, link, config, new);
        admitted.map_err(|why| match why {
            NotAdmitted::Crowded(why) => crowded(why, config),
            NotAdmitted::OtherCredential => Status::permission_denied(format!(
                "the worker id {worker} belongs to another credential"
            ))
            .into(),
            NotAdmitted::AlreadyLinked => Status::already_exists(format!(
                "the worker {worker} is linked; a restarted one needs a higher instance epoch"
            ))
            .into(),
            NotAdmitted::Outdated => {
                Status::already_exists(format!("a newer process of the worker {worker} is known"))
                    .into()
            }
        })
    }

    /// GRPC-006: the newer process wins, and the old one's calls end at once.
    fn replace(&self, old: &Instance) {
        if let Some(link) = old.link() {
            let status = Status::aborted("a newer process of this worker has linked");
            link.outbox.close(Why::Told, Some(status));
            old.lose_link(&link);
            self.roster.refresh(&link);
        }
        old.end_all();
    }

    fn register(&self, newcomer: Newcomer, link: &Link) -> (KnownCalls, wire::Welcome) {
        let mut refusals = newcomer.refusals;
        let servers: Vec<ServerId> = newcomer.offers.iter().map(|it| it.server.clone()).collect();
        for (index, Offered { server, offer, .. }) in (0..).zip(newcomer.offers) {
            self.registered.take(&server, &newcomer.worker, link);
            let refused = self.catalogs.register(&server, &newcomer.worker, offer);
            refusals.extend(refused.into_iter().map(|it| offer::refusal(index, it)));
        }
        let (worker, epoch, sdk) = (&newcomer.worker, newcomer.epoch.0, &newcomer.sdk);
        tracing::info!(%worker, epoch, sdk, ?servers, refused = refusals.len(), "worker linked");
        refusals.truncate(offer::REFUSALS_MAX);
        let config = &self.shared.config;
        let welcome = wire::Welcome {
            protocol: newcomer.protocol,
            heartbeat_ms: u32::try_from(config.heartbeat.as_millis()).unwrap_or(u32::MAX),
            byte_credit: config.byte_credit as u64,
            outcome_bytes_max: config.outcome_bytes_max as u64,
            refusals,
        };
        (newcomer.known, welcome)
    }

    /// A link has ended; its worker may come back.
    pub(crate) fn unlinked(&self, instance: &Instance, link: &Link, reason: EndedLink) {
        self.roster.refresh(link);
        for server in link.servers() {
            let remove = || self.catalogs.remove(server, &instance.worker);
            self.registered
                .leave(server, &instance.worker, link, remove);
        }
        self.shared.metrics.links.decrement(1.0);
        self.shared.metrics.links_ended.count(reason);
        let (worker, epoch) = (&instance.worker, instance.epoch.0);
        tracing::info!(%worker, epoch, ?reason, "worker unlinked");
        self.unlinked.notify_waiters();
    }

    /// Tells all workers of a Server.
    pub(crate) fn tell_watch(&self, server: &ServerId, uri: &str, watched: bool) {
        for worker in self.roster.candidates(server).iter() {
            worker.link.watch(server, uri, watched);
        }
    }
}

/// What a worker is told for which there is no room beside the others of its credential.
pub(crate) fn crowded(why: Crowded, config: &Config) -> Refused {
    Refused {
        reason: RefusedLink::Crowded,
        status: Status::resource_exhausted(why.explain(config)),
    }
}

#[cfg(test)]
mod tests {
    use ostler_types::{ServerName, TenantId};

    use super::*;

    #[test]
    fn the_end_of_a_link_removes_only_its_own_catalog() {
        let server = ServerId {
            tenant: TenantId::parse("acme").expect("a name"),
            name: ServerName::parse("calc").expect("a name"),
        };
        let worker = WorkerId::parse("w1").expect("a name");
        let link = |number| Link::new(number, 1, Vec::new(), &Config::default());
        let (old, new, registered) = (link(1), link(2), Registered::default());
        registered.take(&server, &worker, &old);
        registered.take(&server, &worker, &new);
        registered.leave(&server, &worker, &old, || panic!("it is of the new link"));
        assert!(registered.is_of(&server, &worker, &new));
        assert!(!registered.is_of(&server, &worker, &old));
        let mut removed = false;
        registered.leave(&server, &worker, &new, || removed = true);
        assert!(removed);
        assert!(registered.0.lock().is_empty());
    }
}
