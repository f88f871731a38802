//! The modern era: every request says what it needs, nothing is kept between two of them.

mod replies;
mod rounds;
pub(crate) mod task;
mod listen;

use bytes::Bytes;
use ostler_protocol::{Raw, RequestId, Revision};

use crate::{
    client::{Facts, Options},
    error::{Error, protocol},
    headers,
    host::{Behalf, Host},
    http::{Http, Reply, Verb},
    json,
    message::{self, Ids, Message},
    news,
    probe::knock,
    request::Request,
    stop::Stop,
    switch::{Flight, Part},
    way::Way,
};

use replies::Replies;
use rounds::Ended;

/// A server that speaks a modern revision.
pub(crate) struct Modern {
    way: Way,
    revision: Revision,
    behalf: Behalf,
    stop: Stop,
    ids: Ids,
}

impl Modern {
    pub(crate) fn new(way: Way, revision: Revision, options: &Options) -> Self {
        Self {
            ids: way.ids(),
            way,
            revision,
            behalf: options.behalf(),
            stop: options.stop.clone(),
        }
    }

    /// What the server says of itself ([D-1]).
    pub(crate) async fn discover(&self) -> Result<Facts, Error> {
        let asked = Asked::plain(DISCOVER, Raw::empty_object());
        let found = self.exchange(&asked, &mut news::Deaf).await?;
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
        method: &'static str,
        params: Raw,
        host: &mut dyn Host,
    ) -> Result<Raw, Error> {
        let asked = Asked::plain(method, params);
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(Error::Stopped),
            result = self.exchange(&asked, host) => result,
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

    pub(crate) async fn close(&self) {
        match &self.way {
            Way::Http(..) => {}
            Way::Pipe(piped) => piped.close().await,
        }
    }

    /// One exchange: the request and its only response.
    async fn exchange(&self, asked: &Asked, host: &mut dyn Host) -> Result<Raw, Error> {
        let mut replies = self.send(asked, self.behalf(host)).await?;
        loop {
            match replies.next_message().await? {
                None => {
                    let reason = "the stream ended before the result".to_owned();
                    return Err(Error::Broken { reason });
                }
                Some(Message::Response { id, result }) => {
                    replies.settle(id)?;
                    return result.map_err(Error::Rpc);
                }
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

    /// Sends a request, over whatever way there is.
    async fn send(&self, asked: &Asked, behalf: Behalf) -> Result<Replies<'_>, Error> {
        let id = self.ids.next();
        let params = self.introduced(&asked.params, id, &behalf);
        let piped = match &self.way {
            Way::Http(http, _) => {
                let posting = post(http, self.revision, (id, asked, params));
                return Replies::read(id, posting.await?).await;
            }
            Way::Pipe(piped) => piped,
        };
        let flight = Flight {
            id,
            owner: behalf.owner,
            token: id,
            task: None,
            part: asked.part,
        };
        let body = message::request(&RequestId::number(id), asked.method, params);
        Replies::piped(piped, flight, body).await
    }

    /// Says soon, where nobody can wait for it, a request whose response nobody needs.
    fn say(&self, asked: Asked) {
        let id = self.ids.next();
        let params = self.introduced(&asked.params, id, &self.behalf);
        match &self.way {
            Way::Pipe(piped) => {
                piped.say(message::request(
                    &RequestId::number(id),
                    asked.method,
                    params,
                ));
            }
            Way::Http(http, goodbyes) => {
                let (http, revision) = (http.clone(), self.revision);
                goodbyes.run(async move {
                    // It goes unheard, or not.
                    let _ = post(&http, revision, (id, &asked, params)).await;
                });
            }
        }
    }

    /// Parameters with what every request says ([M-3]). The id serves as progress token too.
    fn introduced(&self, params: &Raw, id: u64, behalf: &Behalf) -> Raw {
        let capabilities = behalf.abilities.declared(self.revision);
        let level = behalf.log_level.as_deref().map(Raw::from_text);
        let level = level.map(|level| ("io.modelcontextprotocol/logLevel", level));
        let members = introduction(self.revision, capabilities).into_iter();
        let token = ("progressToken", RequestId::number(id).to_raw());
        let meta = json::object(members.chain([token]).chain(level));
        json::extended(params, [("_meta", meta)])
    }

    /// The host's own, or else that of the connection.
    fn behalf(&self, host: &dyn Host) -> Behalf {
        host.behalf().unwrap_or(&self.behalf).clone()
    }
}

/// What is asked of a server, whatever the way to it.
struct Asked {
    method: &'static str,
    params: Raw,
    /// `Mcp-Param-*`, for HTTP.
    headers: Vec<(String, String)>,
    part: Part,
}

impl Asked {
    fn plain(method: &'static str, params: Raw) -> Asked {
        Asked {
            method,
            params,
            headers: Vec::new(),
            part: Part::Plain,
        }
    }
}

async fn post(
    http: &Http,
    revision: Revision,
    (id, asked, params): (u64, &Asked, Raw),
) -> Result<Reply, Error> {
    let mirrors = headers::mirrors(asked.method, &params);
    let mirrors: Vec<_> = mirrors.iter().chain(&asked.headers).cloned().collect();
    let body = message::request(&RequestId::number(id), asked.method, params);
    let reply = send(http, revision, &mirrors, body).await?;
    match reply.status() {
        200 => Ok(reply),
        // No modern server asks for a session; one that does speaks the other era by now. To the
        // probe that is an answer. Boxed, because it is rare, and would be in every request.
        400 if asked.method != DISCOVER => Err(Box::pin(reply.refusal_or_gone(knock(http))).await),
        _ => Err(reply.refusal().await),
    }
}

const DISCOVER: &str = "server/discover";

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
