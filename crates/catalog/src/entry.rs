//! Checked entries, and which workers serve them.

use std::{ops::Deref, sync::Arc};

use ostler_protocol::{Raw, Revision, inbound::ListKind, listing, schema_rules::ParamRule};
use ostler_types::WorkerId;

use crate::{offer::Declarations, schema::Schema, template::Pattern};

/// One entry of a snapshot: a definition and the live workers that serve it.
#[derive(Debug)]
pub struct Entry<P> {
    definition: Arc<Definition<P>>,
    workers: Arc<[WorkerId]>,
    /// Orders the list; kept as long as the entry is served ([`merge`](crate::merge)).
    pub(crate) place: u64,
}

/// What a worker declared and we checked; shared by all snapshots that list it.
#[derive(Debug)]
pub struct Definition<P> {
    /// What requests call it by: name, URI or URI template.
    pub name: String,
    /// The MCP object as the worker wrote it.
    pub raw: Raw,
    pub declarations: Declarations,
    /// Its place in the worker's offer: entries are first listed in this order [T-1].
    pub(crate) index: u32,
    /// Belongs to MCP Apps [EX-3].
    pub(crate) is_app: bool,
    /// Equal for definitions that may stand in for each other.
    pub(crate) contract: u64,
    pub(crate) parts: P,
}

pub type Tool = Entry<ToolParts>;
pub type Prompt = Entry<PromptParts>;
pub type Resource = Entry<ResourceParts>;
pub type Template = Entry<TemplateParts>;
pub type Skill = Entry<SkillParts>;

#[derive(Debug)]
pub struct ToolParts {
    pub(crate) param_rules: Vec<ParamRule>,
    pub(crate) input: Schema,
    pub(crate) output: Option<Schema>,
}

#[derive(Debug)]
pub struct PromptParts;

#[derive(Debug)]
pub struct ResourceParts;

#[derive(Debug)]
pub struct TemplateParts {
    pub(crate) pattern: Pattern,
}

#[derive(Debug)]
pub struct SkillParts {
    /// All its files; `None` for one that does not say, being made on demand.
    pub(crate) files: Option<Vec<SkillFile>>,
}

#[derive(Debug)]
pub(crate) struct SkillFile {
    pub(crate) uri: String,
    /// As the worker wrote it, of which there is one way only.
    pub(crate) digest: String,
}

/// What a `resources/read` is for.
#[derive(Debug, Clone)]
pub enum Target {
    Resource(Arc<Resource>),
    Template(Arc<Template>),
}

impl<P> Entry<P> {
    pub(crate) fn new(definition: Arc<Definition<P>>, workers: Arc<[WorkerId]>) -> Self {
        Self {
            definition,
            workers,
            place: 0,
        }
    }

    /// The live workers that serve this entry; none while all of them are gone for a moment.
    pub fn workers(&self) -> &Arc<[WorkerId]> {
        &self.workers
    }

    /// As clients of this revision see it in a list of this kind.
    pub fn shown(&self, revision: Revision, kind: ListKind) -> Raw {
        listing::entry(revision, kind, &self.raw, self.declarations.task)
    }

    /// Orders a list and names a place in it: place, then name, both comparable as bytes.
    pub(crate) fn sort_key(&self) -> Vec<u8> {
        [&self.place.to_be_bytes()[..], self.name.as_bytes()].concat()
    }
}

/// The name in a sort key, of whatever list it is.
pub(crate) fn named_by(sort_key: &[u8]) -> Option<&str> {
    let (_, name) = sort_key.split_at_checked(size_of::<u64>())?;
    std::str::from_utf8(name).ok()
}

impl<P> Deref for Entry<P> {
    type Target = Definition<P>;

    fn deref(&self) -> &Definition<P> {
        &self.definition
    }
}

impl Tool {
    /// Which arguments a modern client mirrors into headers.
    pub fn param_rules(&self) -> &[ParamRule] {
        &self.parts.param_rules
    }

    pub fn has_output_schema(&self) -> bool {
        self.parts.output.is_some()
    }

    /// Whether the arguments follow the input schema [T-8]. Runs where it is called: for
    /// arguments that are large, see [`Tool::check_arguments_anywhere`].
    pub fn check_arguments(&self, arguments: &Raw) -> Result<(), String> {
        self.parts.input.check(arguments)
    }

    /// The same, in the validation pool if it would hold up a runtime thread.
    pub async fn check_arguments_anywhere(&self, arguments: &Raw) -> Result<(), String> {
        self.parts.input.check_anywhere(arguments).await
    }

    /// Whether structured content follows the output schema, if there is one [T-11].
    pub fn check_output(&self, structured: &Raw) -> Result<(), String> {
        match &self.parts.output {
            None => Ok(()),
            Some(schema) => schema.check_without_values(structured),
        }
    }

    /// Whether [`Tool::check_output`] may run on a runtime thread.
    pub fn output_is_cheap(&self, structured: &Raw) -> bool {
        let output = self.parts.output.as_ref();
        output.is_none_or(|schema| schema.is_cheap(structured))
    }

    /// As [`Tool::check_output`], in the validation pool if it would hold up a runtime thread.
    pub async fn check_output_anywhere(&self, structured: &Raw) -> Result<(), String> {
        match &self.parts.output {
            None => Ok(()),
            Some(schema) => schema.check_without_values_anywhere(structured).await,
        }
    }
}

impl Target {
    pub fn declarations(&self) -> &Declarations {
        match self {
            Target::Resource(resource) => &resource.declarations,
            Target::Template(template) => &template.declarations,
        }
    }

    pub fn workers(&self) -> &Arc<[WorkerId]> {
        match self {
            Target::Resource(resource) => resource.workers(),
            Target::Template(template) => template.workers(),
        }
    }
}
