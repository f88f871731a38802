//! An OpenAPI service as a member: its operations become tools.
//!
//! What is pure is read and built beside this file: `document` is the description's text, `service`
//! all of it as tools, `tool` and `operation` one of its operations, `schema` their schemas;
//! `request` makes a request of arguments and `response` a result of an answer. Here it is sent.
//!
//! A description is not trusted with more than its own service: references stay within it, every
//! request goes to the one base that is configured, arguments cannot leave their place in it,
//! redirects are not followed, and the address that is connected to is the one that was checked.

mod credential;
mod document;
mod fetched;
mod filter;
mod name;
mod operation;
mod path;
mod report;
mod request;
mod response;
mod schema;
mod service;
mod style;
mod tool;
mod yaml;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use ostler_client::{Endpoint, Error as ClientError, Http, Limits, Reach, Verb};
use ostler_env::Env;
use ostler_protocol::code;
use ostler_types::{CallKind, Secret};
use ostler_worker::{Ctx, Reply, ToolError};
use serde_json::json;
use tokio::sync::watch;

use crate::member::{Asked, Member, Offer, Presence};

use self::{
    request::Outgoing,
    response::{Incoming, Promise},
    service::Service,
};

pub use credential::{Credential, KeyPlace};
pub use document::DESCRIPTION_BYTES_MAX;
pub use fetched::Fetched;
pub use filter::Pattern;
pub use report::Report;

/// What to serve, and how to reach it.
#[derive(Debug, Clone)]
pub struct Config {
    /// The text of an OpenAPI 3.0 or 3.1 description, in YAML or JSON, of at most
    /// [`DESCRIPTION_BYTES_MAX`]. [`fetch`] gets it from a URL.
    pub description: String,
    /// The URL that all paths stand behind; without one, the first server of the description that
    /// says where it is. Whatever else the description names is never connected to.
    pub base: Option<String>,
    /// What the service knows the bridge by. No argument can set it.
    pub credential: Option<Credential>,
    /// Headers of every request besides, such as a version.
    pub headers: Vec<(String, Secret)>,
    /// Operations that become tools; without one, all of them.
    pub include: Vec<Pattern>,
    /// Operations that do not, whatever `include` says.
    pub exclude: Vec<Pattern>,
    /// Whether private addresses may be connected to. Public ones alone unless set otherwise.
    pub reach: Reach,
    /// The longest time for one request, its answer included; the call's own may be shorter.
    pub timeout: Duration,
    /// The largest answer. Each call in flight may hold one, and twice as much while it is passed on.
    pub response_bytes_max: usize,
}

impl Config {
    /// With the defaults: public addresses, 30 seconds, 4 MiB.
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            base: None,
            credential: None,
            headers: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            reach: Reach::Public,
            timeout: Duration::from_secs(30),
            response_bytes_max: 4 << 20,
        }
    }
}

/// Why nothing of a description can be served. What is wrong with a single operation stands in
/// the [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The author's fault, as are the next two.
    #[error("the description has more than {DESCRIPTION_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the description cannot be read: {0}")]
    Syntax(String),
    #[error("the description is of OpenAPI {0:?}; 3.0 and 3.1 are read")]
    Version(String),
    /// The operator's fault, as are the next two.
    #[error("the description names no server by an absolute URL; name the base")]
    NoBase,
    #[error("the base cannot be used: {0}")]
    Base(String),
    #[error("the credential or a header has characters that no header can have")]
    Header,
    /// The service's fault, or the network's: trying again may help.
    #[error("the description cannot be fetched: {0}")]
    Fetch(String),
}

/// An OpenAPI service. Clones are the same member.
#[derive(Clone)]
pub struct OpenApi(Arc<Shared>);

struct Shared {
    env: Env,
    http: Http,
    /// The path of the base.
    prefix: String,
    credential: Option<Credential>,
    timeout: Duration,
    service: Service,
    offer: watch::Sender<Arc<Offer>>,
}

impl fmt::Debug for OpenApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenApi({})", self.0.service.report.base)
    }
}

