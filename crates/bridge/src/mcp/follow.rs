//! Following an upstream: read its lists, listen, read again what changed, come back.

use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use ostler_client::{
    Answer, Answering, Ask, Client, Error, Facts, Host, Limits, ListKind, Notice, text_member,
};
use ostler_protocol::{Raw, facet::TASKS_EXTENSION};
use ostler_types::Instant;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Connection, Shared, outcome};
use crate::{
    member::{Offer, Presence},
    pool::Refusal,
};

/// Between two readings of lists that keep changing.
const CHANGE_PAUSE: Duration = Duration::from_millis(100);

/// For one whole list. Some servers declare lists that they never give.
const LIST_MAX: Duration = Duration::from_secs(20);

/// JSON-RPC 2.0, section 5.1.
const METHOD_NOT_FOUND: i64 = -32601;

/// Follows it until the member is dropped or the pool closes.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        match shared.pool.hold(shared.settings.shared_key()).await {
            Ok(hold) => {
                let why = shared.serve(&hold).await;
                hold.discard(&why);
                shared.down(why);
            }
            Err(Refusal::Closing) => return,
            Err(refusal) => {
                shared.down(refusal.to_string());
                let pause = refusal.retry_after().unwrap_or_default();
                shared.env.sleep(pause.max(CHANGE_PAUSE)).await;
            }
        }
    }
}

impl Shared {
    /// Shows what it offers until this connection does not do any more; says why. What goes wrong
    /// here harms no call: whoever calls may go on, and all of it is tried again.
    async fn serve(&self, connection: &Connection) -> String {
        tokio::select! {
            biased;
            why = connection.gone(&self.env) => why,
            error = self.follow(connection) => error.to_string(),
        }
    }

    /// Until the connection is over.
    async fn follow(&self, connection: &Connection) -> Error {
        let dirty = Dirty::default();
        let late = match self.refresh(connection, ListKind::ALL.into(), &dirty).await {
            Ok(late) => late,
            Err(error) => return error,
        };
        tokio::select! {
            biased;
            error = self.listen(connection, &dirty) => error,
            error = self.renew(connection, &dirty, late) => error,
            never = self.look(connection.client.facts(), &dirty) => match never {},
        }
    }

    /// Looks now and then at the lists whose changes are not told, while those of others are heard.
    async fn look(&self, facts: &Facts, dirty: &Dirty) -> Infallible {
        let is_silent = |kind: &ListKind| facts.has_list(*kind) && !facts.tells_changes(*kind);
        let silent: Vec<_> = ListKind::ALL.into_iter().filter(is_silent).collect();
        if silent.is_empty() || !self.has_something_to_hear(facts) {
            return std::future::pending().await;
        }
        loop {
            self.env.sleep(self.settings.refresh).await;
            dirty.add(silent.iter().copied());
        }
    }

    /// Reads what changed, as often as it does, and after a while what was not to be had.
    async fn renew(
        &self,
        connection: &Connection,
        dirty: &Dirty,
        missing: BTreeSet<ListKind>,
    ) -> Error {
        let (env, limits) = (&self.env, &self.settings.limits);
        let mut late = Late::new(env.now(), limits, missing);
        loop {
            let kinds = tokio::select! {
                () = dirty.told.notified() => dirty.take(),
                () = env.sleep_until(late.retry_at), if !late.kinds.is_empty() => {
                    late.kinds.clone()
                }
            };
            match self.refresh(connection, kinds.clone(), dirty).await {
                Ok(missing) => late.note(env.now(), limits, (&kinds, missing)),
                Err(error) => return error,
            }
            env.sleep(CHANGE_PAUSE).await;
        }
    }

    /// Listens for changes; where that cannot be, looks for them now and then.
    async fn listen(&self, connection: &Connection, dirty: &Dirty) -> Error {
        let limits = &self.settings.limits;
        let mut failures = 0;
        loop {
            let began = self.env.now();
            let pause = match self.hear(&connection.client, dirty).await {
                Err(error) if outcome::is_over(&error) => return error,
                Err(error) if !is_no_way_to_listen(&error) => {
                    tracing::debug!(member = self.name(), %error, "nothing is heard for a while");
                    connection.health.doubt();
                    let has_lasted = self.env.now().since(began) >= limits.retry_max;
                    failures = if has_lasted { 0 } else { failures + 1 };
                    limits.pause(None, failures)
                }
                ended => {
                    tracing::debug!(member = self.name(), ?ended, "nothing is heard");
                    self.settings.refresh
                }
            };
            self.env.sleep(pause).await;
            dirty.add(ListKind::ALL);
        }
    }

