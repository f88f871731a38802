//! What a client can do, as far as workers may care ([CAP-4], [CAP-5]).

use serde_json::{Value, json};

use crate::{
    json::{Kind, Raw, walk},
    revision::{Era, Revision},
};

/// The modern tasks extension.
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Skills [EX-4].
pub const SKILLS_EXTENSION: &str = "io.modelcontextprotocol/skills";
/// MCP Apps.
pub const UI_EXTENSION: &str = "io.modelcontextprotocol/ui";
/// The type of the pages of MCP Apps [EX-3].
pub const UI_TYPE: &str = "text/html;profile=mcp-app";

/// One thing a client may declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    ElicitForm,
    ElicitUrl,
    Sample,
    SampleTools,
    SampleContext,
    Roots,
    Tasks,
    Ui,
}

impl Capability {
    pub const ALL: [Capability; 8] = [
        Self::ElicitForm,
        Self::ElicitUrl,
        Self::Sample,
        Self::SampleTools,
        Self::SampleContext,
        Self::Roots,
        Self::Tasks,
        Self::Ui,
    ];
}

/// What one client declared: per request in the modern era, per session in the legacy one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientFacet {
    pub elicit_form: bool,
    pub elicit_url: bool,
    pub sample: bool,
    pub sample_tools: bool,
    pub sample_context: bool,
    pub roots: bool,
    pub roots_list_changed: bool,
    /// The modern tasks extension; never set in the legacy era ([EX-2]).
    pub tasks: bool,
    pub ui: bool,
}

/// A `capabilities` object that does not follow the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} must be {expected}")]
pub struct BadCapabilities {
    pub path: String,
    pub expected: &'static str,
}

impl ClientFacet {
    /// Reads a capabilities object as `revision` defines it. Unknown members are ignored.
    pub fn from_capabilities(
        capabilities: &Raw,
        revision: Revision,
    ) -> Result<Self, BadCapabilities> {
        Self::from_value(capabilities.as_str(), revision)
    }

    /// The same for a value cut out of a `Raw`.
    pub(crate) fn from_value(
        capabilities: &str,
        revision: Revision,
    ) -> Result<Self, BadCapabilities> {
        must_be_object("capabilities", capabilities)?;
        let mut facet = Self::default();
        for (name, value) in walk::members(capabilities) {
            match name.as_ref() {
                // How some clients write "not declared".
                _ if walk::kind_of(value) == Kind::Null => {}
                "elicitation" => facet.read_elicitation(value, revision)?,
                "sampling" => facet.read_sampling(value, revision)?,
                "roots" => facet.read_roots(value)?,
                "extensions" => facet.read_extensions(value, revision)?,
                _ => {}
            }
        }
        Ok(facet)
    }

    /// `{}` means form ([MR-3]). What the revision lacks is not declared, whatever is written.
    /// Members that it does not know are not read.
    fn read_elicitation(&mut self, value: &str, revision: Revision) -> Result<(), BadCapabilities> {
        must_be_object("capabilities.elicitation", value)?;
        let modes = revision.has_url_elicitation();
        let form = modes && has(value, "elicitation", "form")?;
        self.elicit_url = modes && has(value, "elicitation", "url")?;
        self.elicit_form = (form || !self.elicit_url) && revision.has_elicitation();
        Ok(())
    }

    fn read_sampling(&mut self, value: &str, revision: Revision) -> Result<(), BadCapabilities> {
        must_be_object("capabilities.sampling", value)?;
        let flags = revision.has_sampling_tools();
        self.sample = true;
        self.sample_tools = flags && has(value, "sampling", "tools")?;
        self.sample_context = flags && has(value, "sampling", "context")?;
        Ok(())
    }

    fn read_roots(&mut self, value: &str) -> Result<(), BadCapabilities> {
        must_be_object("capabilities.roots", value)?;
        self.roots = true;
        self.roots_list_changed =
            walk::member(value, "listChanged").and_then(walk::boolean) == Some(true);
        Ok(())
    }

    fn read_extensions(&mut self, value: &str, revision: Revision) -> Result<(), BadCapabilities> {
        must_be_object("capabilities.extensions", value)?;
        self.tasks = revision.era() == Era::Modern && has(value, "extensions", TASKS_EXTENSION)?;
        self.ui = has(value, "extensions", UI_EXTENSION)?;
        Ok(())
    }

    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::ElicitForm => self.elicit_form,
            Capability::ElicitUrl => self.elicit_url,
            Capability::Sample => self.sample,
            Capability::SampleTools => self.sample_tools,
            Capability::SampleContext => self.sample_context,
            Capability::Roots => self.roots,
            Capability::Tasks => self.tasks,
            Capability::Ui => self.ui,
        }
    }

    /// Those of `required` that were not declared.
    pub fn lacking(&self, required: &[Capability]) -> Vec<Capability> {
        required.iter().copied().filter(|c| !self.has(*c)).collect()
    }

    /// A facet with exactly these.
    pub fn with(capabilities: &[Capability]) -> Self {
        let has = |c| capabilities.contains(&c);
        Self {
            elicit_form: has(Capability::ElicitForm),
            elicit_url: has(Capability::ElicitUrl),
            sample: has(Capability::Sample),
            sample_tools: has(Capability::SampleTools),
            sample_context: has(Capability::SampleContext),
            roots: has(Capability::Roots),
            roots_list_changed: false,
            tasks: has(Capability::Tasks),
            ui: has(Capability::Ui),
        }
    }
}

