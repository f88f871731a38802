//! The official Rust SDK in either era: connect, list, call, read, get, answer; or resume over a
//! restart. Usage: rmcp-interop URL legacy|modern|restart

#![expect(
    deprecated,
    reason = "sampling is on its way out of MCP, and served until then"
)]

mod observed;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use rmcp::{
    ClientHandler, RoleClient,
    handler::client::progress::ProgressDispatcher,
    model::{
        CallToolRequest, CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig,
        ClientRequest, ContentBlock, CreateMessageRequestParams, CreateMessageResult,
        ElicitRequestParams, ElicitResult, ElicitationAction, ErrorData, GetPromptRequestParams,
        Implementation, ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams,
        ResourceContents, SamplingMessage,
    },
    service::{
        ClientLifecycleMode, NotificationContext, PeerRequestOptions, RequestContext,
        RunningService, serve_client_with_lifecycle,
    },
    transport::{
        StreamableHttpClientTransport, common::client_side_sse::FixedInterval,
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};

use crate::observed::Observed;

type Client = RunningService<RoleClient, Person>;

/// Answers every question.
#[derive(Default)]
struct Person {
    progress: ProgressDispatcher,
}

impl ClientHandler for Person {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation = Some(Default::default());
        capabilities.sampling = Some(Default::default());
        ClientConfig::new(capabilities, Implementation::new("interop", "3"))
            .with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    async fn create_elicitation(
        &self,
        _request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let content = json!({"username": "ada", "email": "ada@example.com"});
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(content))
    }

    async fn create_message(
        &self,
        _params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let message = SamplingMessage::assistant_text("forty-two");
        Ok(CreateMessageResult::new(message, "none".to_owned()))
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.progress.handle_notification(params).await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, mode] = arguments.as_slice() else {
        bail!("usage: rmcp-interop URL legacy|modern|restart");
    };
    let observed = Observed::default();
    let mut client = connect(url, mode == "modern", observed.clone()).await?;
    match mode.as_str() {
        "restart" => outlive(&client, &observed).await?,
        _ => check(&client).await?,
    }
    client.close().await?;
    println!("OK");
    Ok(())
}

async fn connect(url: &str, modern: bool, observed: Observed) -> anyhow::Result<Client> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    let mut retry = FixedInterval::default();
    retry.duration = Duration::from_millis(200);
    config.retry_config = Arc::new(retry);
    let transport = StreamableHttpClientTransport::with_client(observed, config);
    let (lifecycle, version) = match modern {
        true => {
            let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
            let lifecycle = ClientLifecycleMode::Discover { preferred_versions };
            (lifecycle, ProtocolVersion::V_2026_07_28)
        }
        false => (
            ClientLifecycleMode::Initialize,
            ProtocolVersion::V_2025_11_25,
        ),
    };
    let client = serve_client_with_lifecycle(Person::default(), transport, lifecycle).await?;
    let peer = client.peer_info().context("it is connected")?;
    ensure!(
        peer.protocol_version == version,
        "{:?}",
        peer.protocol_version
    );
    Ok(client)
}

async fn check(client: &Client) -> anyhow::Result<()> {
    let tools = client.list_tools(None).await?.tools;
    ensure!(tools[0].name == "test_simple_text", "{:?}", tools[0]);
    let simple = call(client, "test_simple_text", json!({})).await?;
    ensure!(
        simple == "This is a simple text response for testing.",
        "{simple}"
    );
    progress(client).await?;
    let elicited = call(client, "test_elicitation", json!({"message": "who?"})).await?;
    ensure!(elicited.contains("ada"), "{elicited}");
    let sampled = call(client, "test_sampling", json!({"prompt": "what?"})).await?;
    ensure!(sampled.contains("forty-two"), "{sampled}");
    read_and_get(client).await
}

async fn read_and_get(client: &Client) -> anyhow::Result<()> {
    let resource = ReadResourceRequestParams::new("test://static-text");
    let contents = client.read_resource(resource).await?.contents;
    match contents.as_slice() {
        [ResourceContents::TextResourceContents { text, .. }]
            if text.contains("static text resource") => {}
        other => bail!("{other:?}"),
    }
    let prompt = GetPromptRequestParams::new("test_prompt_with_arguments")
        .with_arguments(object(json!({"arg1": "x1", "arg2": "x2"})));
    let messages = client.get_prompt(prompt).await?.messages;
    let text = text(&messages.first().context("no message")?.content)?;
    ensure!(text.contains("x1") && text.contains("x2"), "{text}");
    Ok(())
}

async fn progress(client: &Client) -> anyhow::Result<()> {
    let request = CallToolRequest::new(CallToolRequestParams::new("test_tool_with_progress"));
    let request = ClientRequest::CallToolRequest(request);
    let handle = client
        .send_cancellable_request(request, PeerRequestOptions::no_options())
        .await?;
    let dispatcher = &client.service().progress;
    let mut reports = dispatcher.subscribe(handle.progress_token.clone()).await;
    for wanted in [0.0, 50.0, 100.0] {
        let report = futures::StreamExt::next(&mut reports).await;
        let report = report.context("no progress")?;
        ensure!(report.progress == wanted, "{report:?}");
    }
    handle.await_response().await?;
    Ok(())
}

/// The node is killed during the call; the transport resumes the stream by itself.
async fn outlive(client: &Client, observed: &Observed) -> anyhow::Result<()> {
    observed.announce_next_event();
    let arguments = json!({"seconds": 6, "label": "kept"});
    let result = call(client, "slow_compute", arguments).await?;
    ensure!(result.contains("kept"), "{result}");
    ensure!(client.list_tools(None).await?.tools.len() > 10);
    observed.check_one_session_resumed()
}

async fn call(client: &Client, tool: &'static str, arguments: Value) -> anyhow::Result<String> {
    let params = CallToolRequestParams::new(tool).with_arguments(object(arguments));
    let result: CallToolResult = client.call_tool(params).await?;
    text(result.content.first().context("no content")?)
}

fn text(content: &ContentBlock) -> anyhow::Result<String> {
    let text = content.as_text().with_context(|| format!("{content:?}"))?;
    Ok(text.text.clone())
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => unreachable!("{other} is written as an object above"),
    }
}
