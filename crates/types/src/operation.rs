//! What a caller wants to do, as policy sees it.

/// What kind of thing a worker is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallKind {
    Tool,
    Prompt,
    Resource,
    Completion,
}

/// One operation on a Server, with its target where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// See what the Server offers: discover, initialize and the lists.
    Look,
    /// Run something on a worker.
    Call { kind: CallKind, target: &'a str },
    /// Be told of changes.
    Listen,
}
