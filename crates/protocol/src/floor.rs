//! What each revision has: the feature floor. All knowledge of "since when" is here, so that
//! shaping code asks for a feature by name and never for a revision.

use crate::revision::Revision::{
    self, V2024_11_05, V2025_03_26, V2025_06_18, V2025_11_25, V2026_07_28,
};

impl Revision {
    fn since(self, first: Revision) -> bool {
        self >= first
    }

    /// `resultType`, `serverInfo` in `_meta`, `ttlMs` and `cacheScope`, input-required results.
    pub(crate) fn has_result_types(self) -> bool {
        self.since(V2026_07_28)
    }

    /// Arrays of messages in one body [BAT-6].
    pub fn has_batches(self) -> bool {
        match self {
            V2024_11_05 | V2025_06_18 | V2025_11_25 | V2026_07_28 => false,
            V2025_03_26 => true,
        }
    }

    pub(crate) fn has_audio(self) -> bool {
        self.since(V2025_03_26)
    }

    pub(crate) fn has_resource_links(self) -> bool {
        self.since(V2025_06_18)
    }

    pub(crate) fn has_tool_annotations(self) -> bool {
        self.since(V2025_03_26)
    }

    pub(crate) fn has_progress_message(self) -> bool {
        self.since(V2025_03_26)
    }

    /// The capability; the method is older.
    pub fn has_completions_capability(self) -> bool {
        self.since(V2025_03_26)
    }

    /// Human names beside the technical ones.
    pub(crate) fn has_titles(self) -> bool {
        self.since(V2025_06_18)
    }

    pub(crate) fn has_icons(self) -> bool {
        self.since(V2025_11_25)
    }

    /// `_meta` on list entries, content blocks and resource contents; on results it is older.
    pub fn has_entry_meta(self) -> bool {
        self.since(V2025_06_18)
    }

    /// `annotations.lastModified` on content and resources; the other annotations are older.
    pub(crate) fn has_last_modified(self) -> bool {
        self.since(V2025_06_18)
    }

    /// `structuredContent` and `outputSchema`, as objects.
    pub(crate) fn has_structured_content(self) -> bool {
        self.since(V2025_06_18)
    }

    /// `structuredContent` of any JSON type, `outputSchema` of any root [T-11], [T-12].
    pub(crate) fn has_any_structured_content(self) -> bool {
        self.since(V2026_07_28)
    }

    pub fn has_elicitation(self) -> bool {
        self.since(V2025_06_18)
    }

    /// Multi-select fields and titled enums in forms, and defaults of more than booleans [SP-3].
    pub(crate) fn has_rich_forms(self) -> bool {
        self.since(V2025_11_25)
    }

    /// `mode` in elicitations, and the mode `url`.
    pub fn has_url_elicitation(self) -> bool {
        self.since(V2025_11_25)
    }

    /// The error of a call that needs a visit first; later the call is asked for its input instead.
    pub(crate) fn has_error_for_visits(self) -> bool {
        match self {
            V2024_11_05 | V2025_03_26 | V2025_06_18 | V2026_07_28 => false,
            V2025_11_25 => true,
        }
    }

    /// URL elicitations carry an id of ours; later revisions correlate by `requestState` [SP-5].
    pub(crate) fn has_elicitation_ids(self) -> bool {
        match self {
            V2024_11_05 | V2025_03_26 | V2025_06_18 | V2026_07_28 => false,
            V2025_11_25 => true,
        }
    }

    /// What was settled before, beside the argument that is completed [P-2].
    pub(crate) fn has_completion_context(self) -> bool {
        self.since(V2025_06_18)
    }

    /// Messages of several blocks in sampling [SP-2].
    pub fn has_sampling_lists(self) -> bool {
        self.since(V2025_11_25)
    }

    /// Sampling with tools, and the sub-capabilities `tools` and `context`.
    pub fn has_sampling_tools(self) -> bool {
        self.since(V2025_11_25)
    }

    /// Every request of a session names its revision in a header [LIF-5].
    pub fn has_version_header(self) -> bool {
        self.since(V2025_06_18)
    }

    /// The `extensions` map of capabilities.
    pub fn has_extensions(self) -> bool {
        self.since(V2026_07_28)
    }

    /// Tasks that the client asks for: the capability `tasks`, `params.task`, `tasks/result`,
    /// and `execution.taskSupport` in lists [T-16]. Later the server alone decides what becomes
    /// a task.
    pub fn has_requested_tasks(self) -> bool {
        match self {
            V2024_11_05 | V2025_03_26 | V2025_06_18 | V2026_07_28 => false,
            V2025_11_25 => true,
        }
    }

    /// Streams begin with an event that has an id and no data [SSE-2]. Older clients would
    /// parse the empty data; the newest revision has no ids at all [MS-2].
    pub fn primes_streams(self) -> bool {
        match self {
            V2024_11_05 | V2025_03_26 | V2025_06_18 | V2026_07_28 => false,
            V2025_11_25 => true,
        }
    }
}
