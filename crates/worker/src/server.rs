//! A Server as its author builds it, and changes while it runs.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Weak},
};

use bytes::Bytes;
use ostler_rpc::worker_v1 as wire;
use ostler_types::CallKind;
use parking_lot::{Mutex, RwLock};
use prost::Message;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::{
    completion::{Completion, IntoCompletion},
    ctx::Ctx,
    entry::{Entry, Item, Template, Tool},
    error::ToolError,
    handler::{Erased, Handler},
    raw::{RawOffer, erase_raw},
    reply::{IntoToolResult, Reply},
    runtime::watched::Watched,
    skill::SkillItem,
};

/// An MCP server: what it offers and who runs it. Clones are the same Server; a change is told
/// to every node it is linked to.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

struct Shared {
    book: RwLock<Arc<Book>>,
    /// Counts changes, for the links.
    changes: watch::Sender<u64>,
    /// One per link that serves this Server.
    watched: Mutex<Vec<Weak<Watched>>>,
    /// Counts changes of what they watch.
    watches: watch::Sender<u64>,
}

/// One state of what a Server offers.
#[derive(Clone)]
pub(crate) struct Book {
    info: Map<String, Value>,
    instructions: String,
    tools: Section,
    prompts: Section,
    resources: Section,
    templates: Vec<Arc<Template>>,
    skills: Vec<SkillItem>,
    completion: Option<Erased>,
    resource_watch: bool,
    /// Entries made elsewhere.
    raw: Arc<RawOffer>,
    /// Runs what none of its own entries does.
    relay: Option<Erased>,
}

/// Entries in the order of their author, found by key.
#[derive(Clone, Default)]
struct Section {
    order: Vec<Arc<Item>>,
    by_key: HashMap<String, Arc<Item>>,
}

impl Section {
    fn put(&mut self, item: Item) {
        let item = Arc::new(item);
        let before = self.by_key.insert(item.key.clone(), item.clone());
        let place = before.and_then(|old| self.order.iter().position(|i| i.key == old.key));
        match place {
            Some(place) => self.order[place] = item,
            None => self.order.push(item),
        }
    }

    fn remove(&mut self, key: &str) -> bool {
        self.order.retain(|item| item.key != key);
        self.by_key.remove(key).is_some()
    }
}

/// A handler, and the arguments to give it instead of those of the call.
pub(crate) struct Found {
    pub run: Erased,
    pub arguments: Option<Bytes>,
}

impl Server {
    pub fn new(name: &str, version: &str) -> Self {
        let mut info = Map::new();
        info.insert("name".into(), name.into());
        info.insert("version".into(), version.into());
        let book = Book {
            info,
            instructions: String::new(),
            tools: Section::default(),
            prompts: Section::default(),
            resources: Section::default(),
            templates: Vec::new(),
            skills: Vec::new(),
            completion: None,
            resource_watch: false,
            raw: Arc::default(),
            relay: None,
        };
        Self(Arc::new(Shared {
            book: RwLock::new(Arc::new(book)),
            changes: watch::Sender::new(0),
            watched: Mutex::default(),
            watches: watch::Sender::new(0),
        }))
    }

    /// Adds a tool: an `async fn(Ctx, Args) -> Output` or `async fn(Ctx) -> Output`.
    pub fn tool<M, H: Handler<M>>(self, name: &str, description: &str, handler: H) -> Self
    where
        H::Output: IntoToolResult,
    {
        self.with(Tool::new(name, description, handler))
    }

    /// Adds a tool, prompt, resource, template or skill.
    pub fn with(self, entry: impl Into<Entry>) -> Self {
        self.add(entry);
        self
    }

    pub fn title(self, title: &str) -> Self {
        self.info("title", title)
    }

    /// Sets a member of the MCP `Implementation`: `websiteUrl`, `icons`, ...
    pub fn info(self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.change(|book| book.info.insert(key.to_owned(), value));
        self
    }

    /// What a client's model should know about this Server.
    pub fn instructions(self, text: &str) -> Self {
        self.change(|book| book.instructions = text.to_owned());
        self
    }

    /// Answers `completion/complete`.
    pub fn completion<F, Running, Output>(self, handler: F) -> Self
    where
        F: Fn(Ctx, Completion) -> Running + Send + Sync + 'static,
        Running: Future<Output = Output> + Send + 'static,
        Output: IntoCompletion + Send + 'static,
    {
        let run = erase_completion(handler);
        self.change(|book| book.completion = Some(run));
        self
    }

