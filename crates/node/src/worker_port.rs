//! The port workers dial in to.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use ostler_hub::Hub;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Error, Server, server::Connected};

/// HTTP/2 windows of a link. Unacknowledged call bytes stay under half of the stream's, so that a
/// cancel always gets through.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Serves what comes in, on sockets or any other wire.
pub async fn serve<S, E>(
    incoming: impl Stream<Item = Result<S, E>>,
    hub: Hub,
    stop: CancellationToken,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // What comes in at the very end is not left to chance, as it would be with tonic's own signal.
    let incoming = incoming.take_until(stop.cancelled_owned());
    Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(64)
        .add_service(hub.service())
        .serve_with_incoming_shutdown(incoming, std::future::pending())
        .await
}
