//! What an offer must be for its entries to be listed.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use ostler_protocol::{Raw, facet::UI_TYPE, schema_rules, text};
use serde_json::Value;

use crate::{
    entry::{Definition, PromptParts, ResourceParts, SkillParts, TemplateParts, ToolParts},
    offer::{EntryKind, EntryRefusal, Offer, OfferedEntry},
    schema::{Pool, Schema},
    skill,
    template::Pattern,
    text::{is_tool_name, shorten},
    uri,
};

/// Entries of one kind in one offer. A compiled tool takes some tens of KiB.
const ENTRIES_MAX: usize = 2_000;
/// One entry as written, in bytes.
const DEFINITION_BYTES_MAX: usize = 256 << 10;
/// Names of prompts, in bytes; tools have a rule of their own [T-2].
const NAME_BYTES_MAX: usize = 256;

/// An offer of which everything left is good.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) server_info: Raw,
    pub(crate) instructions: Option<Arc<str>>,
    pub(crate) tools: Vec<Arc<Definition<ToolParts>>>,
    pub(crate) prompts: Vec<Arc<Definition<PromptParts>>>,
    pub(crate) resources: Vec<Arc<Definition<ResourceParts>>>,
    pub(crate) templates: Vec<Arc<Definition<TemplateParts>>>,
    pub(crate) skills: Vec<Arc<Definition<SkillParts>>>,
    pub(crate) completions: bool,
    pub(crate) logging: bool,
    pub(crate) resource_watch: bool,
}

/// Checks everything of an offer, each entry by itself.
pub(crate) fn check(
    offer: Offer,
    pool: &Arc<Pool>,
    refusals: &mut Vec<EntryRefusal>,
) -> Option<Checked> {
    if let Err(reason) = check_server_info(&offer.server_info) {
        refusals.push(refusal(EntryKind::Server, "server_info", reason));
        return None;
    }
    let mut resources = check_list(
        EntryKind::Resource,
        offer.resources,
        refusals,
        |_, value| resource(value),
    );
    let templates = check_list(
        EntryKind::Template,
        offer.templates,
        refusals,
        |_, value| template(value),
    );
    let served = skill::Served::new(&resources, &templates);
    let skills = check_list(EntryKind::Skill, offer.skills, refusals, |_, value| {
        skill::parts(value, &served)
    });
    skill::bind(&skills, &mut resources);
    Some(Checked {
        server_info: offer.server_info,
        instructions: check_instructions(offer.instructions, refusals),
        tools: check_list(EntryKind::Tool, offer.tools, refusals, |raw, value| {
            tool(raw, value, pool)
        }),
        prompts: check_list(EntryKind::Prompt, offer.prompts, refusals, |_, value| {
            prompt(value)
        }),
        resources,
        templates,
        skills,
        completions: offer.completions,
        logging: offer.logging,
        resource_watch: offer.resource_watch,
    })
}

fn refusal(kind: EntryKind, name: &str, reason: String) -> EntryRefusal {
    let name = shorten(name, NAME_BYTES_MAX);
    EntryRefusal { kind, name, reason }
}

fn check_server_info(info: &Raw) -> Result<(), String> {
    let value = to_object(info)?;
    for member in ["name", "version"] {
        if !value[member].is_string() {
            return Err(format!("{member} is missing or not a string"));
        }
    }
    text::check_all(&value)
}

fn check_instructions(
    instructions: Option<String>,
    refusals: &mut Vec<EntryRefusal>,
) -> Option<Arc<str>> {
    let instructions = instructions.filter(|text| !text.is_empty())?;
    match text::check_shown(&instructions) {
        Ok(()) => Some(instructions.into()),
        Err(reason) => {
            refusals.push(refusal(EntryKind::Server, "instructions", reason));
            None
        }
    }
}

/// What one kind of entry is made of: its name, its contract and its parts.
pub(crate) struct Parts<P> {
    pub(crate) name: String,
    pub(crate) contract: u64,
    pub(crate) parts: P,
}

/// The good entries of a list; the others become refusals, and so does whatever is too many.
fn check_list<P>(
    kind: EntryKind,
    offered: Vec<OfferedEntry>,
    refusals: &mut Vec<EntryRefusal>,
    check: impl Fn(&Raw, &Value) -> Result<Parts<P>, String>,
) -> Vec<Arc<Definition<P>>> {
    let mut names = HashSet::new();
    let mut good = Vec::new();
    for (index, entry) in offered.into_iter().enumerate() {
        if index == ENTRIES_MAX {
            let reason = format!("an offer has at most {ENTRIES_MAX} of each kind");
            refusals.push(refusal(kind, "", reason));
            break;
        }
        let shown = shown_name(kind, &entry.definition);
        let checked = check_entry(&entry, index, &check);
        match checked {
            Ok(definition) if names.insert(definition.name.clone()) => {
                good.push(Arc::new(definition));
            }
            Ok(_) => refusals.push(refusal(kind, &shown, "is offered twice".to_owned())),
            Err(reason) => refusals.push(refusal(kind, &shown, reason)),
        }
    }
    good
}

fn check_entry<P>(
    entry: &OfferedEntry,
    index: usize,
    check: impl Fn(&Raw, &Value) -> Result<Parts<P>, String>,
) -> Result<Definition<P>, String> {
    if entry.definition.bytes().len() > DEFINITION_BYTES_MAX {
        return Err(format!("is longer than {DEFINITION_BYTES_MAX} bytes"));
    }
    let value = to_object(&entry.definition)?;
    text::check_all(&value)?;
    check_shape(&value)?;
    let parts = check(&entry.definition, &value)?;
    let mut hasher = DefaultHasher::new();
    (parts.contract, &entry.declarations).hash(&mut hasher);
    Ok(Definition {
        name: parts.name,
        raw: entry.definition.clone(),
        declarations: entry.declarations.clone(),
        index: u32::try_from(index).expect("bounded by ENTRIES_MAX"),
        is_app: is_app(&value),
        contract: hasher.finish(),
        parts: parts.parts,
    })
}

