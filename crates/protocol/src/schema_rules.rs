//! `x-mcp-header` annotations of tool schemas ([XH-1] to [XH-3]).

use crate::json::Raw;

/// One argument that a client mirrors into a `Mcp-Param-*` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamRule {
    /// The name after `Mcp-Param-`, as the schema spells it.
    pub header: String,
    /// Where the value is in the arguments: member names from the root.
    pub path: Vec<String>,
    pub kind: ParamKind,
}

/// What is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    String,
    Integer,
    Boolean,
}

/// A schema that breaks a rule for annotations. Such a tool must not be listed ([XH-4]).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("x-mcp-header at {at}: {reason}")]
pub struct BadSchema {
    pub at: String,
    pub reason: &'static str,
}

/// The rules of one tool, in the order of its schema.
pub fn param_rules(_input_schema: &Raw) -> Result<Vec<ParamRule>, BadSchema> {
    Ok(Vec::new())
}