    /// Clients may subscribe to resources; see [`Server::resource_updated`].
    pub fn watchable(self) -> Self {
        self.change(|book| book.resource_watch = true);
        self
    }

    /// Runs every call that no entry of its own does: those of [`Server::offer_raw`]. The handler
    /// gets the arguments as JSON text (of a completion `{argument, context?}`), and gives the
    /// result of the MCP request.
    pub fn relay<F, Running>(self, handler: F) -> Self
    where
        F: Fn(Ctx, Bytes) -> Running + Send + Sync + 'static,
        Running: Future<Output = Result<Reply, ToolError>> + Send + 'static,
    {
        let run = erase_raw(handler);
        self.change(|book| book.relay = Some(run));
        self
    }

    // ---- while it runs -----------------------------------------------------------------

    /// Adds an entry at the end, or replaces the one of the same name.
    pub fn add(&self, entry: impl Into<Entry>) {
        let entry = entry.into();
        self.change(|book| book.put(entry));
    }

    /// Takes a tool away; `false` when there is none of this name.
    pub fn remove_tool(&self, name: &str) -> bool {
        self.change(|book| book.tools.remove(name))
    }

    pub fn remove_prompt(&self, name: &str) -> bool {
        self.change(|book| book.prompts.remove(name))
    }

    pub fn remove_resource(&self, uri: &str) -> bool {
        self.change(|book| book.resources.remove(uri))
    }

    /// Takes a skill away, with its files. `uri` is that of its SKILL.md.
    pub fn remove_skill(&self, uri: &str) -> bool {
        self.change(|book| book.remove_skill(uri))
    }

    /// Whether this Server offers a tool of this name now.
    pub fn has_tool(&self, name: &str) -> bool {
        self.book().tools.by_key.contains_key(name)
    }

    pub fn has_prompt(&self, name: &str) -> bool {
        self.book().prompts.by_key.contains_key(name)
    }

    /// Replaces all entries that were made elsewhere, in one change. Calls of them go to the
    /// handler of [`Server::relay`].
    pub fn offer_raw(&self, offer: RawOffer) {
        self.change(|book| book.raw = Arc::new(offer));
    }

    /// Tells every node that watches `uri` that it changed.
    pub fn resource_updated(&self, uri: &str) {
        self.0.watched.lock().retain(|watched| {
            let watched = watched.upgrade();
            if let Some(watched) = &watched {
                watched.updated(uri);
            }
            watched.is_some()
        });
    }

    /// Whether any node watches `uri`, so that watching it here is worth the effort.
    pub fn is_watched(&self, uri: &str) -> bool {
        let watched = self.0.watched.lock();
        let mut links = watched.iter().filter_map(Weak::upgrade);
        links.any(|watched| watched.contains(uri))
    }

    /// Whether any node knows of it, and may send calls.
    pub fn is_linked(&self) -> bool {
        let links = self.0.watched.lock();
        links.iter().any(|link| link.strong_count() > 0)
    }

    /// What any node watches now.
    pub fn watched(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let links = self.0.watched.lock();
        for link in links.iter().filter_map(Weak::upgrade) {
            link.add_to(&mut all);
        }
        all
    }

    /// Changes whenever [`Server::watched`] may have.
    pub fn watches_changed(&self) -> watch::Receiver<u64> {
        self.0.watches.subscribe()
    }

    // ---- for the runtime ---------------------------------------------------------------

    fn change<T>(&self, edit: impl FnOnce(&mut Book) -> T) -> T {
        let result = edit(Arc::make_mut(&mut self.0.book.write()));
        self.0.changes.send_modify(|count| *count += 1);
        result
    }

    fn book(&self) -> Arc<Book> {
        self.0.book.read().clone()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    pub(crate) fn watches(&self) -> watch::Sender<u64> {
        self.0.watches.clone()
    }

    pub(crate) fn attach(&self, watched: &Arc<Watched>) {
        let mut all = self.0.watched.lock();
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(watched));
    }

    pub(crate) fn catalog(&self) -> Bytes {
        self.book().to_wire().encode_to_vec().into()
    }

    /// Who runs a call, if anybody does.
    pub(crate) fn find(&self, kind: CallKind, target: &str) -> Option<Found> {
        self.book().find(kind, target)
    }
}

