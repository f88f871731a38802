//! What a Server offers: tools, prompts, resources, templates and skills.

use std::sync::Arc;

use bytes::Bytes;
use ostler_protocol::facet::UI_TYPE;
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};

use crate::{
    declare::Declarations,
    handler::{Erased, Handler, erase, erase_tool},
    reply::{IntoContents, IntoPrompt, IntoToolResult},
    schema,
    skill::Skill,
    template::UriTemplate,
};

/// One entry of a catalog.
#[derive(Debug, Clone)]
pub enum Entry {
    Tool(Tool),
    Prompt(Prompt),
    Resource(Resource),
    Template(Template),
    Skill(Skill),
}

macro_rules! entry_from {
    ($($kind:ident),*) => {$(
        impl From<$kind> for Entry {
            fn from(entry: $kind) -> Self {
                Entry::$kind(entry)
            }
        }
    )*};
}

entry_from!(Tool, Prompt, Resource, Template, Skill);

/// What all entries have in common: their MCP definition, what they declare, who runs them.
#[derive(Clone)]
pub(crate) struct Item {
    /// The name, or the URI of a resource.
    pub key: String,
    /// The MCP object, apart from the schemas, which stay as their author wrote them.
    definition: Map<String, Value>,
    schemas: Vec<(&'static str, Arc<RawValue>)>,
    pub declarations: Declarations,
    pub run: Erased,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key)
    }
}

impl Item {
    fn new(key: &str, run: Erased) -> Self {
        Self {
            key: key.to_owned(),
            definition: Map::new(),
            schemas: Vec::new(),
            declarations: Declarations::new(),
            run,
        }
    }

    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.definition.insert(key.to_owned(), value.into());
    }

    fn set_meta(&mut self, key: &str, value: Value) {
        let meta = self
            .definition
            .entry("_meta")
            .or_insert_with(|| Map::new().into());
        meta[key] = value;
    }

    fn set_schema(&mut self, name: &'static str, schema: impl Serialize) {
        let raw = serde_json::value::to_raw_value(&schema)
            .expect("a schema is JSON: its keys are strings and nothing in it fails");
        self.schemas.retain(|(known, _)| *known != name);
        self.schemas.push((name, raw.into()));
    }

    /// The MCP definition as JSON text.
    pub fn encode(&self) -> Bytes {
        #[derive(Serialize)]
        struct Definition<'a> {
            #[serde(flatten)]
            plain: &'a Map<String, Value>,
            #[serde(rename = "inputSchema", skip_serializing_if = "Option::is_none")]
            input: Option<&'a RawValue>,
            #[serde(rename = "outputSchema", skip_serializing_if = "Option::is_none")]
            output: Option<&'a RawValue>,
        }
        let schema = |name| self.schemas.iter().find(|(known, _)| *known == name);
        let definition = Definition {
            plain: &self.definition,
            input: schema(INPUT).map(|(_, schema)| &**schema),
            output: schema(OUTPUT).map(|(_, schema)| &**schema),
        };
        let text = serde_json::to_vec(&definition).expect("all of it is JSON already");
        text.into()
    }
}

const INPUT: &str = "inputSchema";
const OUTPUT: &str = "outputSchema";

/// A function the model may call.
#[derive(Debug, Clone)]
pub struct Tool(pub(crate) Item);

impl Tool {
    /// The schemas are derived from the handler's argument and result types.
    pub fn new<M, H: Handler<M>>(name: &str, description: &str, handler: H) -> Self
    where
        H::Output: IntoToolResult,
    {
        let mut item = Item::new(name, erase_tool(handler));
        item.set("name", name);
        item.set("description", description);
        item.set_schema(INPUT, schema::input::<H::Args>());
        if let Some(output) = H::Output::output_schema() {
            item.set_schema(OUTPUT, output);
        }
        Self(item)
    }

    pub fn title(mut self, title: &str) -> Self {
        self.0.set("title", title);
        self
    }