fn has(object: &str, parent: &str, name: &str) -> Result<bool, BadCapabilities> {
    match walk::member(object, name) {
        None | Some("null") => Ok(false),
        Some(value) => {
            must_be_object(&format!("capabilities.{parent}.{name}"), value).map(|()| true)
        }
    }
}

fn must_be_object(path: &str, value: &str) -> Result<(), BadCapabilities> {
    match walk::kind_of(value) {
        Kind::Object => Ok(()),
        _ => Err(BadCapabilities {
            path: path.to_owned(),
            expected: "an object",
        }),
    }
}

/// The `data.requiredCapabilities` object of -32021: what to declare, in the client's own form.
pub fn required_capabilities(capabilities: &[Capability]) -> Raw {
    let mut required = json!({});
    for capability in capabilities {
        let path: &[&str] = match capability {
            Capability::ElicitForm => &["elicitation", "form"],
            Capability::ElicitUrl => &["elicitation", "url"],
            Capability::Sample => &["sampling"],
            Capability::SampleTools => &["sampling", "tools"],
            Capability::SampleContext => &["sampling", "context"],
            Capability::Roots => &["roots"],
            Capability::Tasks => &["extensions", TASKS_EXTENSION],
            Capability::Ui => &["extensions", UI_EXTENSION],
        };
        insert(&mut required, path);
    }
    Raw::from_value(&required)
}

fn insert(object: &mut Value, path: &[&str]) {
    let mut at = object;
    for name in path {
        at = &mut at[*name];
        if at.is_null() {
            *at = json!({});
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facet(capabilities: &'static str, revision: Revision) -> ClientFacet {
        ClientFacet::from_capabilities(&Raw::from_static(capabilities), revision).unwrap()
    }

    fn check(capabilities: &'static str, revision: Revision, expected: &[Capability]) {
        let found = facet(capabilities, revision);
        let found = ClientFacet {
            roots_list_changed: false,
            ..found
        };
        assert_eq!(
            found,
            ClientFacet::with(expected),
            "{capabilities} on {revision:?}"
        );
    }

    #[test]
    fn capabilities_mean_what_the_revision_says() {
        use Capability::*;
        let [m, d, c, b, a] = *Revision::ALL else {
            panic!("five revisions");
        };
        check("{}", m, &[]);
        check(r#"{"elicitation":{}}"#, m, &[ElicitForm]);
        check(r#"{"elicitation":{"form":{}}}"#, d, &[ElicitForm]);
        check(r#"{"elicitation":{"url":{}}}"#, d, &[ElicitUrl]);
        check(r#"{"elicitation":{"url":{}}}"#, c, &[ElicitForm]);
        check(r#"{"elicitation":{"url":true}}"#, c, &[ElicitForm]);
        check(r#"{"elicitation":{},"roots":{}}"#, b, &[Roots]);
        check(r#"{"elicitation":{"form":{}},"sampling":{}}"#, a, &[Sample]);
        check(
            r#"{"elicitation":{"url":{},"form":{}}}"#,
            m,
            &[ElicitForm, ElicitUrl],
        );
        check(r#"{"sampling":{}}"#, m, &[Sample]);
        check(r#"{"sampling":{"tools":{}}}"#, m, &[Sample, SampleTools]);
        check(r#"{"sampling":{"tools":{},"context":{}}}"#, c, &[Sample]);
        check(r#"{"roots":{"listChanged":true}}"#, d, &[Roots]);
        check(r#"{"sampling":null}"#, d, &[]);
    }

    #[test]
    fn the_tasks_extension_counts_in_the_modern_era_only_and_apps_in_both() {
        let both = r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{}}}"#;
        check(
            both,
            Revision::V2026_07_28,
            &[Capability::Tasks, Capability::Ui],
        );
        check(both, Revision::V2025_11_25, &[Capability::Ui]);
        check(r#"{"tasks":{"list":{}}}"#, Revision::V2026_07_28, &[]);
    }

    #[test]
    fn a_capability_of_the_wrong_type_is_refused() {
        for bad in [
            "[]",
            "null",
            r#"{"roots":true}"#,
            r#"{"elicitation":{"form":1}}"#,
        ] {
            let raw = Raw::from_static(bad);
            assert!(
                ClientFacet::from_capabilities(&raw, Revision::V2026_07_28).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn required_capabilities_share_their_parents() {
        let shown = |c: &[Capability]| required_capabilities(c).to_string();
        assert_eq!(shown(&[Capability::Sample]), r#"{"sampling":{}}"#);
        assert_eq!(
            shown(&[
                Capability::ElicitForm,
                Capability::ElicitUrl,
                Capability::Tasks
            ]),
            r#"{"elicitation":{"form":{},"url":{}},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#
        );
    }
}
