//! The accept loop: sockets in, HTTP connections served, bounds kept.
//!
//! Our own loop instead of `axum::serve`, because that has no header deadline, no per-address bound
//! and doubles the memory of an idle stream (a combined HTTP/1 and HTTP/2 state machine).
//! Owns: the listener. Started by: `Edge::serve`. Stops when: the shutdown token is cancelled; open
//! connections, which `Edge::idle` waits for, are then given until the drain limit.
//! Never: parses HTTP or knows MCP.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, Stream, StreamExt};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use ostler_env::Env;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

use crate::{
    carrier::{Carrier, Socket, Watched},
    config::Config,
    metrics::{Closed, Metrics},
    routes::Door,
};

/// How long accepting rests when there are no descriptors or too many connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What an HTTP/2 connection starts with, including the end of its first line.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Accepts until `stop`.
pub async fn serve(
    acceptor: Acceptor,
    listener: TcpListener,
    stop: CancellationToken,
    abort: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => acceptor.admit(socket, peer, &stop, &abort),
            Err(error) => acceptor.pause(&error).await,
        }
    }
}

/// The same for streams that somebody else accepts, as HTTP/1.
pub async fn serve_streams<S>(
    acceptor: Acceptor,
    incoming: impl Stream<Item = (S, SocketAddr)>,
    stop: CancellationToken,
    abort: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut incoming = pin!(incoming.take_until(stop.cancelled()));
    while let Some((socket, peer)) = incoming.next().await {
        acceptor.start(peer, &stop, &abort, |connection| async move {
            let served = connection.serve_http1(socket).await;
            connection.served(served)
        });
    }
}

/// What a new connection needs.
#[derive(Clone)]
pub struct Acceptor {
    pub env: Env,
    pub config: Arc<Config>,
    pub door: Door,
    pub metrics: Metrics,
    pub open: Arc<Open>,
}

impl Acceptor {
    fn admit(
        &self,
        socket: TcpStream,
        peer: SocketAddr,
        stop: &CancellationToken,
        abort: &CancellationToken,
    ) {
        self.start(peer, stop, abort, |connection| async move {
            connection.serve(socket).await
        });
    }

    fn start<F>(
        &self,
        peer: SocketAddr,
        stop: &CancellationToken,
        abort: &CancellationToken,
        serve: impl FnOnce(Connection) -> F,
    ) where
        F: Future<Output = Closed> + Send + 'static,
    {
        let limits = &self.config.limits;
        let Some(place) = self.open.enter(
            peer.ip(),
            limits.connections_max,
            limits.connections_per_address_max,
        ) else {
            // Closed right away: a queue of connections we cannot serve helps nobody.
            self.metrics.connection_closed(Closed::Full);
            return;
        };
        let connection = Connection {
            acceptor: self.clone(),
            peer,
            stop: stop.clone(),
        };
        let (metrics, abort) = (self.metrics.clone(), abort.clone());
        let served = serve(connection);
        self.env.spawn("edge.connection", async move {
            metrics.connections_opened.increment(1);
            let closed = tokio::select! {
                // A cut is a cut, whatever else could be done.
                biased;
                () = abort.cancelled() => Closed::Cut,
                closed = served => closed,
            };
            metrics.connection_closed(closed);
            drop(place);
        });
    }

    async fn pause(&self, error: &io::Error) {
        tracing::warn!(%error, "accepting connections pauses");
        self.metrics.accept_paused.increment(1);
        self.env.sleep(ACCEPT_PAUSE).await;
    }
}

struct Connection {
    acceptor: Acceptor,
    peer: SocketAddr,
    stop: CancellationToken,
}

impl Connection {
    async fn serve(&self, socket: TcpStream) -> Closed {
        if let Err(error) = tune(&socket, self.acceptor.config.peer_timeout) {
            tracing::debug!(%error, peer = %self.peer, "socket options were not taken");
        }
        // Nothing was asked yet on a connection that says nothing: it need not be waited for.
        let is_http2 = tokio::select! {
            // What came in before the stop is served.
            biased;
            is_http2 = self.is_http2(&socket) => is_http2,
            () = self.stop.cancelled() => return Closed::Served,
        };
        let result = match is_http2 {
            Some(true) => self.serve_http2(socket).await,
            Some(false) => self.serve_http1(socket).await,
            None => return Closed::Silent,
        };
        self.served(result)
    }

    fn served(&self, result: hyper::Result<()>) -> Closed {
        if let Err(error) = result {
            tracing::debug!(%error, peer = %self.peer, "connection ended");
        }
        Closed::Served
    }

    /// Looks at the first bytes without taking them; `None` when none came in time.
    async fn is_http2(&self, socket: &TcpStream) -> Option<bool> {
        let mut deadline = pin!(
            self.acceptor
                .env
                .sleep(self.acceptor.config.first_byte_timeout)
        );
        let mut start = [0; H2_PREFACE.len()];
        let mut seen = 0;
        loop {
            let peeked = tokio::select! {
                () = &mut deadline => return None,
                peeked = socket.peek(&mut start) => peeked.ok().filter(|n| *n > 0)?,
            };
            if peeked == start.len() || start[..peeked] != H2_PREFACE[..peeked] {
                return Some(start == H2_PREFACE);
            }
            if peeked == seen {
                // A part of the preface and no more yet: look again soon.
                self.acceptor.env.sleep(Duration::from_millis(10)).await;
            }
            seen = peeked;
        }
    }

