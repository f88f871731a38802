//! The modern era: every request says what it needs, nothing is kept between two of them.

mod rounds;
pub(crate) mod task;
mod listen;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use ostler_protocol::{Raw, RequestId, Revision, facet::TASKS_EXTENSION};

use crate::{
    client::{Facts, Options},
    error::{Error, protocol},
    headers,
    host::{Abilities, Host},
    http::{Http, Reply, Verb},
    json,
    message::{self, Message, RpcError},
    news,
    request::Request,
    stop::Stop,
};

use rounds::Ended;

/// A server that speaks a modern revision.
pub(crate) struct Modern {
    http: Http,
    revision: Revision,
    abilities: Abilities,
    log_level: Option<String>,
    stop: Stop,
    ids: AtomicU64,
}

impl Modern {
    pub(crate) fn new(http: Http, revision: Revision, options: &Options) -> Self {
        Self {
            http,
            revision,
            abilities: options.abilities,
            log_level: options.log_level.clone(),
            stop: options.stop.clone(),
            ids: AtomicU64::new(1),
        }
    }

    /// What the server says of itself ([D-1]).
    pub(crate) async fn discover(&self) -> Result<Facts, Error> {
        let params = Raw::empty_object();
        let found = self
            .exchange("server/discover", &params, &[], &mut news::Deaf)
            .await?;
        let Some(supported) = found.get("supportedVersions") else {
            return protocol("server/discover names no supportedVersions");
        };
        let supported = supported
            .elements()
            .filter_map(|date| Some(date.text()?.into_owned()));
        let meta = found.get("_meta").unwrap_or_default();
        Ok(Facts {
            revision: self.revision,
            is_pair: false,
            info: meta
                .get("io.modelcontextprotocol/serverInfo")
                .unwrap_or_default(),
            capabilities: found.get("capabilities").unwrap_or_default(),
            instructions: json::text_member(&found, "instructions"),
            supported: supported.collect(),
        })
    }

    /// A request that cannot ask.
    pub(crate) async fn simple(
        &self,
        method: &str,
        params: &Raw,
        host: &mut dyn Host,
    ) -> Result<Raw, Error> {
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(Error::Stopped),
            result = self.exchange(method, params, &[], host) => result,
        }
    }

    /// A request to its end. Stopping one drops its stream, which the server takes as a
    /// cancellation ([MS-3]); a task it became is cancelled by name.
    pub(crate) async fn run(&self, request: &Request, host: &mut dyn Host) -> Result<Raw, Error> {
        let ended = tokio::select! {
            biased;
            () = self.stop.wait() => return Err(Error::Stopped),
            ended = self.rounds(request, host) => ended?,
        };
        match ended {
            Ended::Complete(result) => Ok(result),
            Ended::Task(created) => self.follow(&created, host).await,
        }
    }

    /// One HTTP exchange: the request and its only response.
    async fn exchange(
        &self,
        method: &str,
        params: &Raw,
        more_headers: &[(String, String)],
        host: &mut dyn Host,
    ) -> Result<Raw, Error> {
        let id = self.next_id();
        let reply = self.post(&id, method, params, more_headers).await?;
        if !reply.is_stream() {
            let mut messages = message::read(reply.bytes().await?)?.into_iter();
            return match (messages.next(), messages.next()) {
                (Some(Message::Response { id: of, result }), None) => settle(&id, of, result),
                _ => protocol("the body is no response"),
            };
        }
        let mut events = news::Messages::new(reply.events());
        loop {
            match events.next_message().await? {
                None => {
                    let reason = "the stream ended before the result".to_owned();
                    return Err(Error::Broken { reason });
                }
                Some(Message::Response { id: of, result }) => return settle(&id, of, result),
                Some(Message::Request { method, .. }) => {
                    return protocol(format!("it sent the request {method}"));
                }
                Some(Message::Notification { method, params }) => {
                    if let Some(notice) = news::read(&method, &params) {
                        host.notice(notice);
                    }
                }
            }
        }
    }

    async fn post(
        &self,
        id: &RequestId,
        method: &str,
        params: &Raw,
        more_headers: &[(String, String)],
    ) -> Result<Reply, Error> {
        let params = json::extended(params, [("_meta", self.meta(id))]);
        let mirrors = headers::mirrors(method, &params);
        let mirrors: Vec<_> = mirrors.iter().chain(more_headers).cloned().collect();
        let body: Bytes = message::request(id, method, params);
        let reply = send(&self.http, self.revision, &mirrors, body).await?;
        match reply.status() {
            200 => Ok(reply),
            _ => Err(reply.refusal().await),
        }
    }

    /// What every request says ([M-3]). The id serves as progress token too.
    fn meta(&self, id: &RequestId) -> Raw {
        let extensions = json::object([(TASKS_EXTENSION, Raw::empty_object())]);
        let capabilities = self.abilities.declared(self.revision, Some(extensions));
        let level = self.log_level.as_deref().map(Raw::from_text);
        let level = level.map(|level| ("io.modelcontextprotocol/logLevel", level));
        let members = introduction(self.revision, capabilities).into_iter();
        let token = ("progressToken", id.to_raw());
        json::object(members.chain([token]).chain(level))
    }

    fn next_id(&self) -> RequestId {
        RequestId::number(self.ids.fetch_add(1, Ordering::Relaxed))
    }
}

/// Who asks, in which revision, and what it is able to.
pub(crate) fn introduction(revision: Revision, capabilities: Raw) -> [(&'static str, Raw); 3] {
    [
        (
            "io.modelcontextprotocol/protocolVersion",
            Raw::from_text(revision.as_str()),
        ),
        ("io.modelcontextprotocol/clientInfo", news::client_info()),
        ("io.modelcontextprotocol/clientCapabilities", capabilities),
    ]
}

/// A request with the headers that all have, and those that repeat a part of it.
pub(crate) async fn send(
    http: &Http,
    revision: Revision,
    mirrors: &[(String, String)],
    body: Bytes,
) -> Result<Reply, Error> {
    let fixed = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", revision.as_str()),
    ];
    let mirrors = mirrors
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let headers = fixed.into_iter().chain(mirrors);
    let headers: Vec<_> = headers
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    http.send(Verb::Post, &headers, body).await
}

/// The response to `id`. An error may leave the id out ([RPC-3]).
fn settle(
    id: &RequestId,
    of: Option<RequestId>,
    result: Result<Raw, RpcError>,
) -> Result<Raw, Error> {
    match of {
        Some(of) if of != *id => protocol("a response to another request"),
        Some(_) | None => result.map_err(Error::Rpc),
    }
}
