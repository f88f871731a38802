//! What the tools and prompts do.

use std::time::Duration;

use rmcp::model::{
    ErrorData, LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam,
};
use serde_json::{Value, json};

use crate::{
    Changed, Request, Suite,
    asking::{Asking, Stop, is_modern},
    offer::{PNG, WAV},
};

const STEP: Duration = Duration::from_millis(50);

pub async fn call(
    suite: &Suite,
    name: &str,
    arguments: &Value,
    mut asking: Asking<'_>,
    request: &Request,
) -> Result<Value, Stop> {
    let content = match name {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_image_content" => json!([image()]),
        "test_audio_content" => json!([{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]),
        "test_embedded_resource" => json!([resource("test://embedded-resource")]),
        "test_multiple_content_types" => {
            json!([words("Several kinds:"), image(), resource("test://mixed")])
        }
        "test_error_handling" => return Ok(failed("This tool intentionally returns an error")),
        "test_tool_with_logging" => log(request, 3).await,
        "test_logging_tool" => log(request, 1).await,
        "test_tool_with_progress" => progress(request).await,
        "test_reconnection" => {
            // Long enough that a node in front of it begins a stream.
            tokio::time::sleep(STEP * 20).await;
            log(request, 1).await
        }
        "json_schema_2020_12_tool" => text(&format!("Called with {arguments}")),
        "test_custom_header" => text(arguments["value"].as_str().unwrap_or_default()),
        "test_missing_capability" => needs_sampling(request)?,
        "test_trigger_tool_change" => {
            suite.change(Changed::Tools, request).await;
            text("The list of tools has changed.")
        }
        "test_trigger_prompt_change" => {
            suite.change(Changed::Prompts, request).await;
            text("The list of prompts has changed.")
        }
        asks => text(&ask(asks, arguments, &mut asking, request).await?),
    };
    Ok(json!({"resultType": "complete", "content": content}))
}

async fn ask(
    name: &str,
    arguments: &Value,
    asking: &mut Asking<'_>,
    request: &Request,
) -> Result<String, Stop> {
    let said = match name {
        "test_sampling" => {
            let prompt = arguments["prompt"].as_str().unwrap_or_default();
            asking.ask_one("sampling", sample(prompt)).await?
        }
        "test_elicitation" => {
            let message = arguments["message"].as_str().unwrap_or_default();
            let question = form(message, &["username", "email"]);
            asking.ask_one("elicitation", question).await?
        }
        "test_elicitation_sep1034_defaults" => asking.ask_one("defaults", defaults()).await?,
        "test_elicitation_sep1330_enums" => asking.ask_one("choices", choices()).await?,
        "test_streaming_elicitation" => {
            asking
                .ask_one("streaming", form("Anything?", &["answer"]))
                .await?
        }
        "test_input_required_result_elicitation" => {
            asking.ask_one("user_name", name_form()).await?
        }
        "test_input_required_result_sampling" => {
            let question = sample("What is the capital of France?");
            asking.ask_one("capital_question", question).await?
        }
        "test_input_required_result_list_roots" => asking.ask_one("client_roots", roots()).await?,
        "test_input_required_result_request_state"
        | "test_input_required_result_tampered_state" => {
            asking
                .ask_one("confirm", form("Please confirm", &["ok"]))
                .await?
        }
        "test_input_required_result_multiple_inputs" => json!(asking.ask(&everything()).await?),
        "test_input_required_result_multi_round" => {
            let name = asking
                .ask_one("step1", form("Your name?", &["name"]))
                .await?;
            let color = asking
                .ask_one("step2", form("Your color?", &["color"]))
                .await?;
            json!([name, color])
        }
        "test_input_required_result_capabilities" => {
            let can = json!(request.client_capabilities());
            let questions: Vec<_> = everything()
                .into_iter()
                .filter(|(_, question)| can.get(capability(question)).is_some())
                .collect();
            json!(asking.ask(&questions).await?)
        }
        _ => return Err(ErrorData::invalid_params(format!("unknown tool {name}"), None).into()),
    };
    Ok(format!("state-ok, told {said}"))
}

pub async fn prompt(name: &str, arguments: &Value, mut asking: Asking<'_>) -> Result<Value, Stop> {
    let contents = match name {
        "test_simple_prompt" => vec![words("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => vec![words(&format!("Told {arguments}"))],
        "test_prompt_with_embedded_resource" => {
            let uri = arguments["resourceUri"].as_str().unwrap_or_default();
            vec![resource(uri), words("Please look at the resource.")]
        }
        "test_prompt_with_image" => vec![image(), words("Please look at the image.")],
        "test_input_required_result_prompt" => {
            let question = form("In which context?", &["context"]);
            let told = asking.ask_one("user_context", question).await?;
            vec![words(&format!("In the context of {told}"))]
        }
        _ => return Err(ErrorData::invalid_params(format!("unknown prompt {name}"), None).into()),
    };
    let message = |content| json!({"role": "user", "content": content});
    let messages: Vec<_> = contents.into_iter().map(message).collect();
    Ok(json!({"resultType": "complete", "messages": messages}))
}

fn words(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn text(text: &str) -> Value {
    json!([words(text)])
}

fn image() -> Value {
    json!({"type": "image", "data": PNG, "mimeType": "image/png"})
}

fn resource(uri: &str) -> Value {
    let contents = json!({"uri": uri, "mimeType": "text/plain", "text": "The resource."});
    json!({"type": "resource", "resource": contents})
}

fn failed(why: &str) -> Value {
    json!({"resultType": "complete", "content": text(why), "isError": true})
}

/// A modern request is logged for only where it asks for that.
async fn log(request: &Request, lines: usize) -> Value {
    for line in 0..lines {
        if !is_modern(request) || request.meta.log_level().is_some() {
            let data = json!(format!("Line {line}"));
            let param = LoggingMessageNotificationParam::new(LoggingLevel::Info, data);
            heard(request.peer.notify_logging_message(param).await);
        }
        tokio::time::sleep(STEP).await;
    }
    text("Logged")
}

async fn progress(request: &Request) -> Value {
    for done in [0.0, 50.0, 100.0] {
        if let Some(token) = request.meta.get_progress_token() {
            let param = ProgressNotificationParam::new(token, done).with_total(100.0);
            heard(request.peer.notify_progress(param).await);
        }
        tokio::time::sleep(STEP).await;
    }
    text("Worked")
}

/// A client that is gone hears nothing, and the call ends by itself.
fn heard(told: Result<(), rmcp::ServiceError>) {
    told.unwrap_or_else(|error| eprintln!("nobody heard: {error}"));
}

fn needs_sampling(request: &Request) -> Result<Value, ErrorData> {
    let can = request.client_capabilities().unwrap_or_default();
    match can.sampling {
        Some(_) => Ok(text("The client can sample.")),
        None => {
            let needed = crate::typed(json!({"sampling": {}}))?;
            Err(ErrorData::missing_required_client_capability(needed))
        }
    }
}

fn sample(prompt: &str) -> Value {
    let message = json!({"role": "user", "content": words(prompt)});
    json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 100}})
}

fn roots() -> Value {
    json!({"method": "roots/list"})
}

fn form(message: &str, fields: &[&str]) -> Value {
    let kind = |field: &str| if field == "ok" { "boolean" } else { "string" };
    let properties: serde_json::Map<String, Value> = fields
        .iter()
        .map(|field| ((*field).to_owned(), json!({"type": kind(field)})))
        .collect();
    asked(
        message,
        json!({"type": "object", "properties": properties, "required": fields}),
    )
}

fn asked(message: &str, schema: Value) -> Value {
    let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
    json!({"method": "elicitation/create", "params": params})
}

fn name_form() -> Value {
    form("What is your name?", &["name"])
}

fn everything() -> Vec<(&'static str, Value)> {
    let greeting = sample("Generate a greeting");
    vec![
        ("user_name", name_form()),
        ("greeting", greeting),
        ("client_roots", roots()),
    ]
}

fn capability(question: &Value) -> &'static str {
    match question["method"].as_str() {
        Some("elicitation/create") => "elicitation",
        Some("sampling/createMessage") => "sampling",
        _ => "roots",
    }
}

fn defaults() -> Value {
    let properties = json!({
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    });
    asked(
        "Please review",
        json!({"type": "object", "properties": properties}),
    )
}

fn choices() -> Value {
    let titled = json!([
        {"const": "value1", "title": "First Option"},
        {"const": "value2", "title": "Second Option"},
    ]);
    let plain = json!(["option1", "option2"]);
    let properties = json!({
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"],
                       "enumNames": ["Option One", "Option Two"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    });
    asked(
        "Please choose",
        json!({"type": "object", "properties": properties}),
    )
}
