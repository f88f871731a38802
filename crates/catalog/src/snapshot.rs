//! One immutable view of what a Server offers.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::{Arc, OnceLock},
};

use ostler_protocol::{Raw, Revision, inbound::ListKind, listing::TaskSupport};
use ostler_types::WorkerId;

use crate::{
    change::Fingerprints,
    directory::{self, DirectoryPage},
    entry::{Entry, Prompt, Resource, Skill, Target, Template, Tool, named_by},
    merge::Kept,
    uri,
};

/// What a Server offers at one moment. Cheap to hold, never changes.
#[derive(Debug)]
pub struct Snapshot {
    /// Grows with every change that a client could see.
    pub generation: u64,
    /// An MCP `Implementation` object.
    pub server_info: Raw,
    pub instructions: Option<Arc<str>>,
    pub capabilities: Capabilities,
    /// Whose places its lists have: after a restart they are given anew.
    pub(crate) order: u64,
    pub(crate) tools: List<Tool>,
    pub(crate) prompts: List<Prompt>,
    pub(crate) resources: List<Resource>,
    pub(crate) templates: List<Template>,
    pub(crate) skills: List<Skill>,
    /// With nobody left there is nothing to show, which is no change of what there was.
    pub(crate) last_shown: Option<Fingerprints>,
    /// All live workers, those that complete, those that can watch resources.
    pub(crate) workers: Arc<[WorkerId]>,
    pub(crate) completers: Arc<[WorkerId]>,
    pub(crate) watchers: Arc<[WorkerId]>,
}

/// What to declare to clients: exactly what is served [CAP-1].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    pub tools: bool,
    pub prompts: bool,
    /// Resources or templates.
    pub resources: bool,
    /// Resources can be subscribed to.
    pub resource_watch: bool,
    pub logging: bool,
    pub completions: bool,
    /// A tool may become a task.
    pub tasks: bool,
    /// Something belongs to MCP Apps [EX-3].
    pub apps: bool,
    pub skills: bool,
    /// All skills say which files they have, so that their directories can be read [EX-4].
    pub skill_directories: bool,
}

/// A part of a list, ready to be put into a result.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// In the form of one revision.
    pub entries: &'a [Raw],
    /// The mark to go on after, if there is more.
    pub next: Option<Vec<u8>>,
}

/// What a client goes on after: an order, and a sort key in it.
#[derive(Debug, Clone, Copy)]
struct Mark<'m> {
    order: u64,
    key: &'m [u8],
}

impl<'m> Mark<'m> {
    /// `None` for what never was one.
    fn read(mark: &'m [u8]) -> Option<Self> {
        let (order, key) = mark.split_first_chunk()?;
        let order = u64::from_be_bytes(*order);
        Some(Self { order, key })
    }

    fn write(self) -> Vec<u8> {
        [&self.order.to_be_bytes(), self.key].concat()
    }
}

/// One list: in order, by name, and encoded for clients.
#[derive(Debug)]
pub(crate) struct List<E> {
    entries: Vec<Arc<E>>,
    by_name: HashMap<String, usize>,
    /// What an empty list keeps for the next one, of the last that was not.
    before: HashMap<String, Kept>,
    /// Without those that are served but not listed.
    listed: Vec<Arc<E>>,
    fingerprint: u64,
    encoded: Arc<Encoded>,
}

/// What clients get of a list, made when first asked for.
#[derive(Debug)]
struct Encoded {
    /// Of each listed entry, in order.
    sort_keys: Vec<Vec<u8>>,
    /// By [`slot_of`] a revision.
    forms: [OnceLock<Vec<Raw>>; Revision::ALL.len()],
}

