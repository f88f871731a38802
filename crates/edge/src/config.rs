//! What the edge can be told.

use std::{net::SocketAddr, time::Duration};

use ostler_types::{Limits, ServerId};

/// Settings of the HTTP door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The Server behind the bare `/mcp` and `/sse`.
    pub default_server: Option<ServerId>,
    /// Names (`host` or `host:port`) a request may carry in `Host`. Loopback names are added when
    /// listening on loopback [OR-3].
    pub hosts: Vec<String>,
    /// Origins browsers may come from, as `scheme://host[:port]`. Loopback origins are added when
    /// listening on loopback [OR-1].
    pub origins: Vec<String>,
    /// How long a response waits for the first event before it becomes a stream [SH-5].
    pub stream_after: Duration,
    /// How long a task-capable call runs before it becomes a task.
    pub task_after: Duration,
    /// Time between keep-alive comments on an open stream [SSE-11].
    pub keep_alive: Duration,
    /// A stream whose client takes nothing of it for so long is cut [SSE-14]; it is seen at the next
    /// keep-alive comment.
    pub stall_timeout: Duration,
    /// A client that acknowledges nothing for so long has vanished. With the longest time between
    /// two comments (`keep_alive` and a fifth) this is how long that can go unnoticed. It is
    /// TCP_USER_TIMEOUT, which also ends a connection whose client keeps its window closed for so
    /// long: over HTTP/1 that comes before `stall_timeout` unless this is longer.
    pub peer_timeout: Duration,
    /// Time for a connection's first byte.
    pub first_byte_timeout: Duration,
    /// Time for the header lines of a request.
    pub header_timeout: Duration,
    /// Time for the body of a request.
    pub body_timeout: Duration,
    /// Time for `initialize` on a stream of HTTP+SSE.
    pub initialize_timeout: Duration,
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            default_server: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            stream_after: Duration::from_millis(750),
            task_after: Duration::from_millis(250),
            keep_alive: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            peer_timeout: Duration::from_secs(12),
            first_byte_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            initialize_timeout: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }
}