    /// Sets `annotations`: `readOnlyHint`, `destructiveHint`, `idempotentHint`, ...
    pub fn annotations(mut self, annotations: Value) -> Self {
        self.0.set("annotations", annotations);
        self
    }

    /// Sets `icons`, a list of MCP `Icon` objects.
    pub fn icons(mut self, icons: Value) -> Self {
        self.0.set("icons", icons);
        self
    }

    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.0.set_meta(key, value);
        self
    }

    /// Shows its results in a user interface, where the client can (MCP Apps): the resource of
    /// this URI, a [`Resource::ui`]. Others see the result alone, which must do without. For more
    /// than the URI, set the `ui` of [`Tool::meta`].
    pub fn ui(self, resource_uri: &str) -> Self {
        self.meta("ui", serde_json::json!({"resourceUri": resource_uri}))
    }

    /// Replaces the derived input schema. A `&RawValue` goes out as it is written.
    pub fn input_schema(mut self, schema: impl Serialize) -> Self {
        self.0.set_schema(INPUT, schema);
        self
    }

    /// Replaces the derived output schema.
    pub fn output_schema(mut self, schema: impl Serialize) -> Self {
        self.0.set_schema(OUTPUT, schema);
        self
    }

    pub fn declare(mut self, declarations: Declarations) -> Self {
        self.0.declarations = declarations;
        self
    }
}

/// A prompt that users pick.
#[derive(Debug, Clone)]
pub struct Prompt(pub(crate) Item);

impl Prompt {
    /// The list of arguments is derived from the handler's argument type, whose fields are
    /// strings or optional strings.
    pub fn new<M, H: Handler<M>>(name: &str, description: &str, handler: H) -> Self
    where
        H::Output: IntoPrompt,
    {
        let run = erase(handler, |_ctx, output: H::Output| output.into_prompt());
        let mut item = Item::new(name, run);
        item.set("name", name);
        item.set("description", description);
        let arguments = schema::prompt_arguments::<H::Args>();
        if !arguments.is_empty() {
            item.set("arguments", arguments);
        }
        Self(item)
    }

    pub fn title(mut self, title: &str) -> Self {
        self.0.set("title", title);
        self
    }

    /// Replaces the derived list of arguments: MCP `PromptArgument` objects.
    pub fn arguments(mut self, arguments: Value) -> Self {
        self.0.set("arguments", arguments);
        self
    }

    pub fn icons(mut self, icons: Value) -> Self {
        self.0.set("icons", icons);
        self
    }

    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.0.set_meta(key, value);
        self
    }

    pub fn declare(mut self, declarations: Declarations) -> Self {
        self.0.declarations = declarations;
        self
    }
}

/// A resource with a fixed URI.
#[derive(Debug, Clone)]
pub struct Resource(pub(crate) Item);

impl Resource {
    /// `mime_type` is declared, and set on contents that have none of their own.
    pub fn new<H: Handler<M>, M>(uri: &str, name: &str, mime_type: &str, handler: H) -> Self
    where
        H::Output: IntoContents,
    {
        let mut item = Item::new(uri, erase_read(handler, mime_type));
        item.set("uri", uri);
        item.set("name", name);
        item.set("mimeType", mime_type);
        Self(item)
    }

    /// The user interface of a tool, in HTML (MCP Apps). The URI begins with `ui://`; it is found
    /// through the tool, so it is in no list. What it may load and do is said in the `ui` of
    /// [`ResourceContents::meta`](crate::ResourceContents::meta).
    pub fn ui<H: Handler<M>, M>(uri: &str, name: &str, handler: H) -> Self
    where
        H::Output: IntoContents,
    {
        let ui = Self::new(uri, name, UI_TYPE, handler);
        ui.declare(Declarations::new().unlisted())
    }

    pub fn title(mut self, title: &str) -> Self {
        self.0.set("title", title);
        self
    }

