//! Sampling: what a request needs of the client, and whether requests and results are sound.

use serde_json::{Map, Value};

use crate::{facet::Capability, json::Raw, revision::Revision};

/// Messages of one request.
const MESSAGES_MAX: usize = 10_000;

/// Why a request or an answer is bad.
type Reason = String;

/// What a `sampling/createMessage` needs [SP-1], and whether the revision has it at all. Tools
/// are never left out silently: without the capability the whole question fails.
pub(super) fn needed(revision: Revision, params: &Raw) -> Vec<(Capability, bool)> {
    let mut needed = vec![(Capability::Sample, true)];
    let has = |name: &str| params.get(name).is_some_and(|value| !value.is_null());
    if has("tools") || has("toolChoice") {
        needed.push((Capability::SampleTools, revision.has_sampling_tools()));
    }
    // Before 2025-11-25 there was no capability for it: every client that samples may be asked.
    if asks_for_context(params) && revision.has_sampling_tools() {
        needed.push((Capability::SampleContext, true));
    }
    needed
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
    if params.get("tools").is_some_and(|tools| !tools.is_array()) {
        return Err("`tools` must be an array".to_owned());
    }
    for (at, message) in messages.iter().enumerate() {
        check_message(message).map_err(|reason| format!("messages[{at}]: {reason}"))?;
    }
    check_tool_results(messages)
}

/// Checks a `CreateMessageResult` [MR-12].
pub(super) fn check_result(result: &Map<String, Value>) -> Result<(), Reason> {
    if !result.get("model").is_some_and(Value::is_string) {
        return Err("`model` must be a string".to_owned());
    }
    check_role(result.get("role"))?;
    check_content(result.get("content"))
}

fn check_message(message: &Value) -> Result<(), Reason> {
    let message = message.as_object().ok_or("must be an object")?;
    check_role(message.get("role"))?;
    check_content(message.get("content"))
}

fn check_role(role: Option<&Value>) -> Result<(), Reason> {
    match role.and_then(Value::as_str) {
        Some("user" | "assistant") => Ok(()),
        _ => Err("`role` must be \"user\" or \"assistant\"".to_owned()),
    }
}

/// One block or several.
fn check_content(content: Option<&Value>) -> Result<(), Reason> {
    let content = content.ok_or("`content` is missing")?;
    blocks(content).iter().try_for_each(check_block)
}

/// The content as a list, whichever way it is written.
fn blocks(content: &Value) -> &[Value] {
    match content {
        Value::Array(blocks) => blocks,
        block => std::slice::from_ref(block),
    }
}

fn check_block(block: &Value) -> Result<(), Reason> {
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
    match strings.iter().find(|name| !block[**name].is_string()) {
        Some(name) => Err(format!("`{name}` of a {block_type} must be a string")),
        None => Ok(()),
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
