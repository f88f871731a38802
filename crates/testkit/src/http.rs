//! A raw HTTP/1.1 client: exactly the bytes it is told to send, one connection for each request.

use std::{io, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    sse::{Event, Parser},
    wait::soon,
};

/// A request whose every byte is settled. Header values are bytes: tests send what is not text.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a line, whether or not the name is there already.
    pub fn also(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets a line, in place of all of this name.
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).also(name, value)
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// A body as it is, with no header that belongs to it.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The bytes on the wire. `Content-Length` is added unless the body is framed otherwise.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        let framed = |name: &str| {
            let named = |(known, _): &(String, _)| known.eq_ignore_ascii_case(name);
            self.headers.iter().any(named)
        };
        if !framed("content-length") && !framed("transfer-encoding") && self.method != "GET" {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).into_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        let found = self.headers.iter().find(named);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("bodies are UTF-8")
    }

    /// The JSON body, or the last message of a stream.
    pub fn json(&self) -> Value {
        if self.is_stream() {
            return self.messages().pop().expect("a stream has a last message");
        }
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|why| panic!("{} {:?}: {why}", self.status, self.text()))
    }

    pub fn is_stream(&self) -> bool {
        self.header("content-type") == Some("text/event-stream")
    }

    pub fn events(&self) -> Vec<Event> {
        let mut parser = Parser::default();
        parser.feed(&self.body);
        std::iter::from_fn(|| parser.next_event()).collect()
    }

    /// The messages of a stream in their order, without priming events.
    pub fn messages(&self) -> Vec<Value> {
        let events = self.events();
        let messages = events.iter().filter(|event| !event.data.is_empty());
        messages.map(Event::json).collect()
    }

    /// The JSON-RPC error code, or 0 for a result.
    pub fn code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap_or_default()
    }
}

/// Where requests go, and with what credential.
#[derive(Debug, Clone)]
pub struct Door {
    pub address: SocketAddr,
    pub path: String,
    pub key: Option<String>,
}

impl Door {
    /// A request with what any request to this door carries.
    pub fn request(&self, method: &str) -> Request {
        let request = Request::new(method, &self.path).also("Host", self.address.to_string());
        match &self.key {
            Some(key) => request.also("Authorization", format!("Bearer {key}")),
            None => request,
        }
    }

    /// Sends and reads the whole response; a stream is read to its end.
    pub async fn send(&self, request: &Request) -> Response {
        let live = self.open(request).await;
        soon("the end of a response", live.finish()).await
    }

    /// Sends and reads the head; the rest can be read event by event. Dropping it closes the
    /// connection.
    pub async fn open(&self, request: &Request) -> Live {
        self.begin(request).await.head().await
    }

    /// Sends and reads nothing yet. Dropping it closes the connection.
    pub async fn begin(&self, request: &Request) -> Sent {
        let begun = self.try_begin(request).await;
        begun.expect("a node listens and reads what it is sent")
    }

    /// The same for a node that may be dead, or die meanwhile: no connection, or no whole head on
    /// it, is an error. Waits as long as the node says nothing.
    pub async fn try_open(&self, request: &Request) -> io::Result<Live> {
        self.try_begin(request).await?.try_head().await
    }

    async fn try_begin(&self, request: &Request) -> io::Result<Sent> {
        let mut wire = Connection::dial(self.address).await?;
        wire.try_send(&request.to_bytes()).await?;
        Ok(Sent(wire))
    }

    /// Sends these bytes and gives the statuses of all responses until the server closes.
    pub async fn raw(&self, bytes: &[u8]) -> Vec<Response> {
        let mut wire = Connection::dial(self.address)
            .await
            .expect("a node listens");
        // The server may refuse and close before it has read everything.
        let _ = wire.socket.write_all(bytes).await;
        soon("the end of a connection", wire.responses(usize::MAX)).await
    }

    /// The same; reads no more than so many responses, and does not wait for the end.
    pub async fn raw_until(&self, bytes: &[u8], count: usize) -> Vec<Response> {
        let mut wire = Connection::dial(self.address)
            .await
            .expect("a node listens");
        wire.send(bytes).await;
        soon("the responses", wire.responses(count)).await
    }
}

/// A request that was sent.
#[derive(Debug)]
pub struct Sent(Connection);

impl Sent {
    /// Waits until the node wants the body of a request with `Expect: 100-continue`.
    pub async fn is_wanted(&mut self) {
        let interim = soon("the wish for a body", self.0.head()).await;
        assert_eq!(interim.map(|(status, _)| status), Some(100));
    }

    /// Sends more of a request.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.send(bytes).await;
    }

    /// The head of its response.
    pub async fn head(self) -> Live {
        let head = soon("the head of a response", self.try_head()).await;
        head.expect("the server answers")
    }

    async fn try_head(mut self) -> io::Result<Live> {
        let head = self.0.head().await;
        let (status, headers) = head.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Live {
            wire: self.0,
            parser: Parser::default(),
            response: Response {
                status,
                headers,
                body: Vec::new(),
            },
        })
    }
}

