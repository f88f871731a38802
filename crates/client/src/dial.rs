//! From a name to a connection, step by step, so that each step can say what went wrong.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use ostler_env::Env;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::{error::Error, reach::Reach, tls::Tls};

/// What a connection goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Dns,
    Tcp,
    Tls,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Dns => "DNS",
            Step::Tcp => "TCP",
            Step::Tls => "TLS",
        })
    }
}

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub host: String,
    pub port: u16,
    pub is_tls: bool,
}

impl Target {
    /// The target of an `http` or `https` URL.
    pub fn parse(url: &str) -> Result<Target, Error> {
        let bad = |reason| Error::Url {
            url: without_user(url),
            reason,
        };
        let uri: Uri = url.parse().map_err(|_| bad("it does not parse"))?;
        Self::of(&uri).map_err(bad)
    }

    /// Whether only this machine can be meant.
    pub fn is_local(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    pub(crate) fn of(uri: &Uri) -> Result<Target, &'static str> {
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err("only http and https are spoken"),
            None => return Err("it must begin with http:// or https://"),
        };
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("credentials do not belong into a URL");
        }
        let host = authority.host();
        let host = host.strip_prefix('[').unwrap_or(host);
        let host = host.strip_suffix(']').unwrap_or(host);
        Ok(Target {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
        })
    }

    fn failed(&self, step: Step, reason: impl ToString) -> Error {
        Error::Connect {
            step,
            target: self.to_string(),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A URL as an error may show it: whoever puts a password there does not want to read it again.
fn without_user(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    match url.rfind('@') {
        Some(at) if at >= start => format!("{}…{}", &url[..start], &url[at..]),
        Some(_) | None => url.to_owned(),
    }
}

/// The addresses of a name.
pub async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, Error> {
    let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
    let addresses: Vec<_> = found
        .map_err(|why| target.failed(Step::Dns, why))?
        .collect();
    match addresses.is_empty() {
        true => Err(target.failed(Step::Dns, "the name has no address")),
        false => Ok(addresses),
    }
}

/// A socket to the first address that takes it. Each gets its share of the time, so that one that
/// swallows everything does not keep the others from being tried.
pub async fn connect(
    env: &Env,
    target: &Target,
    addresses: &[SocketAddr],
    span: Duration,
) -> Result<TcpStream, Error> {
    let share = span / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = io::Error::other("no address");
    for address in addresses {
        let tried = env.until(env.now() + share, TcpStream::connect(address));
        match tried.await {
            Some(Ok(stream)) => {
                // Messages are small and each is waited for.
                let _ = stream.set_nodelay(true);
                // A peer that is gone without a word is noticed, within a minute or so.
                let _ = SockRef::from(&stream).set_tcp_keepalive(&keep_alive());
                return Ok(stream);
            }
            Some(Err(why)) => last = why,
            None => last = io::Error::other(format!("nothing from {address} in {share:?}")),
        }
    }
    Err(target.failed(Step::Tcp, last))
}

fn keep_alive() -> TcpKeepalive {
    let second = Duration::from_secs;
    let keep_alive = TcpKeepalive::new().with_time(second(30));
    keep_alive.with_interval(second(10)).with_retries(4)
}

/// The handshake over it.
pub async fn secure(
    target: &Target,
    tls: &Tls,
    tcp: TcpStream,
) -> Result<TlsStream<TcpStream>, Error> {
    let name = ServerName::try_from(target.host.clone());
    let name = name.map_err(|why| target.failed(Step::Tls, why))?;
    let shaken = tls.0.connect(name, tcp).await;
    shaken.map_err(|why| target.failed(Step::Tls, why))
}

/// Makes connections for the pool of the HTTP library.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub env: Env,
    pub tls: Option<Tls>,
    pub reach: Reach,
    pub step_max: Duration,
    /// Whether it ever came to a connection.
    pub connected: Arc<watch::Sender<bool>>,
}

impl Service<Uri> for Dialer {
    type Response = Wire;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.dial(&uri).await })
    }
}

