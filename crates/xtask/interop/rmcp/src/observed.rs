//! The SDK's own HTTP client, with a look at what it does: which sessions it names, how often it
//! initializes, whether it resumes, and when the first event of a response is here.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use anyhow::ensure;
use futures::{StreamExt, stream::BoxStream};
use http::{HeaderName, HeaderValue};
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage},
    transport::streamable_http_client::{
        StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    },
};
use sse_stream::{Error as SseError, Sse};

#[derive(Clone, Default)]
pub struct Observed {
    client: reqwest::Client,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    sessions: BTreeSet<String>,
    initialized: usize,
    resumed: usize,
    announce: bool,
}

type Headers = HashMap<HeaderName, HeaderValue>;
type Events = BoxStream<'static, Result<Sse, SseError>>;
type Failure = StreamableHttpError<reqwest::Error>;

impl Observed {
    /// Says READY when the next event that can be resumed from arrives.
    pub fn announce_next_event(&self) {
        self.look(|seen| seen.announce = true);
    }

    pub fn check_one_session_resumed(&self) -> anyhow::Result<()> {
        self.look(|seen| {
            ensure!(seen.sessions.len() == 1, "another session: {seen:?}");
            ensure!(seen.initialized == 1, "initialized again: {seen:?}");
            ensure!(seen.resumed > 0, "no Last-Event-ID: {seen:?}");
            Ok(())
        })
    }

    fn look<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().expect("no look panics"))
    }

    fn sent(&self, message: &ClientJsonRpcMessage, session: Option<&Arc<str>>) {
        self.look(|seen| {
            seen.sessions.extend(session.map(|id| id.to_string()));
            if let JsonRpcMessage::Request(request) = message
                && matches!(request.request, ClientRequest::InitializeRequest(_))
            {
                seen.initialized += 1;
            }
        });
    }

    fn heard(&self, event: &Result<Sse, SseError>) {
        let has_id = event.as_ref().is_ok_and(|event| event.id.is_some());
        if has_id && self.look(|seen| std::mem::take(&mut seen.announce)) {
            println!("READY");
        }
    }
}

impl StreamableHttpClient for Observed {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        self.sent(&message, session.as_ref());
        let posted = self
            .client
            .post_message(uri, message, session, auth, headers);
        Ok(match posted.await? {
            StreamableHttpPostResponse::Sse(events, session) => {
                let observed = self.clone();
                let events = events.inspect(move |event| observed.heard(event)).boxed();
                StreamableHttpPostResponse::Sse(events, session)
            }
            other => other,
        })
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<(), Failure> {
        self.client
            .delete_session(uri, session, auth, headers)
            .await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth: Option<String>,
        headers: Headers,
    ) -> Result<Events, Failure> {
        self.look(|seen| {
            seen.sessions.extend(session.as_deref().map(str::to_owned));
            seen.resumed += usize::from(last_event_id.is_some());
        });
        self.client
            .get_stream(uri, session, last_event_id, auth, headers)
            .await
    }
}
