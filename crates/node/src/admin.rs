//! The port for operators: `/livez`, `/readyz`, `/metrics`.
//!
//! It shows no id and takes no command, so it asks for no credential; a page of another site is
//! kept out by its Host and Origin all the same.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, header};
use ostler_env::Env;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Health;

struct Desk {
    env: Env,
    health: Health,
    /// Names this port may be called by, besides those of loopback.
    hosts: Vec<String>,
    loopback: bool,
}

pub async fn serve(
    listener: TcpListener,
    env: Env,
    health: Health,
    hosts: Vec<String>,
    stop: CancellationToken,
) -> io::Result<()> {
    let bound: SocketAddr = listener.local_addr()?;
    let desk = Arc::new(Desk {
        env,
        health,
        hosts,
        loopback: bound.ip().is_loopback(),
    });
    let router = Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(desk.clone(), check_names))
        .with_state(desk);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

async fn ready(State(desk): State<Arc<Desk>>) -> Response {
    let obstacles = desk.health.obstacles();
    match obstacles.is_empty() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, obstacles.join("\n") + "\n").into_response(),
    }
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Response {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, desk.env.metrics().render()).into_response()
}

async fn check_names(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    if !desk.is_named(request.headers()) {
        return (
            StatusCode::MISDIRECTED_REQUEST,
            "this Host is not served here; add it to admin.hosts\n",
        )
            .into_response();
    }
    if request.headers().contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "this port is not for web pages\n").into_response();
    }
    next.run(request).await
}

impl Desk {
    fn is_named(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
        else {
            return false;
        };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let is_loopback = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
        // Off loopback without a list, whoever reaches the port may scrape it by any address.
        (self.loopback && is_loopback)
            || self
                .hosts
                .iter()
                .any(|known| known == name || known == host)
    }
}