impl OpenApi {
    /// Reads the description; connects to nothing yet.
    pub fn new(env: Env, config: &Config) -> Result<OpenApi, Error> {
        let service = Service::read(config)?;
        let base = service.report.base.as_str();
        let headers = config.headers.iter().map(|(_, value)| value.expose());
        let secret = config.credential.as_ref().map(Credential::text);
        if !headers
            .chain(secret)
            .all(|text| text.bytes().all(|b| matches!(b, b' '..=b'~')))
        {
            return Err(Error::Header);
        }
        let endpoint = endpoint(base, config.headers.clone(), config.reach);
        let http = Http::new(env.clone(), &endpoint, limits(config.response_bytes_max));
        let offer = watch::Sender::new(Arc::new(offer(&service)));
        Ok(OpenApi(Arc::new(Shared {
            http: http.map_err(|why| Error::Base(why.to_string()))?,
            prefix: path_of(base).to_owned(),
            credential: config.credential.clone(),
            timeout: config.timeout,
            env,
            service,
            offer,
        })))
    }

    /// What became of the description.
    pub fn report(&self) -> &Report {
        &self.0.service.report
    }
}

/// Gets a description from a URL, within the bounds of one.
pub async fn fetch(env: &Env, url: &str, reach: Reach) -> Result<String, Error> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let failed = |why: &dyn fmt::Display| Error::Fetch(why.to_string());
    let endpoint = endpoint(url, Vec::new(), reach);
    let fetching = async {
        let http = Http::new(env.clone(), &endpoint, limits(DESCRIPTION_BYTES_MAX))?;
        let reply = http.send(Verb::Get, &[], Bytes::new()).await?;
        Ok::<_, ClientError>((reply.status(), reply.bytes().await?))
    };
    match env.until(env.now() + PATIENCE, fetching).await {
        Some(Ok((200, bytes))) => {
            String::from_utf8(bytes.into()).map_err(|_| failed(&"it is no UTF-8"))
        }
        Some(Ok((status, _))) => Err(failed(&format!("HTTP {status}"))),
        Some(Err(why)) => Err(failed(&why)),
        None => Err(failed(&"it does not come to its end")),
    }
}

fn endpoint(url: &str, headers: Vec<(String, Secret)>, reach: Reach) -> Endpoint {
    Endpoint {
        url: url.to_owned(),
        token: None,
        headers,
        reach,
    }
}

fn limits(message_bytes_max: usize) -> Limits {
    Limits {
        message_bytes_max,
        ..Limits::default()
    }
}

/// The path of a URL that was checked, which may be empty.
fn path_of(base: &str) -> &str {
    let host = base.find("://").map_or(0, |at| at + 3);
    let path = base[host..].find('/').map(|at| host + at);
    path.map_or("", |at| &base[at..])
}

/// It counts as there until a request does not reach it.
fn offer(service: &Service) -> Offer {
    Offer {
        info: service.info.clone(),
        instructions: service.instructions.clone(),
        tools: service.tools.clone(),
        presence: Presence::Up,
        ..Offer::default()
    }
}

impl Member for OpenApi {
    fn offer(&self) -> watch::Receiver<Arc<Offer>> {
        self.0.offer.subscribe()
    }

    fn call(&self, ctx: Ctx, asked: Asked) -> BoxFuture<'static, Result<Reply, ToolError>> {
        let shared = self.0.clone();
        Box::pin(async move { shared.run(&asked, ctx.time_left()).await })
    }

    fn watch(&self, _uri: &str, _wanted: bool) {}
}