    async fn serve_http1(
        &self,
        socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> hyper::Result<()> {
        let config = &self.acceptor.config;
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_timeout)
            .max_buf_size(config.limits.header_bytes_max.max(8 << 10) * 4)
            .half_close(false);
        let carrier = Carrier::on(&Arc::default());
        let socket = Watched::new(TokioIo::new(socket), &carrier);
        let connection = builder.serve_connection(socket, self.acceptor.door.clone());
        let mut connection = Box::pin(connection);
        let served = carrier.carry(async {
            tokio::select! {
                // What came in before the stop is served.
                biased;
                result = connection.as_mut() => return result,
                () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
            }
            connection.as_mut().await
        });
        served.await.unwrap_or(Ok(()))
    }

    async fn serve_http2(&self, socket: TcpStream) -> hyper::Result<()> {
        let limits = &self.acceptor.config.limits;
        let watched = Arc::<Socket>::default();
        let spawn = NamedSpawn {
            env: self.acceptor.env.clone(),
            socket: watched.clone(),
        };
        let mut builder = http2::Builder::new(spawn);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(100)
            .max_pending_accept_reset_streams(20)
            .max_local_error_reset_streams(64)
            .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
            .keep_alive_interval(config_keep_alive(&self.acceptor.config))
            .keep_alive_timeout(self.acceptor.config.peer_timeout);
        let socket = Watched::new(TokioIo::new(socket), &Carrier::on(&watched));
        let connection = builder.serve_connection(socket, self.acceptor.door.clone());
        let mut connection = Box::pin(connection);
        let mut stopped = pin!(self.stop.cancelled().fuse());
        let result = loop {
            tokio::select! {
                // What came in before the stop is served.
                biased;
                result = connection.as_mut() => break result,
                () = &mut stopped => connection.as_mut().graceful_shutdown(),
            }
        };
        // Told before the connection goes, with which its streams end.
        if result.as_ref().is_err_and(hyper::Error::is_timeout) {
            watched.give_up();
        }
        result
    }
}

fn config_keep_alive(config: &Config) -> Duration {
    config.keep_alive.max(Duration::from_secs(1))
}

fn tune(socket: &TcpStream, peer_timeout: Duration) -> io::Result<()> {
    socket.set_nodelay(true)?;
    // Elsewhere a vanished peer is found by the write of a keep-alive comment, later.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(socket).set_tcp_user_timeout(Some(peer_timeout))?;
    Ok(())
}

/// HTTP/2 streams run as named tasks, each of which can be ended alone.
#[derive(Clone)]
struct NamedSpawn {
    env: Env,
    socket: Arc<Socket>,
}

impl<F> hyper::rt::Executor<F> for NamedSpawn
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        let carrier = Carrier::on(&self.socket);
        self.env.spawn("edge.http2", async move {
            carrier.carry(future).await;
        });
    }
}

/// The connections that are open, in all and by address.
#[derive(Debug, Default)]
pub struct Open {
    by_address: Mutex<(usize, HashMap<IpAddr, usize>)>,
    emptied: Notify,
}

impl Open {
    fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        all_max: usize,
        address_max: usize,
    ) -> Option<Place> {
        let mut by_address = self.by_address.lock();
        let (all, of) = &mut *by_address;
        let here = of.get(&address).copied().unwrap_or(0);
        if *all >= all_max || here >= address_max {
            return None;
        }
        *all += 1;
        of.insert(address, here + 1);
        Some(Place {
            open: self.clone(),
            address,
        })
    }

    fn leave(&self, address: IpAddr) {
        let mut by_address = self.by_address.lock();
        let (all, of) = &mut *by_address;
        *all -= 1;
        if let Some(here) = of.get_mut(&address) {
            *here -= 1;
            if *here == 0 {
                of.remove(&address);
            }
        }
        if *all == 0 {
            self.emptied.notify_waiters();
        }
    }

    pub fn count(&self) -> usize {
        self.by_address.lock().0
    }

    /// Waits until none is open.
    // Cancel safe: it only looks.
    pub async fn emptied(&self) {
        loop {
            let mut emptied = pin!(self.emptied.notified());
            // Listen first, look second: no end can fall in between.
            emptied.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// One open connection's place; dropping it frees it.
#[derive(Debug)]
struct Place {
    open: Arc<Open>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.leave(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_in_all_and_by_address() {
        let open = Arc::new(Open::default());
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = open.enter(a, 3, 2);
        let _second = open.enter(a, 3, 2);
        assert!(first.is_some() && open.enter(a, 3, 2).is_none());
        let _third = open.enter(b, 3, 2);
        assert!(open.enter(b, 3, 2).is_none());
        drop(first);
        assert!(open.enter(b, 3, 2).is_some());
    }
}
