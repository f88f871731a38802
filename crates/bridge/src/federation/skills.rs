//! Skills of members: shown whole, or not at all.

use ostler_client::text_member;
use ostler_worker::{Raw, UriTemplate};

use super::{Conflict, Merged, Part, is_in, routes::Pattern};
use crate::entry;

/// The file that every skill has at its root.
const MANIFEST: &str = "/SKILL.md";

impl Merged {
    /// The files of a skill are its member's, listed or not. Clients check each, and reject a skill of
    /// which one is another [EX-4]; so one is not shown of which an earlier member has a file, or a
    /// file is not shown.
    pub(super) fn add_skills(&mut self, index: usize, parts: &[Part<'_>]) {
        let part = &parts[index];
        for skill in &part.offer.skills {
            let uri = text_member(skill, "uri").unwrap_or_default();
            let files = files(skill, &uri);
            let is_hidden = |file: &String| is_in(&part.rules.exclude, file);
            if !part.rules.shows(&uri) || files.iter().any(is_hidden) {
                continue;
            }
            let mut owners = files
                .iter()
                .filter_map(|file| self.routes.resources.get(file));
            match owners.find(|(owner, _)| *owner != index) {
                None => self.add_skill(index, part, skill, files),
                Some((owner, _)) => self.conflicts.push(Conflict {
                    shown: uri,
                    first: parts[*owner].name.to_owned(),
                    other: part.name.to_owned(),
                }),
            }
        }
    }

    /// With a template for its directory: what a node takes for a skill can be read.
    fn add_skill(&mut self, index: usize, part: &Part<'_>, skill: &Raw, files: Vec<String>) {
        let manifest = &files[0];
        let directory = manifest.strip_suffix(MANIFEST).unwrap_or(manifest);
        let inside = format!("{directory}/{{+path}}");
        self.routes.patterns.push(Pattern {
            template: UriTemplate::parse(&inside),
            member: index,
            exclude: part.rules.exclude.as_slice().into(),
        });
        let template = entry::unlisted(&inside, part.terms());
        self.offer.templates.push(template);
        self.offer.skills.push(entry::skill(skill));
        for file in files {
            let resources = self.routes.resources.entry(file.clone());
            resources.or_insert((index, file));
        }
    }
}

/// What a skill says that it is made of, its SKILL.md first; that alone, if files are made on demand.
fn files(skill: &Raw, manifest: &str) -> Vec<String> {
    let listed = skill.get("resources").unwrap_or_default();
    let listed = listed.elements();
    let listed = listed.filter_map(|file| text_member(&file, "uri"));
    [manifest.to_owned()].into_iter().chain(listed).collect()
}