fn tool(raw: &Raw, value: &Value, pool: &Arc<Pool>) -> Result<Parts<ToolParts>, String> {
    let name = member(value, "name")?;
    if !is_tool_name(&name) {
        return Err("name must have 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-'".to_owned());
    }
    let input = value.get("inputSchema").ok_or("inputSchema is missing")?;
    if input["type"] != "object" {
        return Err("inputSchema must have \"type\": \"object\" at its root".to_owned());
    }
    let output = value.get("outputSchema").filter(|schema| !schema.is_null());
    let raw_input = raw.get("inputSchema").ok_or("inputSchema is missing")?;
    let rules = schema_rules::param_rules(&raw_input).map_err(|error| error.to_string())?;
    let parts = ToolParts {
        param_rules: rules,
        input: Schema::compile(input, pool).map_err(|e| format!("inputSchema: {e}"))?,
        output: output
            .map(|schema| Schema::compile(schema, pool))
            .transpose()
            .map_err(|e| format!("outputSchema: {e}"))?,
    };
    let contract = hash_of(&[Some(input), output]);
    Ok(Parts {
        name,
        contract,
        parts,
    })
}

fn prompt(value: &Value) -> Result<Parts<PromptParts>, String> {
    let name = member(value, "name")?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(format!("name must have 1 to {NAME_BYTES_MAX} bytes"));
    }
    let arguments = value.get("arguments");
    let is_named = |argument: &Value| argument["name"].is_string();
    let good = arguments.is_none_or(|list| list.as_array().is_some_and(|l| l.iter().all(is_named)));
    if !good {
        return Err("arguments must be an array of objects with names".to_owned());
    }
    Ok(Parts {
        name,
        contract: hash_of(&[arguments]),
        parts: PromptParts,
    })
}

fn resource(value: &Value) -> Result<Parts<ResourceParts>, String> {
    member(value, "name")?;
    let name = member(value, "uri")?;
    uri::check_name(&name).map_err(|reason| format!("uri {reason}"))?;
    Ok(Parts {
        name,
        contract: 0,
        parts: ResourceParts,
    })
}

fn template(value: &Value) -> Result<Parts<TemplateParts>, String> {
    member(value, "name")?;
    let name = member(value, "uriTemplate")?;
    uri::check_template(&name).map_err(|reason| format!("uriTemplate {reason}"))?;
    let pattern = Pattern::compile(&name).map_err(|reason| format!("uriTemplate: {reason}"))?;
    Ok(Parts {
        name,
        contract: 0,
        parts: TemplateParts { pattern },
    })
}

/// A tool with a page, or a page [EX-3].
fn is_app(value: &Value) -> bool {
    let meta = &value["_meta"];
    meta.get("ui").or(meta.get("ui/resourceUri")).is_some() || value["mimeType"] == UI_TYPE
}

/// Members that are optional, but must have this form if they are there: clients check them.
fn check_shape(value: &Value) -> Result<(), String> {
    type Form = (fn(&Value) -> bool, &'static str);
    const TEXT: Form = (Value::is_string, "a string");
    const OBJECT: Form = (Value::is_object, "an object");
    const LIST: Form = (Value::is_array, "an array");
    const NUMBER: Form = (Value::is_number, "a number");
    let forms = [
        ("title", TEXT),
        ("description", TEXT),
        ("mimeType", TEXT),
        ("annotations", OBJECT),
        ("_meta", OBJECT),
        ("icons", LIST),
        ("size", NUMBER),
    ];
    for (name, (is_good, form)) in forms {
        if value.get(name).is_some_and(|member| !is_good(member)) {
            return Err(format!("{name} must be {form}"));
        }
    }
    Ok(())
}

fn to_object(raw: &Raw) -> Result<Value, String> {
    if !raw.is_object() {
        return Err("is not an object".to_owned());
    }
    raw.to().map_err(|error| error.to_string())
}

pub(crate) fn member(value: &Value, name: &str) -> Result<String, String> {
    let text = value[name].as_str();
    text.map(str::to_owned)
        .ok_or_else(|| format!("{name} is missing or not a string"))
}

/// The name for messages, of an entry that may be anything.
fn shown_name(kind: EntryKind, definition: &Raw) -> String {
    let member = match kind {
        EntryKind::Server | EntryKind::Tool | EntryKind::Prompt => "name",
        EntryKind::Resource | EntryKind::Skill => "uri",
        EntryKind::Template => "uriTemplate",
    };
    let value = definition.get(member);
    value
        .and_then(|value| value.text().map(|text| text.into_owned()))
        .unwrap_or_default()
}

/// The same for values that differ only in the order of members.
pub(crate) fn hash_of(values: &[Option<&Value>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for value in values {
        hash_value(value.unwrap_or(&Value::Null), &mut hasher);
    }
    hasher.finish()
}

fn hash_value(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(bool) => (1_u8, bool).hash(hasher),
        Value::Number(number) => (2_u8, number.to_string()).hash(hasher),
        Value::String(text) => (3_u8, text).hash(hasher),
        Value::Array(list) => {
            (4_u8, list.len()).hash(hasher);
            list.iter().for_each(|value| hash_value(value, hasher));
        }
        Value::Object(members) => {
            (5_u8, members.len()).hash(hasher);
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            for (name, value) in sorted {
                name.hash(hasher);
                hash_value(value, hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests;
