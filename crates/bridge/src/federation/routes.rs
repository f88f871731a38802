//! Whose a call is: by what the members offer, and as it is shown.

use std::{collections::HashMap, sync::Arc};

use ostler_client::{object, text_member};
use ostler_worker::{CallKind, Raw, UriTemplate};

use super::is_in;

/// Whose entries are whose.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// By the shown name: the member, and the name there.
    pub(super) tools: HashMap<String, (usize, String)>,
    pub(super) prompts: HashMap<String, (usize, String)>,
    pub(super) resources: HashMap<String, (usize, String)>,
    pub(super) templates: HashMap<String, (usize, String)>,
    /// The templates again, in the order of the list.
    pub(super) patterns: Vec<Pattern>,
}

impl Routes {
    /// Whose a call is, and what it asks for there.
    pub fn find(&self, kind: CallKind, target: &str) -> Option<(usize, String)> {
        match kind {
            CallKind::Tool => self.tools.get(target).cloned(),
            CallKind::Prompt => self.prompts.get(target).cloned(),
            CallKind::Resource => self.owner(target).map(|index| (index, target.to_owned())),
            CallKind::Completion => self.completes(target),
        }
    }

    /// Whose a resource is. Nodes have matched the template already; where its expressions are
    /// beyond us, what it begins with must do.
    pub fn owner(&self, uri: &str) -> Option<usize> {
        if let Some((index, _)) = self.resources.get(uri) {
            return Some(*index);
        }
        let mut patterns = self.patterns.iter();
        if let Some(pattern) = patterns.find(|pattern| pattern.has(uri)) {
            return Some(pattern.member);
        }
        let begun = self.patterns.iter().filter(|it| it.may_have(uri));
        let longest = begun.max_by_key(|it| it.template.beginning().len());
        longest.map(|pattern| pattern.member)
    }

    /// The raw `ref` of a completion, under the name that it has at its member.
    fn completes(&self, reference: &str) -> Option<(usize, String)> {
        let reference = ostler_client::parse(reference).ok()?;
        if let Some(uri) = text_member(&reference, "uri") {
            let template = self.templates.get(&uri).map(|(index, _)| *index);
            let index = template.or_else(|| self.owner(&uri))?;
            return Some((index, reference.to_string()));
        }
        let (index, name) = self.prompts.get(&text_member(&reference, "name")?)?;
        let renamed = reference.members().map(|(member, value)| match &*member {
            "name" => (member, Raw::from_text(name)),
            _ => (member, value),
        });
        Some((*index, object(renamed).to_string()))
    }
}

/// The URIs under a template that is shown: those that are not excluded themselves.
#[derive(Debug)]
pub(super) struct Pattern {
    pub template: UriTemplate,
    pub member: usize,
    pub exclude: Arc<[String]>,
}

impl Pattern {
    fn has(&self, uri: &str) -> bool {
        self.template.matches(uri) && self.admits(uri)
    }

    fn may_have(&self, uri: &str) -> bool {
        uri.starts_with(self.template.beginning()) && self.admits(uri)
    }

    fn admits(&self, uri: &str) -> bool {
        !is_in(&self.exclude, uri)
    }
}