    async fn hear(&self, client: &Client, dirty: &Dirty) -> Result<(), Error> {
        if !self.has_something_to_hear(client.facts()) {
            return Ok(());
        }
        let mut ear = Ear {
            shared: self,
            dirty,
        };
        client.listen(self.wanted.subscribe(), &mut ear).await
    }

    fn has_something_to_hear(&self, facts: &Facts) -> bool {
        let mut lists = ListKind::ALL.into_iter();
        lists.any(|kind| facts.tells_changes(kind))
            || facts.offers_feature("resources", "subscribe")
    }

    /// Reads these lists, all at once so that no slow one delays the others for long, and shows
    /// what the upstream offers now. Those that were not to be had are told, and what was known
    /// of them stands.
    async fn refresh(
        &self,
        connection: &Connection,
        kinds: BTreeSet<ListKind>,
        dirty: &Dirty,
    ) -> Result<BTreeSet<ListKind>, Error> {
        let facts = connection.client.facts();
        let is_offered = |kind: &&ListKind| facts.has_list(**kind);
        let offered = kinds.iter().filter(is_offered).count();
        let read = |kind| async move { (kind, self.read(connection, kind, dirty).await) };
        let lists = join_all(kinds.into_iter().map(read)).await;
        let mut offer = (**self.offer.borrow()).clone();
        offer.describe(facts);
        let mut late = BTreeSet::new();
        for (kind, list) in lists {
            match list? {
                Some(entries) => *offer.list(kind) = self.named(kind, &entries),
                None => drop(late.insert(kind)),
            }
        }
        // One that gives none of what it has may hang, whatever it said at the beginning.
        let is_there = offered == 0 || late.len() < offered;
        if is_there && offer.presence != Presence::Up {
            offer.presence = Presence::Up;
            let revision = facts.revision.as_str();
            tracing::info!(member = self.name(), revision, "the upstream is there");
        }
        self.publish(offer);
        Ok(late)
    }

    /// One list; none if it was not to be had, which may change.
    async fn read(
        &self,
        connection: &Connection,
        kind: ListKind,
        dirty: &Dirty,
    ) -> Result<Option<Vec<Raw>>, Error> {
        let member = self.name();
        let mut ear = Ear {
            shared: self,
            dirty,
        };
        let limit = self.env.now() + LIST_MAX;
        let list = connection.client.list(kind, &mut ear);
        match self.env.until(limit, list).await {
            Some(Ok(entries)) => Ok(Some(entries)),
            // It does not have this list, whatever it declared.
            Some(Err(Error::Rpc(error))) if error.code == METHOD_NOT_FOUND => {
                tracing::warn!(member, ?kind, %error, "no list");
                Ok(Some(Vec::new()))
            }
            Some(Err(error)) if outcome::is_over(&error) => Err(error),
            // What it says of a moment says nothing of what it offers.
            late => {
                let error = late.and_then(Result::err);
                tracing::warn!(member, ?kind, ?error, "a list is not to be had now");
                connection.health.doubt();
                Ok(None)
            }
        }
    }

    /// Entries that can be asked for; one without a name is told of and left out.
    fn named(&self, kind: ListKind, entries: &[Raw]) -> Vec<Raw> {
        let member = match kind {
            ListKind::Tools | ListKind::Prompts => "name",
            ListKind::Resources | ListKind::Skills => "uri",
            ListKind::Templates => "uriTemplate",
        };
        let is_named = |entry: &&Raw| text_member(entry, member).is_some();
        let named: Vec<_> = entries.iter().filter(is_named).map(Raw::detached).collect();
        let nameless = entries.len() - named.len();
        if nameless > 0 {
            tracing::warn!(
                member = self.name(),
                ?kind,
                nameless,
                "entries without a name"
            );
        }
        named
    }

    fn publish(&self, offer: Offer) {
        let named = |tool: &Raw| Some((text_member(tool, "name")?, tool.clone()));
        let tools: HashMap<_, _> = offer.tools.iter().filter_map(named).collect();
        *self.tools.write() = Arc::new(tools);
        self.offer.send_if_modified(|shown| {
            let is_new = **shown != offer;
            *shown = Arc::new(offer);
            is_new
        });
    }

    fn down(&self, why: String) {
        let mut offer = (**self.offer.borrow()).clone();
        if offer.presence == Presence::Up {
            tracing::warn!(member = self.name(), why, "the upstream is not there");
        }
        offer.presence = Presence::Down(why);
        self.publish(offer);
    }
}

/// Whether the upstream does without what a listen needs; anything else may pass.
fn is_no_way_to_listen(error: &Error) -> bool {
    match error {
        Error::NotOffered(_) | Error::Rpc(_) | Error::Protocol(_) | Error::NoEndpoint { .. } => {
            true
        }
        Error::Status { status, .. } => (400..500).contains(status),
        _ => false,
    }
}