impl Shared {
    // Cancel safe: dropping it closes the connection, which is all that HTTP has to say.
    async fn run(&self, asked: &Asked, left: Option<Duration>) -> Result<Reply, ToolError> {
        let operation = match asked.kind {
            CallKind::Tool => self.service.operations.get(&asked.target),
            CallKind::Prompt | CallKind::Resource | CallKind::Completion => None,
        };
        let operation = operation.ok_or_else(|| ToolError::NotFound(asked.target.clone()))?;
        let built = request::build(operation, &asked.arguments, self.credential.as_ref());
        let outgoing = built.map_err(ToolError::Failed)?;
        let uri = format!("{}{}", self.service.report.base, outgoing.target);
        let promise = match operation.is_structured {
            true => Promise::Object,
            false => Promise::Nothing,
        };
        let span = left.map_or(self.timeout, |left| left.min(self.timeout));
        let exchange = self.exchange(outgoing, promise, &uri);
        let answered = self.env.until(self.env.now() + span, exchange).await;
        answered.unwrap_or_else(|| {
            let text = format!("the service gave no answer within {span:?}; it may have run");
            Err(ToolError::Failed(text))
        })
    }

    async fn exchange(
        &self,
        mut outgoing: Outgoing,
        promise: Promise,
        uri: &str,
    ) -> Result<Reply, ToolError> {
        if let Some(credential) = &self.credential {
            credential.join(&mut outgoing);
        }
        let sent = self.send(outgoing).await;
        self.note_presence(&sent);
        let reply = sent.map_err(|error| failure(&error))?;
        let header = |name: &str| reply.header(name).map(str::to_owned);
        let (content_type, retry_after) = (header("content-type"), header("retry-after"));
        let status = reply.status();
        let body = reply.bytes().await.map_err(|error| failure(&error))?;
        let incoming = Incoming {
            status,
            content_type: content_type.as_deref(),
            retry_after: retry_after.as_deref(),
            body,
        };
        let result = response::result(&incoming, promise, uri);
        result.map(Reply::raw).map_err(ToolError::Failed)
    }

    async fn send(&self, outgoing: Outgoing) -> Result<ostler_client::Reply, ClientError> {
        let mut headers = outgoing.headers;
        if !outgoing.cookies.is_empty() {
            headers.push(("cookie".to_owned(), outgoing.cookies.join("; ")));
        }
        let headers: Vec<_> = headers
            .iter()
            .map(|(k, v)| (k.as_str(), v.clone()))
            .collect();
        let http = self
            .http
            .at(&format!("{}{}", self.prefix, outgoing.target))?;
        http.send(outgoing.verb, &headers, outgoing.body).await
    }

    /// The operator hears of a change once, and not of every call that it costs.
    fn note_presence<T>(&self, sent: &Result<T, ClientError>) {
        let presence = match sent {
            Err(ClientError::Connect { .. }) => Presence::Down("it cannot be reached".to_owned()),
            // Nothing was tried.
            Err(ClientError::Url { .. } | ClientError::Header { .. }) => return,
            Ok(_) | Err(_) => Presence::Up,
        };
        let is_changed = self.offer.send_if_modified(|offer| {
            let is_changed = offer.presence != presence;
            if is_changed {
                let next = Offer {
                    presence,
                    ..Offer::clone(offer)
                };
                *offer = Arc::new(next);
            }
            is_changed
        });
        let service = &self.service.report.base;
        match sent {
            Err(error) if is_changed => tracing::warn!(%service, %error, "the service is down"),
            Ok(_) if is_changed => tracing::info!(%service, "the service is back"),
            Ok(_) | Err(_) => {}
        }
    }
}

/// What a caller hears: whose fault it is and whether to try again, but no address, and no URL,
/// which may hold a key.
fn failure(error: &ClientError) -> ToolError {
    match error {
        ClientError::Url { .. } | ClientError::Header { .. } => {
            ToolError::Failed("these arguments make no request that can be sent".to_owned())
        }
        ClientError::Connect { .. } => ToolError::Failed(
            "the service cannot be reached; nothing was sent, so try again later".to_owned(),
        ),
        ClientError::Protocol(reason) => {
            ToolError::Failed(format!("the service gave {reason}, which is not passed on"))
        }
        // It broke; a plain exchange knows no other error.
        _ => ToolError::Protocol {
            code: code::WORKER_LOST,
            message: "the connection to the service broke; it may have run".to_owned(),
            data: Some(json!({"executed": "unknown"})),
        },
    }
}