impl<P> List<Entry<P>> {
    /// `before` is the list this one follows: if clients see no difference, what was encoded
    /// stays in use.
    pub(crate) fn new(entries: Vec<Arc<Entry<P>>>, before: Option<&Self>) -> Self {
        let is_listed = |entry: &&Arc<Entry<P>>| !entry.declarations.unlisted;
        let listed: Vec<_> = entries.iter().filter(is_listed).cloned().collect();
        let fingerprint = fingerprint_of(&listed);
        let sort_keys: Vec<_> = listed.iter().map(|entry| entry.sort_key()).collect();
        let same = |before: &&Self| {
            before.fingerprint == fingerprint && before.encoded.sort_keys == sort_keys
        };
        let by_name = entries.iter().enumerate();
        let by_name = by_name
            .map(|(at, entry)| (entry.name.clone(), at))
            .collect();
        let kept = before.filter(|_| entries.is_empty()).map(List::kept);
        let kept = kept.into_iter().flatten();
        let encoded = match before.filter(same) {
            Some(before) => before.encoded.clone(),
            None => Arc::new(Encoded {
                sort_keys,
                forms: Default::default(),
            }),
        };
        Self {
            entries,
            by_name,
            before: kept.map(|(name, kept)| (name.to_owned(), kept)).collect(),
            listed,
            fingerprint,
            encoded,
        }
    }

    pub(crate) fn entries(&self) -> &[Arc<Entry<P>>] {
        &self.entries
    }

    /// What the next list keeps of this one, by name.
    pub(crate) fn kept(&self) -> HashMap<&str, Kept> {
        let entries = self.entries.iter().map(|entry| {
            let (contract, place) = (entry.contract, entry.place);
            (entry.name.as_str(), Kept { contract, place })
        });
        let before = self.before.iter();
        let before = before.map(|(name, kept)| (name.as_str(), *kept));
        entries.chain(before).collect()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Entry<P>>> {
        self.by_name.get(name).map(|at| &self.entries[*at])
    }

    /// Where to go on: behind the same entry, wherever it is now; else behind its place. If that was
    /// one of another order nobody knows where that is, and nothing is skipped from the start [P-3].
    fn key_now<'m>(&self, order: u64, mark: Mark<'m>) -> Option<Cow<'m, [u8]>> {
        match named_by(mark.key).and_then(|name| self.find(name)) {
            Some(entry) => Some(Cow::Owned(entry.sort_key())),
            None => (mark.order == order).then_some(Cow::Borrowed(mark.key)),
        }
    }

    fn page(
        &self,
        (kind, revision): (ListKind, Revision),
        order: u64,
        after: Option<Mark<'_>>,
        len_max: usize,
    ) -> Page<'_> {
        let form = self.encoded.forms[slot_of(revision)].get_or_init(|| {
            let entries = self.listed.iter();
            entries.map(|entry| entry.shown(revision, kind)).collect()
        });
        let after = after.and_then(|mark| self.key_now(order, mark));
        let range = self.encoded.range(after, len_max);
        let last = range
            .clone()
            .next_back()
            .filter(|last| last + 1 < self.listed.len());
        let mark = |last: usize| Mark {
            order,
            key: &self.encoded.sort_keys[last],
        };
        Page {
            entries: &form[range],
            next: last.map(|last| mark(last).write()),
        }
    }
}

impl Encoded {
    /// The entries behind `after`.
    fn range(&self, after: Option<Cow<'_, [u8]>>, len_max: usize) -> Range<usize> {
        let start = match after {
            None => 0,
            Some(after) => self.sort_keys.partition_point(|key| **key <= *after),
        };
        let end = start
            .saturating_add(len_max.max(1))
            .min(self.sort_keys.len());
        start..end
    }
}

fn slot_of(revision: Revision) -> usize {
    match revision {
        Revision::V2024_11_05 => 0,
        Revision::V2025_03_26 => 1,
        Revision::V2025_06_18 => 2,
        Revision::V2025_11_25 => 3,
        Revision::V2026_07_28 => 4,
    }
}

