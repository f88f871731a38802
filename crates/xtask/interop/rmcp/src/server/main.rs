//! A server written with the official Rust SDK, with what the official suite looks for as far as
//! that SDK offers it without a store of its own. Usage: rmcp-server stdio|PORT

#![expect(
    deprecated,
    reason = "subscriptions per resource and logging are served until they are gone"
)]

mod asking;
mod offer;
mod tools;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::Context;
use rmcp::{
    RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams,
        CompleteResult, ErrorData, GetPromptRequestParams, GetPromptResponse, GetPromptResult,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ReadResourceResult, RequestStateCodec, ServerConfig, SetLevelRequestParams,
        SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams,
    },
    service::{RequestContext, SubscriptionContext},
    transport::{
        stdio_pipes,
        streamable_http_server::{StreamableHttpService, session::local::LocalSessionManager},
    },
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::asking::{Asking, Stop};

/// Which list has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Tools,
    Prompts,
}

/// The server; all connections share it.
#[derive(Clone)]
pub struct Suite {
    changed: broadcast::Sender<Changed>,
    changes: Arc<AtomicU64>,
    codec: Arc<RequestStateCodec>,
}

type Request = RequestContext<RoleServer>;
type Answer<T> = Result<T, ErrorData>;

const CHANGES_KEPT: usize = 64;

/// Only for one process and its tests: nothing that is sealed is secret.
const KEY: &[u8] = b"the key of a server that is only used in tests";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let suite = Suite {
        changed: broadcast::channel(CHANGES_KEPT).0,
        changes: Arc::default(),
        codec: Arc::new(RequestStateCodec::try_new(KEY)?),
    };
    let argument = std::env::args().nth(1);
    match argument
        .as_deref()
        .context("usage: rmcp-server stdio|PORT")?
    {
        "stdio" => {
            suite.serve(stdio_pipes()).await?.waiting().await?;
        }
        port => serve_http(suite, port.parse()?).await?,
    }
    Ok(())
}

async fn serve_http(suite: Suite, port: u16) -> anyhow::Result<()> {
    let sessions = Arc::new(LocalSessionManager::default());
    let service =
        StreamableHttpService::new(move || Ok(suite.clone()), sessions, Default::default());
    let router = axum::Router::new().nest_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    Ok(axum::serve(listener, router).await?)
}

impl Suite {
    /// Makes a list differ from what it was, and says so.
    pub async fn change(&self, changed: Changed, request: &Request) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        // Without a subscription there is nobody to tell that way.
        let _ = self.changed.send(changed);
        if !asking::is_modern(request) {
            let told = match changed {
                Changed::Tools => request.peer.notify_tool_list_changed().await,
                Changed::Prompts => request.peer.notify_prompt_list_changed().await,
            };
            told.unwrap_or_else(|error| eprintln!("nobody heard of a change: {error}"));
        }
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }
}

/// What is offered is written as JSON, and becomes the SDK's own types here.
fn typed<T: DeserializeOwned>(value: Value) -> Answer<T> {
    serde_json::from_value(value)
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

fn answer<T: DeserializeOwned, R: From<T> + From<rmcp::model::InputRequiredResult>>(
    done: Result<Value, Stop>,
) -> Answer<R> {
    match done {
        Ok(value) => Ok(typed::<T>(value)?.into()),
        Err(Stop::InputRequired(result)) => Ok(result.into()),
        Err(Stop::Error(error)) => Err(error),
    }
}

impl ServerHandler for Suite {
    fn get_info(&self) -> ServerConfig {
        let capabilities = json!({
            "completions": {},
            "logging": {},
            "prompts": {"listChanged": true},
            "resources": {"subscribe": true},
            "tools": {"listChanged": true},
        });
        let capabilities = serde_json::from_value(capabilities).expect("a literal of our own");
        ServerConfig::new(capabilities)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _request: Request,
    ) -> Answer<ListToolsResult> {
        typed(offer::tools(self.changes()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let offered: ListToolsResult = typed(offer::tools(self.changes())).ok()?;
        offered.tools.into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        request: Request,
    ) -> Answer<CallToolResponse> {
        let (state, told) = (params.request_state, params.input_responses);
        let asking = Asking::new(&self.codec, &request, state.as_deref(), told)?;
        let arguments = Value::Object(params.arguments.unwrap_or_default());
        let done = tools::call(self, &params.name, &arguments, asking, &request).await;
        answer::<CallToolResult, _>(done)
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _request: Request,
    ) -> Answer<ListPromptsResult> {
        typed(offer::prompts(self.changes()))
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        request: Request,
    ) -> Answer<GetPromptResponse> {
        let (state, told) = (params.request_state, params.input_responses);
        let asking = Asking::new(&self.codec, &request, state.as_deref(), told)?;
        let arguments = Value::Object(params.arguments.unwrap_or_default());
        let done = tools::prompt(&params.name, &arguments, asking).await;
        answer::<GetPromptResult, _>(done)
    }

    async fn complete(
        &self,
        params: CompleteRequestParams,
        _request: Request,
    ) -> Answer<CompleteResult> {
        let known = ["test1", "test2", "testValue1"].into_iter();
        let values: Vec<_> = known
            .filter(|value| value.starts_with(&params.argument.value))
            .collect();
        typed(json!({"resultType": "complete", "completion": {"values": values}}))
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _request: Request,
    ) -> Answer<ListResourcesResult> {
        typed(offer::resources())
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _request: Request,
    ) -> Answer<ListResourceTemplatesResult> {
        typed(offer::templates())
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        _request: Request,
    ) -> Answer<ReadResourceResponse> {
        match offer::read(&params.uri) {
            Some(contents) => Ok(typed::<ReadResourceResult>(contents)?.into()),
            None => {
                let data = json!({"uri": params.uri});
                Err(ErrorData::resource_not_found(
                    "there is no such resource",
                    Some(data),
                ))
            }
        }
    }

    async fn set_level(&self, _params: SetLevelRequestParams, _request: Request) -> Answer<()> {
        Ok(())
    }

    async fn subscribe(&self, _params: SubscribeRequestParams, _request: Request) -> Answer<()> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _params: UnsubscribeRequestParams,
        _request: Request,
    ) -> Answer<()> {
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Answer<()> {
        let mut changes = self.changed.subscribe();
        let sink = subscription.sink();
        loop {
            let changed = tokio::select! {
                () = subscription.cancelled() => return Ok(()),
                changed = changes.recv() => changed,
            };
            // What was not asked for is refused by the sink, as it should be.
            let _ = match changed {
                Ok(Changed::Tools) => sink.notify_tool_list_changed().await,
                Ok(Changed::Prompts) => sink.notify_prompt_list_changed().await,
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            };
        }
    }
}