impl Book {
    fn put(&mut self, entry: Entry) {
        match entry {
            Entry::Tool(tool) => self.tools.put(tool.0),
            Entry::Prompt(prompt) => self.prompts.put(prompt.0),
            Entry::Resource(resource) => self.resources.put(resource.0),
            Entry::Template(template) => {
                self.templates
                    .retain(|known| known.item.key != template.item.key);
                self.templates.push(Arc::new(template));
            }
            Entry::Skill(skill) => {
                let skill = skill.into_item();
                self.remove_skill(&skill.uri);
                for file in &skill.files {
                    self.resources.put(file.clone());
                }
                self.skills.push(skill);
            }
        }
    }

    fn remove_skill(&mut self, uri: &str) -> bool {
        let Some(place) = self.skills.iter().position(|skill| skill.uri == uri) else {
            return false;
        };
        for file in self.skills.remove(place).files {
            self.resources.remove(&file.key);
        }
        true
    }

    fn find(&self, kind: CallKind, target: &str) -> Option<Found> {
        let relayed = || {
            let run = self.relay.clone()?;
            let arguments = None;
            Some(Found { run, arguments })
        };
        self.find_own(kind, target).or_else(relayed)
    }

    fn find_own(&self, kind: CallKind, target: &str) -> Option<Found> {
        match kind {
            CallKind::Tool => found(self.tools.by_key.get(target)?),
            CallKind::Prompt => found(self.prompts.by_key.get(target)?),
            CallKind::Resource => self.find_resource(target),
            CallKind::Completion => Some(Found {
                run: self.completion.clone()?,
                arguments: None,
            }),
        }
    }

    fn find_resource(&self, uri: &str) -> Option<Found> {
        if let Some(resource) = self.resources.by_key.get(uri) {
            return found(resource);
        }
        let matching = self.templates.iter().find_map(|template| {
            let variables = template.pattern.variables(uri)?;
            Some((template, variables))
        });
        let (template, variables) = matching?;
        Some(Found {
            run: template.item.run.clone(),
            arguments: Some(json!(variables).to_string().into()),
        })
    }

    fn to_wire(&self) -> wire::Catalog {
        let info = Value::Object(self.info.clone());
        let mut catalog = wire::Catalog {
            server_info: info.to_string().into(),
            instructions: self.instructions.clone(),
            tools: self.tools.order.iter().map(|item| tool(item)).collect(),
            prompts: self.prompts.order.iter().map(|item| prompt(item)).collect(),
            resources: self
                .resources
                .order
                .iter()
                .map(|item| resource(item))
                .collect(),
            templates: self.templates.iter().map(|t| template(&t.item)).collect(),
            completions: self.completion.is_some(),
            logging: true,
            resource_watch: self.resource_watch,
            skills: self.skills.iter().map(skill).collect(),
        };
        self.raw.add_to(&mut catalog);
        catalog
    }
}

fn found(item: &Arc<Item>) -> Option<Found> {
    Some(Found {
        run: item.run.clone(),
        arguments: None,
    })
}

fn tool(item: &Item) -> wire::Tool {
    wire::Tool {
        definition: item.encode(),
        declarations: Some(item.declarations.to_wire()),
    }
}

fn prompt(item: &Item) -> wire::Prompt {
    wire::Prompt {
        definition: item.encode(),
        declarations: Some(item.declarations.to_wire()),
    }
}

fn resource(item: &Item) -> wire::Resource {
    wire::Resource {
        definition: item.encode(),
        declarations: Some(item.declarations.to_wire()),
    }
}

fn template(item: &Item) -> wire::ResourceTemplate {
    wire::ResourceTemplate {
        definition: item.encode(),
        declarations: Some(item.declarations.to_wire()),
    }
}

fn skill(skill: &SkillItem) -> wire::Skill {
    wire::Skill {
        definition: skill.definition.clone(),
        declarations: None,
    }
}

fn erase_completion<F, Running, Output>(handler: F) -> Erased
where
    F: Fn(Ctx, Completion) -> Running + Send + Sync + 'static,
    Running: Future<Output = Output> + Send + 'static,
    Output: IntoCompletion + Send + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |ctx, arguments| {
        let handler = handler.clone();
        Box::pin(async move {
            let result = match Completion::parse(ctx.target(), &arguments) {
                Ok(completion) => handler(ctx, completion).await.into_completion(),
                Err(why) => Err(ToolError::InvalidParams(why)),
            };
            result.map_err(ToolError::into_failure)
        })
    })
}