/// Equal for lists that no client can tell apart; 0 for the empty list, so that a Server without
/// a list and one that nobody has offered yet look the same.
fn fingerprint_of<P>(entries: &[Arc<Entry<P>>]) -> u64 {
    if entries.is_empty() {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    for entry in entries {
        // Not the sort key: where there is room in a list says nothing to a client.
        (&entry.name, entry.raw.bytes(), entry.declarations.task).hash(&mut hasher);
    }
    hasher.finish()
}

impl Snapshot {
    pub fn tools(&self) -> &[Arc<Tool>] {
        self.tools.entries()
    }

    pub fn prompts(&self) -> &[Arc<Prompt>] {
        self.prompts.entries()
    }

    pub fn resources(&self) -> &[Arc<Resource>] {
        self.resources.entries()
    }

    pub fn templates(&self) -> &[Arc<Template>] {
        self.templates.entries()
    }

    pub fn skills(&self) -> &[Arc<Skill>] {
        self.skills.entries()
    }

    pub fn tool(&self, name: &str) -> Option<&Arc<Tool>> {
        self.tools.find(name)
    }

    pub fn prompt(&self, name: &str) -> Option<&Arc<Prompt>> {
        self.prompts.find(name)
    }

    /// What serves a URI: the resource of exactly this URI, else the first template it matches, of
    /// those that are listed first: an unlisted one may stand for everything that nobody names.
    /// A URI that only a template could match must be free of traversal tricks.
    pub fn resource(&self, uri: &str) -> Option<Target> {
        if let Some(resource) = self.resources.find(uri) {
            return Some(Target::Resource(resource.clone()));
        }
        if self.templates().is_empty() || !uri::is_safe(uri) {
            return None;
        }
        let (listed, all) = (self.templates.listed.iter(), self.templates().iter());
        let unlisted = all.filter(|template| template.declarations.unlisted);
        let mut templates = listed.chain(unlisted);
        let template = templates.find(|template| template.parts.pattern.matches(uri))?;
        Some(Target::Template(template.clone()))
    }

    /// The skill whose SKILL.md has exactly this URI [EX-4].
    pub fn skill(&self, uri: &str) -> Option<&Arc<Skill>> {
        self.skills.find(uri)
    }

    /// At most `len_max` (at least one) of the direct children of a directory of a skill, behind the
    /// name `after`; `None` for what is no such directory [EX-4].
    pub fn directory(
        &self,
        revision: Revision,
        uri: &str,
        after: Option<&str>,
        len_max: usize,
    ) -> Option<DirectoryPage> {
        directory::read(&self.skills, &self.resources, revision, uri, after, len_max)
    }

    /// The template of exactly this text, which is what `completion/complete` names.
    pub fn template(&self, uri_template: &str) -> Option<&Arc<Template>> {
        self.templates.find(uri_template)
    }

    /// All live workers; none if the Server is known but nobody serves it now.
    pub fn workers(&self) -> &Arc<[WorkerId]> {
        &self.workers
    }

    /// All workers have left, and not just for a moment: that the lists are empty says nothing
    /// of what the Server offers.
    pub fn is_deserted(&self) -> bool {
        self.last_shown.is_some()
    }

    /// The live workers that answer `completion/complete`.
    pub fn completers(&self) -> &Arc<[WorkerId]> {
        &self.completers
    }

    /// The live workers that can watch resources.
    pub fn watchers(&self) -> &Arc<[WorkerId]> {
        &self.watchers
    }

    /// At most `len_max` entries (at least one) behind the mark `after`.
    pub fn page(
        &self,
        kind: ListKind,
        revision: Revision,
        after: Option<&[u8]>,
        len_max: usize,
    ) -> Page<'_> {
        let (form, order) = ((kind, revision), self.order);
        let after = after.and_then(Mark::read);
        match kind {
            ListKind::Tools => self.tools.page(form, order, after, len_max),
            ListKind::Prompts => self.prompts.page(form, order, after, len_max),
            ListKind::Resources => self.resources.page(form, order, after, len_max),
            ListKind::Templates => self.templates.page(form, order, after, len_max),
            ListKind::Skills => self.skills.page(form, order, after, len_max),
        }
    }

    /// Of a deserted Server those of what was shown last.
    pub fn fingerprints(&self) -> Fingerprints {
        self.last_shown.unwrap_or_else(|| self.listed())
    }

    fn listed(&self) -> Fingerprints {
        Fingerprints {
            tools: self.tools.fingerprint,
            prompts: self.prompts.fingerprint,
            // The rotations keep them from canceling each other out.
            resources: self.resources.fingerprint.rotate_left(1)
                ^ self.templates.fingerprint
                ^ self.skills.fingerprint.rotate_left(2),
        }
    }

    /// Whether anything belongs to MCP Apps.
    pub(crate) fn has_apps(&self) -> bool {
        self.tools().iter().any(|entry| entry.is_app)
            || self.resources().iter().any(|entry| entry.is_app)
            || self.templates().iter().any(|entry| entry.is_app)
    }

    pub(crate) fn may_become_task(tools: &[Arc<Tool>]) -> bool {
        tools
            .iter()
            .any(|tool| tool.declarations.task != TaskSupport::None)
    }
}