/// A response that is still coming.
#[derive(Debug)]
pub struct Live {
    wire: Connection,
    parser: Parser,
    response: Response,
}

impl Live {
    pub fn head(&self) -> &Response {
        &self.response
    }

    /// The next event; `None` when the stream has ended.
    pub async fn event(&mut self) -> Option<Event> {
        soon("an event or the end of a stream", self.next_event()).await
    }

    /// The next message, past priming events.
    pub async fn message(&mut self) -> Value {
        loop {
            let event = self.event().await.expect("the stream goes on");
            if !event.data.is_empty() {
                return event.json();
            }
        }
    }

    /// The client vanishes without a word.
    pub fn vanish(&self) {
        cut_cable(&self.wire.socket);
    }

    /// The next event, however long it takes; `None` when the stream has ended.
    pub async fn next_event(&mut self) -> Option<Event> {
        assert!(self.response.is_stream(), "no stream: {:?}", self.response);
        loop {
            if let Some(event) = self.parser.next_event() {
                return Some(event);
            }
            let piece = self.wire.piece(&self.response).await?;
            self.parser.feed(&piece);
        }
    }

    /// Everything up to the end.
    pub async fn finish(mut self) -> Response {
        self.read_body().await;
        self.response
    }

    /// Everything, or nothing when the end came early.
    pub async fn finish_whole(mut self) -> Option<Response> {
        self.read_body().await;
        self.is_whole().then_some(self.response)
    }

    /// Whether the body was read to the end that the server set: not when it broke off.
    pub fn is_whole(&self) -> bool {
        self.wire.is_whole
    }

    async fn read_body(&mut self) {
        while let Some(piece) = self.wire.piece(&self.response).await {
            self.response.body.extend(piece);
        }
    }
}

/// From here on nothing of the node reaches the client's machine, which says nothing: as if its cable
/// were cut. A filter of the socket drops every packet, before it is acknowledged.
pub fn cut_cable(socket: &TcpStream) {
    const RETURN: u16 = 0x06;
    let drop_all = [socket2::SockFilter::new(RETURN, 0, 0, 0)];
    let socket = socket2::SockRef::from(socket);
    let cut = socket.attach_filter(&drop_all);
    cut.expect("filters are for everybody");
}

/// Read at once, at most.
const READ_BYTES: usize = 8 << 10;

/// A connection and what was read ahead on it.
#[derive(Debug)]
pub(crate) struct Connection<S = TcpStream> {
    socket: S,
    ahead: Vec<u8>,
    /// Bytes left of a body with a length; set at its first piece.
    left: Option<usize>,
    /// The body was read to its end.
    is_whole: bool,
}

impl Connection {
    async fn dial(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self::over(socket))
    }

    async fn send(&mut self, bytes: &[u8]) {
        let sent = self.try_send(bytes).await;
        sent.expect("the node reads what it is sent");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn over(socket: S) -> Self {
        Self {
            socket,
            ahead: Vec::new(),
            left: None,
            is_whole: false,
        }
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await
    }

    /// More bytes; `false` at the end. A reset is an end.
    async fn more(&mut self) -> bool {
        self.ahead.reserve(READ_BYTES);
        let read = self.socket.read_buf(&mut self.ahead).await.unwrap_or(0);
        read > 0
    }

    /// Takes what stands before `mark`, and drops the mark.
    async fn take_until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.ahead.windows(mark.len()).position(|at| at == mark);
            if let Some(end) = found {
                let taken: Vec<u8> = self.ahead.drain(..end).collect();
                self.ahead.drain(..mark.len());
                return Some(taken);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        while self.ahead.len() < len {
            if !self.more().await {
                return None;
            }
        }
        Some(self.ahead.drain(..len).collect())
    }

    /// Status and header lines; interim responses are not expected.
    pub(crate) async fn head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        let head = self.take_until(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        (self.left, self.is_whole) = (None, false);
        Some((status, lines.filter_map(header).collect()))
    }

    /// The next piece of a body; `None` at its end.
    pub(crate) async fn piece(&mut self, head: &Response) -> Option<Vec<u8>> {
        if head.header("transfer-encoding") == Some("chunked") {
            let size = self.take_until(b"\r\n").await?;
            let size = String::from_utf8(size).expect("a chunk size is text");
            let size = usize::from_str_radix(&size, 16).expect("a chunk size is hex");
            let piece = self.take(size).await?;
            self.take(2).await?;
            self.is_whole = size == 0;
            return Some(piece).filter(|_| size > 0);
        }
        let length = head.header("content-length").map_or(0, |length| {
            length.parse().expect("a content length is a number")
        });
        let left = *self.left.get_or_insert(length);
        if left == 0 {
            self.is_whole = true;
            return None;
        }
        self.left = Some(0);
        self.take(left).await
    }

    async fn responses(&mut self, count: usize) -> Vec<Response> {
        let mut all = Vec::new();
        while all.len() < count
            && let Some((status, headers)) = self.head().await
        {
            let mut response = Response {
                status,
                headers,
                body: Vec::new(),
            };
            while let Some(piece) = self.piece(&response).await {
                response.body.extend(piece);
            }
            all.push(response);
        }
        all
    }
}
