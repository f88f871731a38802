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
    /// Who may have what nobody lists.
    pub(super) unlisted: Vec<Unlisted>,
}

impl Routes {
    /// Who is to be asked in turn, and for what there. Of what is listed that is its one owner.
    pub fn find(&self, kind: CallKind, target: &str) -> Vec<(usize, String)> {
        match kind {
            CallKind::Tool => self.tools.get(target).cloned().into_iter().collect(),
            CallKind::Prompt => self.prompts.get(target).cloned().into_iter().collect(),
            CallKind::Resource => asked(self.owners(target), target),
            CallKind::Completion => self.completes(target).unwrap_or_default(),
        }
    }

    /// Whose a resource is, or may be. Nodes have matched templates already; where the expressions of
    /// one are beyond us, what it begins with makes its member the first to be asked.
    pub fn owners(&self, uri: &str) -> Vec<usize> {
        if let Some((index, _)) = self.resources.get(uri) {
            return vec![*index];
        }
        let mut patterns = self.patterns.iter();
        if let Some(pattern) = patterns.find(|pattern| pattern.has(uri)) {
            return vec![pattern.member];
        }
        let begun = self.patterns.iter().filter(|it| it.may_have(uri));
        let longest = begun.max_by_key(|it| it.template.beginning().len());
        let first = longest.map(|pattern| pattern.member);
        let others = self.unlisted.iter().filter(|it| it.admits(uri));
        let others = others.map(|it| it.member);
        let others = others.filter(|member| Some(*member) != first);
        first.into_iter().chain(others).collect()
    }

    /// The raw `ref` of a completion, under the name that it has at its member.
    fn completes(&self, reference: &str) -> Option<Vec<(usize, String)>> {
        let reference = ostler_client::parse(reference).ok()?;
        if let Some(uri) = text_member(&reference, "uri") {
            let template = self.templates.get(&uri).map(|(index, _)| vec![*index]);
            let owners = template.unwrap_or_else(|| self.owners(&uri));
            return Some(asked(owners, reference.as_str()));
        }
        let (index, name) = self.prompts.get(&text_member(&reference, "name")?)?;
        let renamed = reference.members().map(|(member, value)| match &*member {
            "name" => (member, Raw::from_text(name)),
            _ => (member, value),
        });
        Some(vec![(*index, object(renamed).to_string())])
    }
}

fn asked(members: Vec<usize>, target: &str) -> Vec<(usize, String)> {
    let target = |member| (member, target.to_owned());
    members.into_iter().map(target).collect()
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

/// A member that may have resources which it does not list, under these URIs; without one, any.
#[derive(Debug)]
pub(super) struct Unlisted {
    pub member: usize,
    pub include: Arc<[String]>,
}

impl Unlisted {
    fn admits(&self, uri: &str) -> bool {
        self.include.is_empty() || is_in(&self.include, uri)
    }
}