impl Offer {
    /// Takes over what the upstream says of itself.
    fn describe(&mut self, facts: &Facts) {
        self.info = facts.info.detached();
        self.instructions = facts.instructions.clone();
        // Revisions without that capability may complete all the same, where there is what to complete.
        let has_whereof = facts.offers("prompts") || facts.offers("resources");
        let may_complete = !facts.revision.has_completions_capability() && has_whereof;
        self.completions = facts.offers("completions") || may_complete;
        self.unlisted = facts.offers("resources");
        self.resource_watch = facts.offers_feature("resources", "subscribe");
        self.tasks = facts.extends(TASKS_EXTENSION);
    }

    fn list(&mut self, kind: ListKind) -> &mut Vec<Raw> {
        match kind {
            ListKind::Tools => &mut self.tools,
            ListKind::Prompts => &mut self.prompts,
            ListKind::Resources => &mut self.resources,
            ListKind::Templates => &mut self.templates,
            ListKind::Skills => &mut self.skills,
        }
    }
}

/// Lists that were not to be had, and when they are asked for again.
struct Late {
    kinds: BTreeSet<ListKind>,
    failures: u32,
    retry_at: Instant,
}

impl Late {
    fn new(now: Instant, limits: &Limits, missing: BTreeSet<ListKind>) -> Late {
        let mut late = Late {
            kinds: BTreeSet::new(),
            failures: 0,
            retry_at: now,
        };
        late.note(now, limits, (&BTreeSet::new(), missing));
        late
    }

    /// Takes in which of those that were read are missing. What others had to say meanwhile brings
    /// no late one its turn sooner or later.
    fn note(
        &mut self,
        now: Instant,
        limits: &Limits,
        (read, missing): (&BTreeSet<ListKind>, BTreeSet<ListKind>),
    ) {
        self.kinds.retain(|kind| !read.contains(kind));
        let has_others = !self.kinds.is_empty();
        self.kinds.extend(missing);
        if self.kinds.is_empty() {
            self.failures = 0;
        } else if !has_others {
            self.retry_at = now + limits.pause(None, self.failures);
            self.failures = self.failures.saturating_add(1);
        }
    }
}

/// Lists to read again.
#[derive(Default)]
struct Dirty {
    kinds: Mutex<BTreeSet<ListKind>>,
    told: Notify,
}

impl Dirty {
    fn add(&self, kinds: impl IntoIterator<Item = ListKind>) {
        self.kinds.lock().extend(kinds);
        self.told.notify_one();
    }

    fn take(&self) -> BTreeSet<ListKind> {
        std::mem::take(&mut *self.kinds.lock())
    }
}

/// Hears what belongs to no call.
struct Ear<'a> {
    shared: &'a Shared,
    dirty: &'a Dirty,
}

impl Host for Ear<'_> {
    fn notice(&mut self, notice: Notice) {
        let member = self.shared.name();
        match notice {
            // Of skills it is told in no other way, if at all.
            Notice::Changed(ListKind::Resources) => {
                let kinds = [ListKind::Resources, ListKind::Templates, ListKind::Skills];
                self.dirty.add(kinds);
            }
            Notice::Changed(kind) => self.dirty.add([kind]),
            // What changed while nobody listened is not told.
            Notice::Listening | Notice::Resumed => self.dirty.add(ListKind::ALL),
            Notice::Updated { uri } => self.shared.server.resource_updated(&uri),
            Notice::Dropped { tool, reason } => {
                tracing::warn!(member, tool, reason, "a tool that cannot be called");
            }
            // Clients name what is watched, and of what nobody lists every member is asked.
            Notice::Unwatched { uri, reason } => {
                tracing::debug!(
                    member,
                    uri,
                    reason,
                    "the upstream tells nothing of a resource"
                );
            }
            Notice::Refused { ask, reason } => {
                tracing::warn!(
                    member,
                    ask,
                    reason,
                    "a question was shown to nobody; isolate this member per principal"
                );
            }
            Notice::Log { level, data, .. } => {
                tracing::info!(member, level, %data, "the upstream says");
            }
            Notice::Visited { .. } | Notice::Progress { .. } | Notice::Task { .. } => {}
        }
    }

    /// Nobody's call: there is nobody to ask.
    fn answer(&mut self, ask: Ask, _: Option<&str>) -> Answering {
        let (member, method) = (self.shared.name(), ask.method());
        tracing::info!(member, method, "a question outside of any call was refused");
        Box::pin(async { Answer::Refused })
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
