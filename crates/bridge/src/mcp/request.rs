//! What a call asks of an upstream.

use bytes::Bytes;
use ostler_client::{Request, parse, text_member};
use ostler_worker::{CallKind, Raw, ToolError};

use crate::member::Asked;

/// The request to make; `tool` is the entry of the tool that is called, if it is known.
pub(super) fn of(asked: &Asked, tool: Option<Raw>) -> Result<Request, ToolError> {
    let name = asked.target.clone();
    let arguments = object(&asked.arguments)?;
    Ok(match asked.kind {
        CallKind::Tool => Request::Call {
            name,
            arguments,
            tool,
        },
        CallKind::Prompt => Request::Get { name, arguments },
        CallKind::Resource => Request::Read { uri: name },
        CallKind::Completion => completion(&name, &arguments)?,
    })
}

fn completion(reference: &str, sent: &Raw) -> Result<Request, ToolError> {
    let argument = sent.get("argument").unwrap_or_default();
    let context = sent.get("context").unwrap_or_default();
    let (Some(name), Some(value)) = (
        text_member(&argument, "name"),
        text_member(&argument, "value"),
    ) else {
        return Err(ToolError::InvalidParams(
            "no argument to complete".to_owned(),
        ));
    };
    Ok(Request::Complete {
        reference: parse(reference).map_err(ToolError::InvalidParams)?,
        argument: name,
        value,
        settled: context.get("arguments").unwrap_or_else(Raw::empty_object),
    })
}

fn object(arguments: &Bytes) -> Result<Raw, ToolError> {
    if arguments.is_empty() {
        return Ok(Raw::empty_object());
    }
    let text = std::str::from_utf8(arguments);
    let text = text.map_err(|why| ToolError::InvalidParams(why.to_string()))?;
    parse(text).map_err(ToolError::InvalidParams)
}
