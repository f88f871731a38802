//! Which arguments of a tool are repeated in headers, learned from the lists that pass by: a host
//! on a pipe sends none ([HDR-5]).

use std::collections::BTreeMap;

use ostler_client::{array, object, param_mirrors, text_member};
use ostler_protocol::{
    Raw,
    schema_rules::{ParamRule, param_rules},
};
use parking_lot::Mutex;

/// Only tools that have such arguments are kept.
const TOOLS_MAX: usize = 10_000;

#[derive(Default)]
pub struct Schemas(Mutex<BTreeMap<String, Vec<ParamRule>>>);

impl Schemas {
    /// Reads a response to `tools/list`, and gives it without the tools whose schema breaks the
    /// rules: what a proxy would read of their calls could be something else than what the remote
    /// reads ([XH-4]).
    pub fn learn(&self, response: Raw) -> Raw {
        let result = response.get("result").unwrap_or_default();
        let tools: Vec<Raw> = result.get("tools").unwrap_or_default().elements().collect();
        let mut known = self.0.lock();
        let sound = tools.iter().filter(|tool| note(&mut known, tool));
        let sound: Vec<Raw> = sound.cloned().collect();
        match sound.len() == tools.len() {
            true => response,
            false => {
                let result = with_member(&result, "tools", array(sound));
                with_member(&response, "result", result)
            }
        }
    }

    /// The headers of a call with these parameters.
    pub fn mirrors(&self, params: &Raw) -> Vec<(String, String)> {
        let name = text_member(params, "name").unwrap_or_default();
        let arguments = params.get("arguments").unwrap_or_default();
        let known = self.0.lock();
        let rules = known.get(&name);
        rules.map_or(Vec::new(), |rules| param_mirrors(rules, &arguments))
    }
}

/// Whether the tool is one to call.
fn note(known: &mut BTreeMap<String, Vec<ParamRule>>, tool: &Raw) -> bool {
    let name = text_member(tool, "name").unwrap_or_default();
    let schema = tool.get("inputSchema").unwrap_or_default();
    match param_rules(&schema) {
        Ok(rules) if rules.is_empty() => {
            known.remove(&name);
        }
        Ok(rules) if known.len() < TOOLS_MAX || known.contains_key(&name) => {
            known.insert(name, rules);
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(tool = name, %error, "left out of the list");
            return false;
        }
    }
    true
}

fn with_member(whole: &Raw, name: &str, value: Raw) -> Raw {
    let members = whole.members().map(|(of, old)| match of == name {
        true => (of, value.clone()),
        false => (of, old),
    });
    object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(schema: &str) -> Raw {
        let text = format!(
            r#"{{"id":1,"result":{{"tools":[{{"name":"q","inputSchema":{schema}}}],"ttlMs":0}}}}"#
        );
        ostler_client::parse(&text).unwrap()
    }

    #[test]
    fn arguments_are_repeated_as_the_newest_list_says() {
        let schemas = Schemas::default();
        let params = Raw::from_static(r#"{"name":"q","arguments":{"region":"eu"}}"#);
        assert!(schemas.mirrors(&params).is_empty());
        let list = tool(r#"{"properties":{"region":{"type":"string","x-mcp-header":"Region"}}}"#);
        assert_eq!(schemas.learn(list.clone()), list);
        let expected = ("mcp-param-Region".to_owned(), "eu".to_owned());
        assert_eq!(schemas.mirrors(&params), [expected]);
        schemas.learn(tool("{}"));
        assert!(schemas.mirrors(&params).is_empty());
    }

    #[test]
    fn a_tool_that_breaks_the_rules_is_left_out() {
        let broken = tool(r#"{"properties":{"n":{"type":"number","x-mcp-header":"N"}}}"#);
        let shown = Schemas::default().learn(broken);
        let expected = Raw::from_static(r#"{"id":1,"result":{"tools":[],"ttlMs":0}}"#);
        assert_eq!(shown, expected);
    }
}
