//! Where clients, workers and operators come in: sockets, or the wires of a simulation.

use std::net::SocketAddr;

use anyhow::Context;
use futures_util::{FutureExt, future::BoxFuture};
use ostler_edge::Edge;
use ostler_hub::Hub;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;

use crate::{config::Config, worker_port};

/// Serves one port to its end.
pub type Port = BoxFuture<'static, anyhow::Result<()>>;

/// The ports of one node; each is served once.
pub trait Ports: Send + Sync {
    /// Until `stop`; what is open then has until `abort`.
    fn edge(&mut self, edge: Edge, stop: CancellationToken, abort: CancellationToken) -> Port;
    fn workers(&mut self, hub: Hub, stop: CancellationToken) -> Port;
    /// None where no operator looks.
    fn admin(&mut self) -> Option<TcpListener>;
}

/// Where a node listens; ports of 0 have become real ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub edge: SocketAddr,
    pub workers: SocketAddr,
    pub admin: SocketAddr,
}

/// Sockets.
pub(crate) struct Listeners {
    edge: Option<TcpListener>,
    workers: Option<TcpListener>,
    admin: Option<TcpListener>,
}

impl Listeners {
    pub async fn bind(config: &Config) -> anyhow::Result<(Listeners, Addresses)> {
        let edge = bind("edge.listen", config.edge.listen).await?;
        let workers = bind("workers.listen", config.workers.listen).await?;
        let admin = bind("admin.listen", config.admin.listen).await?;
        let addresses = Addresses {
            edge: edge.local_addr()?,
            workers: workers.local_addr()?,
            admin: admin.local_addr()?,
        };
        let listeners = Listeners {
            edge: Some(edge),
            workers: Some(workers),
            admin: Some(admin),
        };
        Ok((listeners, addresses))
    }
}

impl Ports for Listeners {
    fn edge(&mut self, edge: Edge, stop: CancellationToken, abort: CancellationToken) -> Port {
        let listener = self.edge.take().expect("a port is served once");
        async move {
            edge.serve(listener, stop, abort).await;
            Ok(())
        }
        .boxed()
    }

    fn workers(&mut self, hub: Hub, stop: CancellationToken) -> Port {
        let listener = self.workers.take().expect("a port is served once");
        // The builder's own switch does not reach sockets of a listener that was bound before.
        // Without it a call after a pause waits 40 ms for an acknowledgement.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        async move { Ok(worker_port::serve(incoming, hub, stop).await?) }.boxed()
    }

    fn admin(&mut self) -> Option<TcpListener> {
        self.admin.take()
    }
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| {
        format!("{key} = {address} cannot be bound; is another node running? choose another port")
    })
}
