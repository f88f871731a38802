//! The port for operators: what is open to all, and `/drain` and `/compact` for who has the token.
//! Everything that is not open needs the token, what does not exist included.

use std::{io, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderValue, StatusCode, header};
use ostler_auth::AdminToken;
use ostler_env::Env;
use ostler_store::{CompactError, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{health::Health, open_port::OpenPort};

/// What the port shows and whom it serves.
pub struct Admin {
    pub env: Env,
    pub health: Health,
    pub store: Store,
    /// Names this port may be called by, besides those of loopback.
    pub hosts: Vec<String>,
    /// Without one there are no commands.
    pub token: Option<AdminToken>,
    /// Cancelled when an operator wants the node to drain.
    pub drain: CancellationToken,
}

impl Admin {
    /// Serves until `stop`.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let health = self.health.clone();
        let open = OpenPort {
            env: self.env.clone(),
            hosts: self.hosts.clone(),
            obstacles: Arc::new(move || health.obstacles()),
        };
        let stop = stop.cancelled_owned();
        open.serve_with(commands(Arc::new(self)), listener, stop)
            .await
    }
}

fn commands(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/drain", post(drain))
        .route("/compact", post(compact))
        .fallback(async || (StatusCode::NOT_FOUND, "there is no such thing here\n"))
        .layer(middleware::from_fn_with_state(admin.clone(), check_token))
        .with_state(admin)
}

/// Answers when new work is refused; `/readyz` says `draining` from then on until the node is gone.
async fn drain(State(admin): State<Arc<Admin>>) -> Response {
    tracing::info!("an operator wants this node to drain");
    admin.drain.cancel();
    admin.health.drains().await;
    (StatusCode::ACCEPTED, "draining\n").into_response()
}

/// Answers when the rewrite has ended; the node works on meanwhile, and it goes on without a listener.
async fn compact(State(admin): State<Arc<Admin>>) -> Response {
    tracing::info!("an operator wants the store rewritten");
    let (status, told) = match admin.store.compact().await {
        Ok(rewritten) => (StatusCode::OK, rewritten.to_string()),
        Err(why) => (status_of(&why), why.to_string()),
    };
    (status, told + "\n").into_response()
}

fn status_of(why: &CompactError) -> StatusCode {
    match why {
        CompactError::Waiting => StatusCode::CONFLICT,
        CompactError::Full => StatusCode::INSUFFICIENT_STORAGE,
        CompactError::Closed => StatusCode::SERVICE_UNAVAILABLE,
        CompactError::Failed(_)
        | CompactError::Open(_)
        | CompactError::NoFiles
        | CompactError::Missing { .. }
        | CompactError::Damaged { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn check_token(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let Some(token) = &admin.token else {
        return (
            StatusCode::FORBIDDEN,
            "this node takes no commands; set admin.token_file\n",
        )
            .into_response();
    };
    let mut lines = request.headers().get_all(header::AUTHORIZATION).iter();
    let is_admitted = match (lines.next(), lines.next()) {
        (Some(line), None) => token.admits(line.as_bytes()),
        (None, _) | (Some(_), Some(_)) => false,
    };
    if is_admitted {
        return next.run(request).await;
    }
    let asked = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
    let why = "send the token of the admin port: Authorization: Bearer <token>\n";
    (StatusCode::UNAUTHORIZED, asked, why).into_response()
}

#[cfg(test)]
mod tests {
    use ostler_store::Config;
    use ostler_testkit::{Door, Response as Answer, soon};
    use tempfile::TempDir;

    use super::*;

    fn admin(hosts: &[&str]) -> Admin {
        let env = Env::seeded(1);
        let store = Store::open(&Config::memory(), &env).unwrap();
        Admin {
            env,
            health: Health::new(store.clone()),
            store,
            hosts: hosts.iter().map(|host| host.to_string()).collect(),
            token: None,
            drain: CancellationToken::new(),
        }
    }

    /// A port that is served as long as the test runs.
    async fn serve(admin: Admin) -> impl AsyncFn(&str, &str, Option<&str>) -> Answer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let env = admin.env.clone();
        drop(env.spawn(
            "test.admin",
            admin.serve(listener, CancellationToken::new()),
        ));
        async move |method: &str, path: &str, key: Option<&str>| {
            let door = Door {
                address,
                path: path.to_owned(),
                key: key.map(str::to_owned),
            };
            door.send(&door.request(method)).await
        }
    }

    #[tokio::test]
    async fn a_node_that_recovers_is_alive_and_not_ready() {
        let admin = admin(&[]);
        let health = admin.health.clone();
        let ask = serve(admin).await;
        assert_eq!(ask("GET", "/livez", None).await.status, 200);
        let ready = ask("GET", "/readyz", None).await;
        assert_eq!((ready.status, ready.text()), (503, "recovering\n"));
        health.recovered();
        assert_eq!(ask("GET", "/readyz", None).await.status, 200);
    }

    #[tokio::test]
    async fn commands_need_the_token_and_so_does_what_does_not_exist() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("token");
        let mut admin = admin(&[]);
        admin.token = Some(AdminToken::open_or_create(&path, &admin.env).unwrap());
        let token = std::fs::read_to_string(&path).unwrap();
        let token = Some(token.trim());
        let (drain, health) = (admin.drain.clone(), admin.health.clone());
        let ask = serve(admin).await;
        for (method, path, key, status) in [
            ("POST", "/drain", None, 401),
            ("POST", "/drain", Some("oat_"), 401),
            ("GET", "/drain", None, 401),
            ("GET", "/nothing", None, 401),
            ("GET", "/nothing", token, 404),
            ("GET", "/drain", token, 405),
            ("POST", "/compact", None, 401),
            ("GET", "/compact", token, 405),
            ("POST", "/compact", token, 200),
            ("GET", "/metrics", None, 200),
        ] {
            let answer = ask(method, path, key).await;
            assert_eq!(answer.status, status, "{method} {path} {key:?}");
        }
        assert!(!drain.is_cancelled());
        let node = async {
            soon("the wish to drain", drain.cancelled()).await;
            health.drain();
        };
        let (told, ()) = tokio::join!(ask("POST", "/drain", token), node);
        assert_eq!(told.status, 202);
        assert_eq!(
            ask("GET", "/readyz", None).await.text(),
            "recovering\ndraining\n"
        );
    }

    #[tokio::test]
    async fn one_rewrite_waits_at_most() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("token");
        let mut admin = admin(&[]);
        admin.token = Some(AdminToken::open_or_create(&path, &admin.env).unwrap());
        let token = std::fs::read_to_string(&path).unwrap();
        let token = Some(token.trim());
        let (env, store) = (admin.env.clone(), admin.store.clone());
        store.pause();
        let ask = serve(admin).await;
        let mut waits = Box::pin(store.compact());
        assert!(env.until(env.now(), &mut waits).await.is_none());
        let refused = ask("POST", "/compact", token).await;
        assert_eq!(refused.status, 409);
        assert!(
            refused.text().contains("waits already"),
            "{}",
            refused.text()
        );
        store.resume();
        assert!(waits.await.is_ok());
        let told = ask("POST", "/compact", token).await;
        assert_eq!(told.text(), "0 rows rewritten; 0 bytes became 0\n");
    }

    #[tokio::test]
    async fn without_a_token_nobody_commands() {
        let admin = admin(&[]);
        let drain = admin.drain.clone();
        let ask = serve(admin).await;
        assert_eq!(ask("POST", "/drain", Some("oat_")).await.status, 403);
        assert!(!drain.is_cancelled());
    }
}
