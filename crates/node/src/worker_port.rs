//! The port workers dial in to.

use std::time::Duration;

use ostler_hub::Hub;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Server, server::TcpIncoming};

/// HTTP/2 windows of a link. Unacknowledged call bytes stay under half of the stream's, so that a
/// cancel always gets through.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    // The builder's own switch does not reach sockets of a listener that was bound before.
    // Without it a call after a pause waits 40 ms for an acknowledgement.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(5)))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(64)
        .add_service(hub.service())
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
}
