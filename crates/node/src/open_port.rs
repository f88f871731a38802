//! What operators may see of a process without a token: `/livez`, `/readyz` and `/metrics`. A node
//! has commands beside them; a process that only works shows these alone.
//!
//! It shows no id and takes no command. A page of another site is kept out by its Host and Origin.

use std::{io, sync::Arc};

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

/// Why no work should come here; nothing when it may.
pub type Obstacles = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// A port that shows how a process is.
pub struct OpenPort {
    pub env: Env,
    /// Names this port may be called by, besides those of loopback.
    pub hosts: Vec<String>,
    pub obstacles: Obstacles,
}

impl OpenPort {
    /// Serves until `stop` ends.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        self.serve_with(Router::new(), listener, stop).await
    }

    /// The same with more routes beside its own.
    pub(crate) async fn serve_with(
        self,
        more: Router,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let hosts = self.hosts.clone();
        let names = Names::new(hosts, listener.local_addr()?.ip().is_loopback());
        let router = Router::new()
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(self))
            .merge(more)
            .layer(middleware::from_fn_with_state(Arc::new(names), check));
        axum::serve(listener, router)
            .with_graceful_shutdown(stop)
            .await
    }
}

async fn ready(State(port): State<Arc<OpenPort>>) -> Response {
    let obstacles = (port.obstacles)();
    match obstacles.is_empty() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, obstacles.join("\n") + "\n").into_response(),
    }
}

async fn metrics(State(port): State<Arc<OpenPort>>) -> Response {
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (kind, port.env.metrics().render()).into_response()
}

/// What the port may be called.
struct Names {
    hosts: Vec<String>,
    is_loopback: bool,
}

async fn check(State(names): State<Arc<Names>>, request: Request, next: Next) -> Response {
    if !names.has(request.headers()) {
        return (
            StatusCode::MISDIRECTED_REQUEST,
            "this Host is not served here; add it to the hosts of this port\n",
        )
            .into_response();
    }
    if request.headers().contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "this port is not for web pages\n").into_response();
    }
    next.run(request).await
}

impl Names {
    fn new(mut hosts: Vec<String>, is_loopback: bool) -> Names {
        for host in &mut hosts {
            host.make_ascii_lowercase();
        }
        Names { hosts, is_loopback }
    }

    fn has(&self, headers: &HeaderMap) -> bool {
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
        let is_local = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
        let mut known = self.hosts.iter();
        (self.is_loopback && is_local) || known.any(|known| known == name || *known == host)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(is_loopback: bool, hosts: &[&str], host: &'static str, is_named: bool) {
        let names = hosts.iter().map(|host| host.to_string()).collect();
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        let names = Names::new(names, is_loopback);
        assert_eq!(names.has(&headers), is_named, "{hosts:?} {host}");
    }

    #[test]
    fn a_host_is_known_by_name_in_any_case() {
        check(true, &[], "LocalHost:9090", true);
        check(false, &[], "localhost:9090", false);
        check(false, &["Node.Example"], "node.example:9090", true);
        check(false, &["node.example:9090"], "NODE.example:9090", true);
        check(false, &["node.example:9090"], "node.example:9091", false);
    }
}
