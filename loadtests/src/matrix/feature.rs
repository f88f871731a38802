//! What the matrix looks at.

use ostler_protocol::Revision;

use super::Seen;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    List,
    Call,
    Structured,
    Failing,
    Progress,
    Log,
    Form,
    Url,
    Sample,
    Roots,
    ListChanged,
    ResourceUpdated,
    Cancel,
    LongCall,
    Completion,
    BigResult,
}

impl Feature {
    pub const ALL: &[Feature] = &[
        Self::List,
        Self::Call,
        Self::Structured,
        Self::Failing,
        Self::Progress,
        Self::Log,
        Self::Form,
        Self::Url,
        Self::Sample,
        Self::Roots,
        Self::ListChanged,
        Self::ResourceUpdated,
        Self::Cancel,
        Self::LongCall,
        Self::Completion,
        Self::BigResult,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::List => "lists, reads, prompts",
            Self::Call => "call",
            Self::Structured => "structured result",
            Self::Failing => "error result",
            Self::Progress => "progress",
            Self::Log => "log",
            Self::Form => "elicitation: form",
            Self::Url => "elicitation: URL",
            Self::Sample => "sampling",
            Self::Roots => "roots",
            Self::ListChanged => "list changed",
            Self::ResourceUpdated => "resource updated",
            Self::Cancel => "cancel",
            Self::LongCall => "long call",
            Self::Completion => "completion",
            Self::BigResult => "result of 1 MiB",
        }
    }

    /// What the specification has words for: forms came with 2025-06-18, pages with 2025-11-25;
    /// all else is as old as the protocol. Dates, so that nothing under test is asked.
    pub fn expected(self, revision: Revision) -> Seen {
        let since = match self {
            Self::Form => "2025-06-18",
            Self::Url => "2025-11-25",
            _ => "2024-11-05",
        };
        match revision.as_str() < since {
            true => Seen::Refused,
            false => Seen::Works,
        }
    }
}
