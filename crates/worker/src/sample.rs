//! Requests to the client's model, and what it says.

use ostler_protocol::{facet::Capability, json::Raw};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::content::Content;

/// A request to the client's model: the params of `sampling/createMessage`.
#[derive(Debug, Clone)]
pub struct Sample {
    pub(crate) params: Value,
}

/// Whether the model uses tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it sees fit.
    Auto,
    /// At least one, before it says anything else.
    Required,
    None,
}

/// A tool that the model wants used, by the worker.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ToolUse {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub input: Value,
}

/// What came of a [`ToolUse`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename = "tool_result", rename_all = "camelCase")]
pub struct ToolOutput {
    tool_use_id: String,
    content: Vec<Content>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
}

impl ToolUse {
    /// What it gave.
    pub fn output(&self, content: impl Into<Content>) -> ToolOutput {
        ToolOutput {
            tool_use_id: self.id.clone(),
            content: vec![content.into()],
            is_error: false,
        }
    }

    /// Why it gave nothing, for the model to read.
    pub fn failed(&self, why: &str) -> ToolOutput {
        ToolOutput {
            is_error: true,
            ..self.output(why)
        }
    }
}

impl Sample {
    /// One user message with this text.
    pub fn new(text: &str, tokens_max: u32) -> Self {
        let params = json!({"messages": [], "maxTokens": tokens_max});
        Self { params }.message("user", Content::text(text))
    }

    /// Adds a message of `user` or `assistant`.
    pub fn message(self, role: &str, content: impl Into<Content>) -> Self {
        self.push("messages", json!({"role": role, "content": content.into()}))
    }

    pub fn system(self, prompt: &str) -> Self {
        self.set("systemPrompt", prompt)
    }

    /// Offers a tool. The worker runs it when the model asks ([`Sampled::tool_uses`]) and goes on
    /// with [`Sample::answered`]. Clients declare whether they can do this.
    pub fn tool(self, name: &str, description: &str, input_schema: Value) -> Self {
        let tool = json!({"name": name, "description": description, "inputSchema": input_schema});
        self.push("tools", tool)
    }

    pub fn tool_choice(self, choice: ToolChoice) -> Self {
        let mode = match choice {
            ToolChoice::Auto => "auto",
            ToolChoice::Required => "required",
            ToolChoice::None => "none",
        };
        self.set("toolChoice", json!({"mode": mode}))
    }

    /// The next step of a conversation: what the model said, and what each tool it wanted gave.
    /// Every [`ToolUse`] must have its output [SP-2].
    pub fn answered(self, said: &Sampled, outputs: impl IntoIterator<Item = ToolOutput>) -> Self {
        let outputs: Vec<_> = outputs.into_iter().collect();
        self.push(
            "messages",
            json!({"role": said.role, "content": said.content}),
        )
        .push("messages", json!({"role": "user", "content": outputs}))
    }

    /// Sets any other parameter: `temperature`, `modelPreferences`, `includeContext`, ...
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params[name] = value.into();
        self
    }

    fn push(mut self, list: &str, item: Value) -> Self {
        match self.params[list].as_array_mut() {
            Some(list) => list.push(item),
            None => self.params[list] = json!([item]),
        }
        self
    }
}

/// What a client may lack that samples otherwise [SP-1].
pub(crate) fn needs(params: &Raw) -> Capability {
    let has = |name: &str| params.get(name).is_some();
    let context = params.get("includeContext");
    match () {
        () if has("tools") || has("toolChoice") => Capability::SampleTools,
        () if context.is_some_and(|context| context.text().as_deref() != Some("none")) => {
            Capability::SampleContext
        }
        () => Capability::Sample,
    }
}

/// What the client's model said.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sampled {
    pub role: String,
    pub model: String,
    #[serde(default)]
    pub stop_reason: Option<String>,
    /// One content block, or a list of them.
    pub content: Value,
}

impl Sampled {
    /// All text of the answer.
    pub fn text(&self) -> String {
        let blocks = self.blocks().iter();
        blocks.filter_map(|block| block["text"].as_str()).collect()
    }

    /// The tools that it wants used before it goes on.
    pub fn tool_uses(&self) -> Vec<ToolUse> {
        let uses = self
            .blocks()
            .iter()
            .filter(|block| block["type"] == "tool_use");
        uses.filter_map(|block| ToolUse::deserialize(block).ok())
            .collect()
    }

    fn blocks(&self) -> &[Value] {
        match &self.content {
            Value::Array(blocks) => blocks,
            block => std::slice::from_ref(block),
        }
    }
}

#[cfg(test)]
mod tests {
    use ostler_protocol::{ask::check_question, call::Question};

    use super::*;
    use crate::ask::Ask;

    #[test]
    fn tools_and_context_in_a_sample_need_more_of_the_client() {
        let plain = Sample::new("hi", 10);
        assert_eq!(Ask::sample("k", &plain).needs, Capability::Sample);
        let context = plain.clone().set("includeContext", "thisServer");
        assert_eq!(Ask::sample("k", &context).needs, Capability::SampleContext);
        let with_tools = plain.tool_choice(ToolChoice::None);
        assert_eq!(Ask::sample("k", &with_tools).needs, Capability::SampleTools);
    }

    #[test]
    fn the_text_of_a_sample_is_gathered_from_its_blocks() {
        let text = r#"{"role":"assistant","model":"m",
            "content":[{"type":"text","text":"a"},{"type":"image"},{"type":"text","text":"b"}]}"#;
        let sampled: Sampled = serde_json::from_str(text).unwrap();
        assert_eq!(sampled.text(), "ab");
        assert_eq!(sampled.tool_uses(), []);
    }

    #[test]
    fn a_conversation_with_tools_goes_on_with_what_they_gave() {
        let add = json!({"type": "object", "properties": {"a": {"type": "number"}}});
        let first = Sample::new("2 + 2?", 10)
            .tool("add", "Adds.", add)
            .tool_choice(ToolChoice::Required);
        let said = r#"{"role":"assistant","model":"m","stopReason":"toolUse","content":[
            {"type":"tool_use","id":"1","name":"add","input":{"a":2}},
            {"type":"tool_use","id":"2","name":"sub","input":{}}]}"#;
        let said: Sampled = serde_json::from_str(said).unwrap();
        let uses = said.tool_uses();
        assert_eq!(
            (uses[0].name.as_str(), &uses[0].input),
            ("add", &json!({"a": 2}))
        );
        let outputs = [uses[0].output("4"), uses[1].failed("no such tool")];
        let Ask { question, .. } = Ask::sample("k", &first.answered(&said, outputs));
        assert_eq!(check_question(&question), Ok(()));
        let Question { params, .. } = question;
        let params: Value = params.to().unwrap();
        let results = &params["messages"][2]["content"];
        let failed = json!({"type": "tool_result", "toolUseId": "2", "isError": true,
                            "content": [{"type": "text", "text": "no such tool"}]});
        assert_eq!(results[1], failed);
        assert_eq!(params["toolChoice"], json!({"mode": "required"}));
    }
}