impl Dialer {
    async fn dial(&self, uri: &Uri) -> Result<Wire, Error> {
        let target = Target::of(uri).map_err(|reason| Error::Url {
            url: uri.to_string(),
            reason,
        })?;
        let found = self.step(&target, Step::Dns, resolve(&target)).await?;
        let addresses = self.reach.of(found);
        if addresses.is_empty() {
            return Err(target.failed(
                Step::Dns,
                "it is at a private address, which is not allowed",
            ));
        }
        let tcp = self
            .step(
                &target,
                Step::Tcp,
                connect(&self.env, &target, &addresses, self.step_max),
            )
            .await?;
        let io: Box<dyn Io> = match &self.tls {
            Some(tls) if target.is_tls => Box::new(
                self.step(&target, Step::Tls, secure(&target, tls, tcp))
                    .await?,
            ),
            Some(_) | None => Box::new(tcp),
        };
        self.connected.send_replace(true);
        Ok(Wire(TokioIo::new(io)))
    }

    async fn step<T>(
        &self,
        target: &Target,
        step: Step,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let done = self.env.until(self.env.now() + self.step_max, work).await;
        done.unwrap_or_else(|| {
            let reason = format!("nothing within {} s", self.step_max.as_secs());
            Err(target.failed(step, reason))
        })
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection, with or without TLS, as the HTTP library wants it.
pub(crate) struct Wire(TokioIo<Box<dyn Io>>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    fn check(url: &str, expected: Option<&str>) {
        let target = Target::parse(url);
        let shown = target.map(|target| format!("{target} {}", target.is_tls));
        assert_eq!(shown.ok().as_deref(), expected, "{url}");
    }

    #[test]
    fn a_url_says_where_to_connect_to() {
        check("http://a.example/mcp", Some("a.example:80 false"));
        check("https://a.example/mcp", Some("a.example:443 true"));
        check("http://[::1]:8080/mcp", Some("[::1]:8080 false"));
        check("ftp://a.example", None);
        check("a.example/mcp", None);
        check("http://me:secret@a.example/mcp", None);
    }

    #[test]
    fn a_password_in_a_url_is_not_said_again() {
        for url in [
            "http://me:secret@a.example/mcp",
            "http://me:sec ret@a.example",
        ] {
            let said = Target::parse(url).expect_err(url).to_string();
            assert!(
                said.contains("@a.example") && !said.contains("ret"),
                "{said}"
            );
        }
    }

    /// A listener whose queue is full: the system answers nobody any more.
    async fn full(env: &Env) -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().expect("loopback works");
        socket
            .bind("127.0.0.1:0".parse().expect("loopback works"))
            .expect("loopback works");
        let listener = socket.listen(1).expect("loopback works");
        let address = listener.local_addr().expect("loopback works");
        let mut queue = Vec::new();
        for _ in 0..16 {
            let until = env.now() + Duration::from_millis(50);
            match env.until(until, TcpStream::connect(address)).await {
                Some(queued) => queue.push(queued.expect("loopback works")),
                None => return (listener, queue),
            }
        }
        panic!("the queue is never full");
    }

    #[tokio::test]
    async fn an_address_that_swallows_everything_does_not_keep_others_from_being_tried() {
        let env = Env::system();
        let (full, _queue) = full(&env).await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [full.local_addr().unwrap(), good.local_addr().unwrap()];
        let target = Target::parse("http://a.example").unwrap();
        let span = Duration::from_millis(100);
        let connected = connect(&env, &target, &addresses, span).await.unwrap();
        assert_eq!(connected.peer_addr().unwrap(), addresses[1]);
        let found = connect(&env, &target, &addresses[..1], span).await;
        assert!(matches!(
            found,
            Err(Error::Connect {
                step: Step::Tcp,
                ..
            })
        ));
    }
}
