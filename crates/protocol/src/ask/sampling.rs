//! Sampling: what a request needs of the client, and whether requests and results are sound.

use serde_json::{Map, Value};

use super::older;
use crate::{
    facet::Capability,
    json::{Raw, walk},
    revision::Revision,
};

/// Messages of one request.
const MESSAGES_MAX: usize = 10_000;

/// Why a request or an answer is bad.
type Reason = String;

/// What a `sampling/createMessage` needs [SP-1], and whether the revision has it at all. Tools
/// are never left out silently: without the capability the whole question fails.
pub(super) fn needed(revision: Revision, params: &Raw) -> Vec<(Capability, bool)> {
    let has_words = revision.has_sampling_lists() || older::can_show_messages(revision, params);
    let mut needed = vec![(Capability::Sample, has_words)];
    if offers_tools(params) || speaks_of_tools(params) {
        needed.push((Capability::SampleTools, revision.has_sampling_tools()));
    }
    // Before 2025-11-25 there was no capability for it: every client that samples may be asked.
    if asks_for_context(params) && revision.has_sampling_tools() {
        needed.push((Capability::SampleContext, true));
    }
    needed
}

fn offers_tools(params: &Raw) -> bool {
    let has = |name: &str| params.get(name).is_some_and(|value| !value.is_null());
    has("tools") || has("toolChoice")
}

/// Whether a message has what only a client with tools understands.
fn speaks_of_tools(params: &Raw) -> bool {
    let is_of_tools = |block: &str| {
        older::is_of_type(block, "tool_use") || older::is_of_type(block, "tool_result")
    };
    let messages = walk::member(params.as_str(), "messages").unwrap_or("[]");
    walk::items(messages).any(|message| {
        let content = walk::member(message, "content").unwrap_or("{}");
        older::blocks(content).any(is_of_tools)
    })
}

fn is_of_tools(block: &Value) -> bool {
    block["type"] == "tool_use" || block["type"] == "tool_result"
}

fn asks_for_context(params: &Raw) -> bool {
    let context = params.get("includeContext");
    context.is_some_and(|context| context.text().as_deref() != Some("none"))
}

/// Checks the params of a request.
pub(super) fn check_request(params: &Map<String, Value>) -> Result<(), Reason> {
    let messages = params.get("messages").and_then(Value::as_array);
    let messages = messages.ok_or("`messages` must be an array")?;
    if messages.len() > MESSAGES_MAX {
        return Err(format!("more than {MESSAGES_MAX} messages"));
    }
    match params.get("maxTokens").map(Value::as_u64) {
        Some(Some(1..)) => {}
        _ => return Err("`maxTokens` must be a positive integer".to_owned()),
    }
    match params.get("includeContext").map(Value::as_str) {
        None | Some(Some("none" | "thisServer" | "allServers")) => {}
        Some(_) => {
            return Err("`includeContext` must be none, thisServer or allServers".to_owned());
        }
    }
    check_tools(params)?;
    for (at, message) in messages.iter().enumerate() {
        check_message(message).map_err(|reason| format!("messages[{at}]: {reason}"))?;
    }
    check_tool_results(messages)
}

/// The tools the model may use, and whether it must [SP-1].
fn check_tools(params: &Map<String, Value>) -> Result<(), Reason> {
    if let Some(tools) = params.get("tools") {
        let is_tool = |tool: &Value| tool["name"].is_string() && tool["inputSchema"].is_object();
        if !tools
            .as_array()
            .is_some_and(|tools| tools.iter().all(is_tool))
        {
            return Err("`tools` must be an array of {name, inputSchema}".to_owned());
        }
    }
    if let Some(choice) = params.get("toolChoice") {
        let mode = choice.get("mode").map(Value::as_str);
        if !choice.is_object() || !matches!(mode, None | Some(Some("auto" | "required" | "none"))) {
            return Err("`toolChoice.mode` must be auto, required or none".to_owned());
        }
    }
    Ok(())
}

