//! Looking at a server from outside: exchanges whose answer is of interest whatever it is.

use bytes::Bytes;
use ostler_protocol::{Raw, RequestId, Revision};

use crate::{
    client::{Client, Dialect},
    error::Error,
    headers,
    http::{Http, Reply, Verb},
    json,
    legacy::Transport,
    message,
    modern::{introduction, send},
    request::Filter,
};

/// A harmless modern request, sent as it would be by a client that can do nothing.
pub async fn knock(http: &Http) -> Result<Reply, Error> {
    let revision = Revision::LATEST_MODERN;
    let method = "server/discover";
    let meta = json::object(introduction(revision, Raw::empty_object()));
    let params = json::object([("_meta", meta)]);
    let mirrors = headers::mirrors(method, &params);
    let body = message::request(&RequestId::number(1), method, params);
    send(http, revision, &mirrors, body).await
}

impl Client {
    /// The answer that would carry changes, to look at how it travels. Over HTTP+SSE, whose only
    /// stream is in use, that of another session.
    pub async fn open_stream(&self) -> Result<Reply, Error> {
        let legacy = match &self.dialect {
            Dialect::Modern(modern) => {
                return modern.open_listen(&Filter::default(), &self.facts).await;
            }
            Dialect::Legacy(legacy) => legacy,
        };
        let headers = [("accept", "text/event-stream".to_owned())];
        let line = &legacy.line;
        let reply = match &line.transport {
            Transport::Pair(pair) => pair.stream.send(Verb::Get, &headers, Bytes::new()).await?,
            Transport::Streamable(..) | Transport::Pipe(_) => {
                line.send(Verb::Get, &headers, Bytes::new()).await?
            }
        };
        match reply.status() {
            200 => Ok(reply),
            405 => Err(Error::NotOffered("a stream of its own (GET)")),
            _ => Err(reply.refusal().await),
        }
    }
}
