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
    /// Names this port may be called by, in lower case, besides those of loopback.
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
    let desk = Arc::new(Desk::new(env, health, &hosts, bound.ip().is_loopback()));
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
    fn new(env: Env, health: Health, hosts: &[String], loopback: bool) -> Self {
        Self {
            env,
            health,
            hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            loopback,
        }
    }

    fn is_named(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .map(str::to_ascii_lowercase)
        else {
            return false;
        };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => &host,
        };
        let is_loopback = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
        (self.loopback && is_loopback)
            || self
                .hosts
                .iter()
                .any(|known| known == name || *known == host)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use ostler_store::{Config, Store};

    use super::*;

    fn check(loopback: bool, hosts: &[&str], host: &'static str, is_named: bool) {
        let env = Env::seeded(1);
        let store = Store::open(&Config::memory(), &env).unwrap();
        let hosts: Vec<String> = hosts.iter().map(|host| host.to_string()).collect();
        let desk = Desk::new(env, Health::new(store), &hosts, loopback);
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        assert_eq!(desk.is_named(&headers), is_named, "{hosts:?} {host}");
    }

    #[tokio::test]
    async fn a_host_is_known_by_name_in_any_case() {
        check(true, &[], "LocalHost:9090", true);
        check(false, &[], "localhost:9090", false);
        check(false, &["Node.Example"], "node.example:9090", true);
        check(false, &["node.example:9090"], "NODE.example:9090", true);
        check(false, &["node.example:9090"], "node.example:9091", false);
    }
}