/// Checks a `CreateMessageResult` for a request with these params [MR-12].
pub(super) fn check_result(params: &Raw, result: &Map<String, Value>) -> Result<(), Reason> {
    if !result.get("model").is_some_and(Value::is_string) {
        return Err("`model` must be a string".to_owned());
    }
    let role = check_role(result.get("role"))?;
    check_content(role, result.get("content"))?;
    let content = blocks(&result["content"]);
    if content.iter().any(|block| block["type"] == "tool_result") {
        return Err("an answer has no tool_result".to_owned());
    }
    match content.iter().any(is_of_tools) && !offers_tools(params) {
        true => Err("no tools were offered".to_owned()),
        false => Ok(()),
    }
}

fn check_message(message: &Value) -> Result<(), Reason> {
    let message = message.as_object().ok_or("must be an object")?;
    let role = check_role(message.get("role"))?;
    check_content(role, message.get("content"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
}

fn check_role(role: Option<&Value>) -> Result<Role, Reason> {
    match role.and_then(Value::as_str) {
        Some("user") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        _ => Err("`role` must be \"user\" or \"assistant\"".to_owned()),
    }
}

/// One block or several.
fn check_content(role: Role, content: Option<&Value>) -> Result<(), Reason> {
    let content = content.ok_or("`content` is missing")?;
    let mut blocks = blocks(content).iter();
    blocks.try_for_each(|block| check_block(role, block))
}

/// The content as a list, whichever way it is written.
fn blocks(content: &Value) -> &[Value] {
    match content {
        Value::Array(blocks) => blocks,
        block => std::slice::from_ref(block),
    }
}

fn check_block(role: Role, block: &Value) -> Result<(), Reason> {
    let block_type = block.get("type").and_then(Value::as_str).unwrap_or("");
    let strings: &[&str] = match block_type {
        "text" => &["text"],
        "image" | "audio" => &["data", "mimeType"],
        "tool_use" => &["id", "name"],
        "tool_result" => &["toolUseId"],
        _ => {
            return Err("`content` must be text, image, audio, tool_use or tool_result".to_owned());
        }
    };
    if let Some(name) = strings.iter().find(|name| !block[**name].is_string()) {
        return Err(format!("`{name}` of a {block_type} must be a string"));
    }
    match (block_type, role) {
        ("tool_use", Role::User) => Err("only the assistant uses tools".to_owned()),
        ("tool_use", _) if !block["input"].is_object() => {
            Err("`input` of a tool_use must be an object".to_owned())
        }
        ("tool_result", Role::Assistant) => Err("only the user gives tool results".to_owned()),
        ("tool_result", _) if !block["content"].is_array() => {
            Err("`content` of a tool_result must be an array".to_owned())
        }
        _ => Ok(()),
    }
}

/// Tool uses are answered by the very next message, which has nothing but their results [SP-2].
fn check_tool_results(messages: &[Value]) -> Result<(), Reason> {
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let blocks = blocks(&message["content"]);
        let answered = ids(blocks, "tool_result", "toolUseId");
        if !same(&open, &answered) {
            return Err(format!(
                "messages[{at}]: must answer each tool_use of the message before, and only those"
            ));
        }
        if !answered.is_empty() && answered.len() != blocks.len() {
            return Err(format!("messages[{at}]: tool_results stand alone"));
        }
        open = ids(blocks, "tool_use", "id");
    }
    match open.is_empty() {
        true => Ok(()),
        false => Err("the last tool_use is not answered".to_owned()),
    }
}

/// Sorted, so that sets can be compared.
fn ids<'a>(blocks: &'a [Value], block_type: &str, id: &str) -> Vec<&'a str> {
    let of_type = blocks.iter().filter(|block| block["type"] == block_type);
    let mut ids: Vec<_> = of_type.filter_map(|block| block[id].as_str()).collect();
    ids.sort_unstable();
    ids
}

fn same(asked: &[&str], answered: &[&str]) -> bool {
    asked == answered
}
