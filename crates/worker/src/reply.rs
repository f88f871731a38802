//! From what a handler returns to the result object that travels.

use std::fmt::Display;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    content::{Content, PromptMessage, ResourceContents},
    error::ToolError,
    schema,
};

/// A result object, encoded once.
#[derive(Debug, Clone)]
pub struct Reply(pub(crate) Bytes);

impl Reply {
    /// Encodes `result`, which must be a JSON object of the kind the handler answers with.
    pub fn of(result: &impl Serialize) -> Result<Reply, ToolError> {
        let encoded = serde_json::to_vec(result);
        let encoded = encoded.map_err(|error| ToolError::Internal(error.to_string()))?;
        match encoded.first() {
            Some(b'{') => Ok(Reply(encoded.into())),
            _ => Err(ToolError::Internal("a result is a JSON object".to_owned())),
        }
    }

    /// A result object that is JSON text already.
    pub fn raw(json: impl Into<Bytes>) -> Reply {
        Reply(json.into())
    }
}

/// What a tool's function may return.
pub trait IntoToolResult {
    fn into_tool_result(self) -> Result<Reply, ToolError>;

    /// The `outputSchema` that this type promises, if it does.
    fn output_schema() -> Option<Value> {
        None
    }
}

/// A tool's result, built by hand.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResult {
    content: Vec<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
    #[serde(rename = "_meta", skip_serializing_if = "Map::is_empty")]
    meta: Map<String, Value>,
}

impl ToolResult {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::new().with(Content::text(text))
    }

    /// The tool ran and did not succeed; the model reads `text`.
    pub fn error(text: impl Into<String>) -> Self {
        let mut result = Self::text(text);
        result.is_error = true;
        result
    }

    pub fn with(mut self, content: impl Into<Content>) -> Self {
        self.content.push(content.into());
        self
    }

    /// Sets `structuredContent`.
    pub fn structured(mut self, value: Value) -> Self {
        self.structured_content = Some(value);
        self
    }

    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.meta.insert(key.to_owned(), value);
        self
    }
}

/// A structured result: `structuredContent`, its JSON as text for older clients [T-11], and the
/// `outputSchema` derived from `T`.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Structured<'a, T> {
    content: [Content; 1],
    structured_content: &'a T,
}

impl<T: Serialize + JsonSchema> IntoToolResult for Json<T> {
    fn into_tool_result(self) -> Result<Reply, ToolError> {
        let text = serde_json::to_string(&self.0);
        let text = text.map_err(|error| ToolError::Internal(error.to_string()))?;
        Reply::of(&Structured {
            content: [Content::text(text)],
            structured_content: &self.0,
        })
    }

    fn output_schema() -> Option<Value> {
        Some(schema::output::<T>())
    }
}

impl IntoToolResult for ToolResult {
    fn into_tool_result(self) -> Result<Reply, ToolError> {
        Reply::of(&self)
    }
}

impl IntoToolResult for Reply {
    fn into_tool_result(self) -> Result<Reply, ToolError> {
        Ok(self)
    }
}

/// For a tool that only ever fails.
impl IntoToolResult for ToolError {
    fn into_tool_result(self) -> Result<Reply, ToolError> {
        Err(self)
    }
}

impl IntoToolResult for () {
    fn into_tool_result(self) -> Result<Reply, ToolError> {
        Reply::of(&ToolResult::new())
    }
}

impl IntoToolResult for Content {
    fn into_tool_result(self) -> Result<Reply, ToolError> {
        Reply::of(&ToolResult::new().with(self))
    }
}

impl IntoToolResult for Vec<Content> {
    fn into_tool_result(self) -> Result<Reply, ToolError> {
        let mut result = ToolResult::new();
        result.content = self;
        Reply::of(&result)
    }
}

macro_rules! text_result {
    ($($plain:ty),*) => {$(
        impl IntoToolResult for $plain {
            fn into_tool_result(self) -> Result<Reply, ToolError> {
                Reply::of(&ToolResult::text(self.to_string()))
            }
        }
    )*};
}

text_result!(
    &'static str,
    String,
    bool,
    i32,
    i64,
    u32,
    u64,
    usize,
    f32,
    f64
);

impl<T: IntoToolResult, E: Display + 'static> IntoToolResult for Result<T, E> {
    fn into_tool_result(self) -> Result<Reply, ToolError> {
        match self {
            Ok(value) => value.into_tool_result(),
            Err(error) => Err(ToolError::of(error)),
        }
    }

    fn output_schema() -> Option<Value> {
        T::output_schema()
    }
}

/// What a prompt's function may return.
pub trait IntoPrompt {
    fn into_prompt(self) -> Result<Reply, ToolError>;
}

#[derive(Serialize)]
struct Messages {
    messages: Vec<PromptMessage>,
}

impl IntoPrompt for Vec<PromptMessage> {
    fn into_prompt(self) -> Result<Reply, ToolError> {
        Reply::of(&Messages { messages: self })
    }
}

impl IntoPrompt for PromptMessage {
    fn into_prompt(self) -> Result<Reply, ToolError> {
        vec![self].into_prompt()
    }
}

impl IntoPrompt for String {
    fn into_prompt(self) -> Result<Reply, ToolError> {
        PromptMessage::user(self).into_prompt()
    }
}

impl IntoPrompt for &'static str {
    fn into_prompt(self) -> Result<Reply, ToolError> {
        PromptMessage::user(self).into_prompt()
    }
}

impl IntoPrompt for Reply {
    fn into_prompt(self) -> Result<Reply, ToolError> {
        Ok(self)
    }
}

impl<T: IntoPrompt, E: Display + 'static> IntoPrompt for Result<T, E> {
    fn into_prompt(self) -> Result<Reply, ToolError> {
        match self {
            Ok(value) => value.into_prompt(),
            Err(error) => Err(ToolError::of(error)),
        }
    }
}

/// What a resource's function may return. `uri` is the one that was asked for, `mime_type`
/// the declared one.
pub trait IntoContents {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Result<Reply, ToolError>;
}

#[derive(Serialize)]
struct Contents {
    contents: Vec<ResourceContents>,
}

impl IntoContents for Vec<ResourceContents> {
    fn into_contents(mut self, _uri: &str, mime_type: Option<&str>) -> Result<Reply, ToolError> {
        for contents in &mut self {
            if contents.mime_type.is_none() {
                contents.mime_type = mime_type.map(str::to_owned);
            }
        }
        Reply::of(&Contents { contents: self })
    }
}

impl IntoContents for ResourceContents {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Result<Reply, ToolError> {
        vec![self].into_contents(uri, mime_type)
    }
}

impl IntoContents for String {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Result<Reply, ToolError> {
        ResourceContents::text(uri, self).into_contents(uri, mime_type)
    }
}

impl IntoContents for &'static str {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Result<Reply, ToolError> {
        ResourceContents::text(uri, self).into_contents(uri, mime_type)
    }
}

/// Bytes become a blob.
impl IntoContents for Vec<u8> {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Result<Reply, ToolError> {
        ResourceContents::blob(uri, &self).into_contents(uri, mime_type)
    }
}

impl IntoContents for Reply {
    fn into_contents(self, _uri: &str, _mime_type: Option<&str>) -> Result<Reply, ToolError> {
        Ok(self)
    }
}

impl<T: IntoContents, E: Display + 'static> IntoContents for Result<T, E> {
    fn into_contents(self, uri: &str, mime_type: Option<&str>) -> Result<Reply, ToolError> {
        match self {
            Ok(value) => value.into_contents(uri, mime_type),
            Err(error) => Err(ToolError::of(error)),
        }
    }
}