    pub fn description(mut self, description: &str) -> Self {
        self.0.set("description", description);
        self
    }

    pub fn annotations(mut self, annotations: Value) -> Self {
        self.0.set("annotations", annotations);
        self
    }

    pub fn icons(mut self, icons: Value) -> Self {
        self.0.set("icons", icons);
        self
    }

    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.0.set_meta(key, value);
        self
    }

    pub fn declare(mut self, declarations: Declarations) -> Self {
        self.0.declarations = declarations;
        self
    }
}

/// Resources whose URIs follow a template of RFC 6570: `{name}` and `{+name}`.
#[derive(Debug, Clone)]
pub struct Template {
    pub(crate) item: Item,
    pub(crate) pattern: UriTemplate,
}

impl Template {
    /// The handler's arguments are the template's variables, as strings. The full URI is
    /// `ctx.target()`.
    pub fn new<M, H: Handler<M>>(template: &str, name: &str, mime_type: &str, handler: H) -> Self
    where
        H::Output: IntoContents,
    {
        let mut item = Item::new(template, erase_read(handler, mime_type));
        item.set("uriTemplate", template);
        item.set("name", name);
        item.set("mimeType", mime_type);
        let pattern = UriTemplate::parse(template);
        Self { item, pattern }
    }

    pub fn title(mut self, title: &str) -> Self {
        self.item.set("title", title);
        self
    }

    pub fn description(mut self, description: &str) -> Self {
        self.item.set("description", description);
        self
    }

    pub fn annotations(mut self, annotations: Value) -> Self {
        self.item.set("annotations", annotations);
        self
    }

    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.item.set_meta(key, value);
        self
    }

    pub fn declare(mut self, declarations: Declarations) -> Self {
        self.item.declarations = declarations;
        self
    }
}

fn erase_read<M, H: Handler<M>>(handler: H, mime_type: &str) -> Erased
where
    H::Output: IntoContents,
{
    let mime_type: Arc<str> = mime_type.into();
    erase(handler, move |ctx, output: H::Output| {
        output.into_contents(ctx.target(), Some(&mime_type))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Ctx;

    fn check(item: &Item, wanted: Value) {
        let found: Value = serde_json::from_slice(&item.encode()).unwrap();
        assert_eq!(found, wanted);
    }

    async fn nothing(_ctx: Ctx) -> &'static str {
        ""
    }

    #[test]
    fn a_raw_schema_goes_out_as_it_is_written() {
        let text =
            r#"{"type":"object","$defs":{"a":{"$anchor":"a"}},"additionalProperties":false}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let tool = Tool::new("t", "d", nothing).input_schema(raw);
        let definition = tool.0.encode();
        let definition = std::str::from_utf8(&definition).unwrap();
        assert!(definition.contains(text), "{definition}");
    }

    #[test]
    fn a_tool_shows_all_that_its_author_said() {
        let tool = Tool::new("t", "d", nothing)
            .title("T")
            .annotations(json!({"readOnlyHint": true}))
            .icons(json!([{"src": "https://x.test/i.png"}]))
            .meta("x.y/z", json!(1))
            .input_schema(json!({"type": "object"}))
            .output_schema(json!({"type": "string"}));
        check(
            &tool.0,
            json!({"name": "t", "description": "d", "title": "T",
                   "annotations": {"readOnlyHint": true},
                   "icons": [{"src": "https://x.test/i.png"}],
                   "_meta": {"x.y/z": 1},
                   "inputSchema": {"type": "object"}, "outputSchema": {"type": "string"}}),
        );
    }

    #[test]
    fn a_template_names_its_pattern() {
        let template = Template::new("a://{b}", "n", "text/plain", nothing).description("d");
        check(
            &template.item,
            json!({"uriTemplate": "a://{b}", "name": "n", "mimeType": "text/plain",
                   "description": "d"}),
        );
    }
}
