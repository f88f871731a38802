//! The gRPC door for workers.

use std::{net::IpAddr, sync::Arc};

use ostler_auth::WorkerGrant;
use ostler_rpc::worker_v1::{FromWorker, workers_server::Workers};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use crate::{
    Inner,
    admission::crowded,
    handshakes::Handshake,
    link::{
        handshake::{Newcomer, shake},
        outbox::Outbound,
    },
    machine::Crowded,
    metrics::RefusedLink,
};

/// Answers `Attach`. Made by [`crate::Hub::service`].
#[derive(Clone)]
pub struct Service(pub(crate) Arc<Inner>);

#[tonic::async_trait]
impl Workers for Service {
    type AttachStream = Outbound;

    async fn attach(
        &self,
        request: Request<Streaming<FromWorker>>,
    ) -> Result<Response<Outbound>, Status> {
        match self.link(request).await {
            Ok(outbound) => Ok(Response::new(outbound)),
            Err(refused) => {
                self.0.shared.metrics.links_refused.count(refused.reason);
                let (code, why) = (refused.status.code(), refused.status.message());
                tracing::warn!(code = %code, why, "a worker was not let in");
                Err(refused.status)
            }
        }
    }
}

/// A worker that was not let in, and what it is told.
#[derive(Debug)]
pub(crate) struct Refused {
    pub reason: RefusedLink,
    pub status: Status,
}

impl From<Status> for Refused {
    fn from(status: Status) -> Refused {
        let reason = match status.code() {
            tonic::Code::Unauthenticated => RefusedLink::Unauthenticated,
            tonic::Code::PermissionDenied => RefusedLink::Denied,
            tonic::Code::AlreadyExists => RefusedLink::Rival,
            tonic::Code::Unavailable => RefusedLink::Draining,
            tonic::Code::DeadlineExceeded => RefusedLink::Timeout,
            _ => RefusedLink::Invalid,
        };
        Refused { reason, status }
    }
}

impl Service {
    async fn link(&self, request: Request<Streaming<FromWorker>>) -> Result<Outbound, Refused> {
        if self.0.is_draining() {
            return Err(Status::unavailable("the node is draining, link to another one").into());
        }
        let ip = request.remote_addr().map(|address| address.ip());
        let grant = self.authenticate(request.metadata(), ip)?;
        let _handshake = self.begin_handshake(&grant)?;
        let mut inbound = request.into_inner();
        let newcomer = self.shake(&mut inbound, grant).await?;
        let reader = self.0.admit(newcomer, inbound)?;
        let outbound = reader.outbound();
        self.0.shared.env.spawn("hub-link", reader.run());
        Ok(outbound)
    }

    /// Identity comes from the token and from nothing else in the metadata (GRPC-003).
    fn authenticate(
        &self,
        metadata: &MetadataMap,
        ip: Option<IpAddr>,
    ) -> Result<Arc<WorkerGrant>, Status> {
        let authorization = metadata.get("authorization").map(|value| value.to_str());
        let authorization = authorization.transpose();
        let authorization =
            authorization.map_err(|_| Status::unauthenticated("authorization is not text"))?;
        let loopback = ip.is_some_and(|ip| ip.is_loopback());
        let grant = self.0.tokens.authenticate_worker(authorization, loopback);
        grant.map_err(|error| {
            let hint = "send metadata authorization: Bearer <worker token>";
            Status::unauthenticated(format!("{error}; {hint}"))
        })
    }

    fn begin_handshake(&self, grant: &WorkerGrant) -> Result<Handshake, Refused> {
        let config = &self.0.shared.config;
        let max = config.handshakes_per_credential_max;
        let handshake = self.0.handshakes.begin(&grant.credential, max);
        handshake.ok_or_else(|| crowded(Crowded::Handshakes, config))
    }

    async fn shake(
        &self,
        inbound: &mut Streaming<FromWorker>,
        grant: Arc<WorkerGrant>,
    ) -> Result<Newcomer, Status> {
        let shared = &self.0.shared;
        let until = shared.env.now() + shared.config.handshake_timeout;
        let shaken = shared
            .env
            .until(until, shake(inbound, grant, &shared.config))
            .await;
        shaken.unwrap_or_else(|| Err(Status::deadline_exceeded("no Hello in time")))
    }
}
