//! Skills: instructions for a client's model, with the files they need [EX-4].

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    content::ResourceContents,
    ctx::Ctx,
    declare::Declarations,
    entry::{Item, Resource},
};

/// A skill: a SKILL.md and whatever files it speaks of, served as resources below
/// `skill://NAME/`. Clients learn of it by name and description, and read it when it fits.
#[derive(Debug, Clone)]
pub struct Skill {
    directory: String,
    /// Name and description first, then in the order of their author.
    frontmatter: Vec<(String, Value)>,
    instructions: String,
    files: Vec<File>,
    meta: Map<String, Value>,
}

#[derive(Debug, Clone)]
struct File {
    path: String,
    mime_type: String,
    content: Bytes,
}

/// What a Server keeps of a skill.
#[derive(Debug, Clone)]
pub(crate) struct SkillItem {
    /// Of its SKILL.md.
    pub uri: String,
    /// The entry of `skills/list` as JSON text.
    pub definition: Bytes,
    /// Its SKILL.md and its other files.
    pub files: Vec<Item>,
}

const MARKDOWN: &str = "text/markdown";

impl Skill {
    /// `name` has 1 to 64 of a-z, 0-9 and single hyphens; `description` says when the skill
    /// helps; `instructions` are the Markdown below the front matter, which is written here.
    pub fn new(name: &str, description: &str, instructions: &str) -> Self {
        Self {
            directory: format!("skill://{name}"),
            frontmatter: vec![
                ("name".to_owned(), json!(name)),
                ("description".to_owned(), json!(description)),
            ],
            instructions: instructions.to_owned(),
            files: Vec::new(),
            meta: Map::new(),
        }
    }

    /// Sets any field of the front matter: `license`, `metadata`, ... One that is there is
    /// replaced.
    pub fn frontmatter(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        match self.frontmatter.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => self.frontmatter.push((key.to_owned(), value)),
        }
        self
    }

    /// Adds a file at `path` inside the skill: "scripts/fill.py".
    pub fn file(mut self, path: &str, mime_type: &str, content: impl Into<Bytes>) -> Self {
        self.files.push(File {
            path: path.to_owned(),
            mime_type: mime_type.to_owned(),
            content: content.into(),
        });
        self
    }

    /// Of its entry in lists. Keys of `io.modelcontextprotocol.skills/` may be used too.
    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.meta.insert(key.to_owned(), value);
        self
    }

    fn text(&self, field: &str) -> &str {
        let mut fields = self.frontmatter.iter();
        let field = fields.find(|(key, _)| key == field);
        field
            .and_then(|(_, value)| value.as_str())
            .unwrap_or_default()
    }

    /// The front matter's values are JSON, which YAML reads as it is, and so are its keys where
    /// they would be read otherwise without quotes.
    fn manifest(&self) -> File {
        let field = |(key, value): &(String, Value)| match is_plain(key) {
            true => format!("{key}: {value}\n"),
            false => format!("{}: {value}\n", json!(key)),
        };
        let fields: String = self.frontmatter.iter().map(field).collect();
        let text = format!("---\n{fields}---\n\n{}\n", self.instructions.trim_end());
        File {
            path: "SKILL.md".to_owned(),
            mime_type: MARKDOWN.to_owned(),
            content: text.into(),
        }
    }

    pub(crate) fn into_item(self) -> SkillItem {
        let manifest = self.manifest();
        let listed = Resource::new(
            &manifest.uri(&self.directory),
            self.text("name"),
            MARKDOWN,
            manifest.reader(),
        );
        let listed = listed.description(self.text("description"));
        let unlisted = self.files.iter().map(|file| {
            let uri = file.uri(&self.directory);
            let resource = Resource::new(&uri, &file.path, &file.mime_type, file.reader());
            resource.declare(Declarations::new().unlisted()).0
        });
        let all = [&manifest].into_iter().chain(&self.files);
        let resources: Vec<_> = all.map(|file| file.entry(&self.directory)).collect();
        let uri = manifest.uri(&self.directory);
        let frontmatter: Value = self.frontmatter.iter().cloned().collect();
        let mut definition =
            json!({"uri": uri, "frontmatter": frontmatter, "resources": resources});
        if !self.meta.is_empty() {
            definition["_meta"] = self.meta.into();
        }
        SkillItem {
            uri,
            definition: definition.to_string().into(),
            files: [listed.0].into_iter().chain(unlisted).collect(),
        }
    }
}

