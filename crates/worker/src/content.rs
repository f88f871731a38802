//! What handlers give back: content, resources, prompt messages.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Map, Value};

/// One item of a result. <https://modelcontextprotocol.io/specification/2026-07-28/server/tools>
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Content {
    #[serde(flatten)]
    body: Body,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Value>,
    #[serde(rename = "_meta", skip_serializing_if = "Map::is_empty")]
    meta: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Body {
    Text { text: String },
    Image(Media),
    Audio(Media),
    Resource { resource: ResourceContents },
    ResourceLink(ResourceLink),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Media {
    data: String,
    mime_type: String,
}

impl Media {
    fn new(bytes: &[u8], mime_type: &str) -> Self {
        Self {
            data: STANDARD.encode(bytes),
            mime_type: mime_type.to_owned(),
        }
    }
}

impl Content {
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Body::Text { text: text.into() })
    }

    pub fn image(bytes: &[u8], mime_type: &str) -> Self {
        Self::new(Body::Image(Media::new(bytes, mime_type)))
    }

    pub fn audio(bytes: &[u8], mime_type: &str) -> Self {
        Self::new(Body::Audio(Media::new(bytes, mime_type)))
    }

    /// A resource, embedded.
    pub fn resource(resource: ResourceContents) -> Self {
        Self::new(Body::Resource { resource })
    }

    /// A pointer to a resource that can be read.
    pub fn link(link: ResourceLink) -> Self {
        Self::new(Body::ResourceLink(link))
    }

    /// Sets `annotations`: audience, priority, lastModified.
    pub fn annotated(mut self, annotations: Value) -> Self {
        self.annotations = Some(annotations);
        self
    }

    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.meta.insert(key.to_owned(), value);
        self
    }

    fn new(body: Body) -> Self {
        Self {
            body,
            annotations: None,
            meta: Map::new(),
        }
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Content::text(text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Content::text(text)
    }
}

/// A resource's URI with its text or bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceContents {
    pub(crate) uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mime_type: Option<String>,
    #[serde(flatten)]
    data: Data,
    #[serde(rename = "_meta", skip_serializing_if = "Map::is_empty")]
    meta: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Data {
    Text(String),
    Blob(String),
}

impl ResourceContents {
    pub fn text(uri: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(uri.into(), Data::Text(text.into()))
    }

    pub fn blob(uri: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(uri.into(), Data::Blob(STANDARD.encode(bytes)))
    }

    pub fn mime_type(mut self, mime_type: &str) -> Self {
        self.mime_type = Some(mime_type.to_owned());
        self
    }

    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.meta.insert(key.to_owned(), value);
        self
    }

    fn new(uri: String, data: Data) -> Self {
        Self {
            uri,
            mime_type: None,
            data,
            meta: Map::new(),
        }
    }
}

/// A pointer to a resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceLink {
    pub uri: String,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
}

impl ResourceLink {
    pub fn new(uri: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            name: name.into(),
            title: None,
            description: None,
            mime_type: None,
        }
    }
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptMessage {
    role: &'static str,
    content: Content,
}

impl PromptMessage {
    pub fn user(content: impl Into<Content>) -> Self {
        let content = content.into();
        Self {
            role: "user",
            content,
        }
    }

    pub fn assistant(content: impl Into<Content>) -> Self {
        let content = content.into();
        Self {
            role: "assistant",
            content,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(content: Content, wanted: Value) {
        assert_eq!(serde_json::to_value(content).unwrap(), wanted);
    }

    #[test]
    fn every_kind_of_content_has_its_wire_form() {
        check(Content::text("a"), json!({"type": "text", "text": "a"}));
        check(
            Content::image(b"abc", "image/png"),
            json!({"type": "image", "data": "YWJj", "mimeType": "image/png"}),
        );
        check(
            Content::audio(b"", "audio/wav"),
            json!({"type": "audio", "data": "", "mimeType": "audio/wav"}),
        );
        check(
            Content::resource(ResourceContents::text("a:b", "c").mime_type("text/plain")),
            json!({"type": "resource",
                   "resource": {"uri": "a:b", "mimeType": "text/plain", "text": "c"}}),
        );
        check(
            Content::link(ResourceLink::new("a:b", "c")),
            json!({"type": "resource_link", "uri": "a:b", "name": "c"}),
        );
        check(
            Content::text("a")
                .annotated(json!({"priority": 1}))
                .meta("x.y/z", json!(2)),
            json!({"type": "text", "text": "a", "annotations": {"priority": 1},
                   "_meta": {"x.y/z": 2}}),
        );
    }
}
