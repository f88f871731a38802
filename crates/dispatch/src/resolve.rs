//! What a request is for: an entry of a snapshot, and the workers that serve it.

use std::sync::Arc;

use ostler_auth::Permit;
use ostler_catalog::{Declarations, Prompt, Snapshot, Target, Tool};
use ostler_hub::Hub;
use ostler_protocol::Raw;
use ostler_types::{CallKind, ServerId, WorkerId};

use crate::{admission::Room, refusal::Refusal, workers::Workers};

/// A request that may run: what it is for, proof that policy said yes, and room. Dropping it
/// frees the room.
pub struct Admitted<W: Workers = Hub> {
    /// What the Server offered when the request was admitted.
    pub snapshot: Arc<Snapshot>,
    pub kind: CallKind,
    pub target: String,
    pub(crate) server: ServerId,
    pub(crate) entry: Resolved,
    /// The worker chosen so far.
    pub(crate) worker: W::Worker,
    pub(crate) room: Room,
    pub(crate) _permit: Permit,
}

impl<W: Workers> Admitted<W> {
    pub fn server(&self) -> &ServerId {
        &self.server
    }

    pub fn tool(&self) -> Option<&Arc<Tool>> {
        self.entry.tool()
    }

    pub fn declarations(&self) -> &Declarations {
        self.entry.declarations()
    }

    /// Whether the arguments follow the tool's input schema [T-8]; always true for other kinds.
    pub async fn check(&self, arguments: &Raw) -> Result<(), String> {
        match self.tool() {
            Some(tool) => tool.check_arguments_anywhere(arguments).await,
            None => Ok(()),
        }
    }
}

/// The entry behind a target.
#[derive(Debug, Clone)]
pub(crate) enum Resolved {
    Tool(Arc<Tool>),
    Prompt(Arc<Prompt>),
    Resource(Target),
    Completion(Completion),
}

/// Values for the arguments of `subject`, from those of its workers that complete.
#[derive(Debug, Clone)]
pub(crate) struct Completion {
    subject: Box<Resolved>,
    workers: Arc<[WorkerId]>,
}

impl Resolved {
    pub(crate) fn tool(&self) -> Option<&Arc<Tool>> {
        match self {
            Self::Tool(tool) => Some(tool),
            Self::Prompt(_) | Self::Resource(_) | Self::Completion(_) => None,
        }
    }

    /// A completion says something of its subject, so it needs what that one needs.
    pub(crate) fn declarations(&self) -> &Declarations {
        match self {
            Self::Tool(tool) => &tool.declarations,
            Self::Prompt(prompt) => &prompt.declarations,
            Self::Resource(target) => target.declarations(),
            Self::Completion(completion) => completion.subject.declarations(),
        }
    }

    /// The workers that serve it.
    pub(crate) fn workers(&self) -> &[WorkerId] {
        match self {
            Self::Tool(tool) => tool.workers(),
            Self::Prompt(prompt) => prompt.workers(),
            Self::Resource(target) => target.workers(),
            Self::Completion(completion) => &completion.workers,
        }
    }
}

/// Finds the entry that a request names.
pub(crate) fn resolve(
    snapshot: &Snapshot,
    kind: CallKind,
    target: &str,
) -> Result<Resolved, Refusal> {
    let found = match kind {
        CallKind::Tool => snapshot.tool(target).cloned().map(Resolved::Tool),
        CallKind::Prompt => snapshot.prompt(target).cloned().map(Resolved::Prompt),
        CallKind::Resource => snapshot.resource(target).map(Resolved::Resource),
        CallKind::Completion => completion(snapshot, target).map(Resolved::Completion),
    };
    found.ok_or_else(|| not_found(snapshot, kind, target))
}

fn not_found(snapshot: &Snapshot, kind: CallKind, target: &str) -> Refusal {
    // With nobody there, nothing can be known to be unknown.
    if snapshot.workers().is_empty() {
        return Refusal::NoWorker;
    }
    let offered = match kind {
        CallKind::Tool => snapshot.capabilities.tools,
        CallKind::Prompt => snapshot.capabilities.prompts,
        CallKind::Resource => snapshot.capabilities.resources,
        CallKind::Completion => snapshot.capabilities.completions,
    };
    match offered {
        false => Refusal::NotOffered(kind),
        true => Refusal::UnknownTarget {
            kind,
            target: target.to_owned(),
        },
    }
}

/// What the `ref` of a `completion/complete` names [P-2], if somebody completes for it.
fn completion(snapshot: &Snapshot, reference: &str) -> Option<Completion> {
    let subject = subject(snapshot, reference)?;
    let completers = snapshot.completers().iter();
    let serving = completers.filter(|worker| subject.workers().contains(worker));
    let workers: Arc<[_]> = serving.cloned().collect();
    // Without anybody who serves it now, who completes is not known either.
    let may_complete = !workers.is_empty() || subject.workers().is_empty();
    may_complete.then(|| Completion {
        workers,
        subject: Box::new(subject),
    })
}

fn subject(snapshot: &Snapshot, reference: &str) -> Option<Resolved> {
    if !snapshot.capabilities.completions {
        return None;
    }
    let reference: serde_json::Value = serde_json::from_str(reference).ok()?;
    match reference["type"].as_str()? {
        "ref/prompt" => {
            let prompt = snapshot.prompt(reference["name"].as_str()?)?;
            Some(Resolved::Prompt(prompt.clone()))
        }
        "ref/resource" => {
            let uri = reference["uri"].as_str()?;
            let template = snapshot.template(uri).cloned().map(Target::Template);
            template
                .or_else(|| snapshot.resource(uri))
                .map(Resolved::Resource)
        }
        _ => None,
    }
}