/// Whether YAML reads a key as this text without quotes: no number, and no punctuation at all.
/// A word that YAML takes for something else ("null", "yes") is quoted with the rest.
fn is_plain(key: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    key.starts_with(|first: char| first.is_ascii_alphabetic())
        && key.bytes().all(is_inner)
        && !words.iter().any(|word| word.eq_ignore_ascii_case(key))
}

impl File {
    fn uri(&self, directory: &str) -> String {
        format!("{directory}/{}", self.path)
    }

    fn entry(&self, directory: &str) -> Value {
        let digest = Sha256::digest(&self.content);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({
            "uri": self.uri(directory),
            "digest": format!("sha256:{hex}"),
            "size": self.content.len(),
        })
    }

    /// Text where it is text, because clients show that.
    fn reader(&self) -> impl Fn(Ctx) -> std::future::Ready<ResourceContents> + use<> {
        let content = self.content.clone();
        move |ctx: Ctx| {
            std::future::ready(match std::str::from_utf8(&content) {
                Ok(text) => ResourceContents::text(ctx.target(), text),
                Err(_) => ResourceContents::blob(ctx.target(), &content),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skill_names_all_its_files_with_digest_and_size() {
        let skill = Skill::new("pdf", "Fills in \"forms\".", "# How\n")
            .frontmatter("metadata", json!({"level": 2}))
            .file("scripts/a.py", "text/x-python", "abc");
        let text = "---\nname: \"pdf\"\ndescription: \"Fills in \\\"forms\\\".\"\n\
                    metadata: {\"level\":2}\n---\n\n# How\n";
        assert_eq!(skill.manifest().content, text);
        let item = skill.into_item();
        let keys: Vec<_> = item.files.iter().map(|file| file.key.as_str()).collect();
        assert_eq!(keys, ["skill://pdf/SKILL.md", "skill://pdf/scripts/a.py"]);
        let definition: Value = serde_json::from_slice(&item.definition).unwrap();
        assert_eq!(definition["uri"], item.uri);
        assert_eq!(definition["frontmatter"]["metadata"], json!({"level": 2}));
        assert_eq!(definition["resources"][0]["size"], text.len());
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let file = json!({"uri": "skill://pdf/scripts/a.py", "digest": abc, "size": 3});
        assert_eq!(definition["resources"][1], file);
    }

    #[test]
    fn each_field_of_the_front_matter_is_there_once_and_read_as_it_was_written() {
        let skill = Skill::new("pdf", "d", "i")
            .frontmatter("description", "better")
            .frontmatter("a: b", 1)
            .frontmatter("No", 2)
            .frontmatter("allowed-tools", 3);
        let text = "---\nname: \"pdf\"\ndescription: \"better\"\n\"a: b\": 1\n\"No\": 2\n\
                    allowed-tools: 3\n---\n\ni\n";
        assert_eq!(skill.manifest().content, text);
        let definition: Value = serde_json::from_slice(&skill.into_item().definition).unwrap();
        assert_eq!(definition["frontmatter"]["description"], "better");
    }

    #[test]
    fn only_the_manifest_is_listed() {
        let item = Skill::new("pdf", "d", "i")
            .file("a", "text/plain", "a")
            .into_item();
        let unlisted = Declarations::new().unlisted();
        let declared: Vec<_> = item.files.iter().map(|file| &file.declarations).collect();
        assert_eq!(declared, [&Declarations::new(), &unlisted]);
    }
}
