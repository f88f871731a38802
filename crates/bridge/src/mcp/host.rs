//! Whom an upstream hears while it runs a call: the client behind that call.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use ostler_client::{Answer, Answering, Ask, Behalf, Host, Notice, object, text_member};
use ostler_env::Env;
use ostler_protocol::Revision;
use ostler_types::Instant;
use ostler_worker::{AskError, CallerAssertion, Ctx, LogLevel, QuestionKind, Raw};
use parking_lot::Mutex;

use super::{Settings, scope};

/// From a question of a legacy upstream until the client is asked, with whatever else the upstream
/// asks by then. It writes what it asks at once message by message, and nothing says that there is
/// more; but to a client of 2026-07-28 only what is known together is one round. Nobody who answers
/// notices it.
const GATHER: Duration = Duration::from_millis(5);

/// Passes what an upstream asks and tells on to the client behind one call, and answers back.
pub(super) struct CallHost {
    env: Env,
    ctx: Ctx,
    revision: Revision,
    behalf: Behalf,
    visit_max: Duration,
    /// When those are asked that are being gathered.
    gathered: Instant,
    /// How often each key was given to a question of a legacy upstream, which has none.
    keys: HashMap<String, u32>,
    /// Pages by the id the upstream gave them: the keys of their questions.
    pages: HashMap<String, String>,
    left: Arc<Mutex<Left>>,
}

/// What answers leave behind.
#[derive(Default)]
struct Left {
    /// The keys of pages that were agreed to and have no id, as in modern revisions: an upstream
    /// that goes on says by that alone that they have done their part [SP-5].
    nameless: Vec<String>,
    unanswered: Option<AskError>,
}

impl CallHost {
    pub fn new(env: &Env, ctx: &Ctx, settings: &Settings, revision: Revision) -> CallHost {
        CallHost {
            env: env.clone(),
            ctx: ctx.clone(),
            revision,
            behalf: Behalf {
                owner: owner(ctx.caller()),
                abilities: scope::abilities(ctx.client()),
                log_level: Some(settings.log_level.clone()),
            },
            visit_max: settings.visit_max,
            gathered: env.now(),
            keys: HashMap::new(),
            pages: HashMap::new(),
            left: Arc::default(),
        }
    }

    /// The upstream went on: it asks, or it is done.
    pub fn went_on(&mut self) {
        let done = std::mem::take(&mut self.left.lock().nameless);
        done.iter().for_each(|key| self.ctx.page_done(key));
    }

    /// Why the first question that had no answer had none.
    pub fn unanswered(self) -> Option<AskError> {
        self.left.lock().unanswered.take()
    }

    /// When to ask what comes now.
    fn gather(&mut self) -> Instant {
        let now = self.env.now();
        if self.gathered <= now {
            self.gathered = now + GATHER;
        }
        self.gathered
    }

    /// A run that is made again must ask under the same keys, whichever of its questions comes
    /// first: a key is made of what is asked. Of those that ask the same it is a number too.
    fn next_key(&mut self, kind: QuestionKind, params: &Raw) -> String {
        let word = match kind {
            QuestionKind::ElicitForm => "form",
            QuestionKind::ElicitUrl => "url",
            QuestionKind::Sample => "sample",
            QuestionKind::Roots => "roots",
        };
        let mut hasher = DefaultHasher::new();
        // What names the run or the page is another in each.
        let is_same = |name: &str| !matches!(name, "_meta" | "elicitationId");
        let asked = params.members().filter(|(name, _)| is_same(name));
        asked.for_each(|(name, value)| (&*name, value.as_str()).hash(&mut hasher));
        let key = format!("{word}-{:016x}", hasher.finish());
        let times = self.keys.entry(key.clone()).or_default();
        *times += 1;
        match *times {
            1 => key,
            n => format!("{key}-{n}"),
        }
    }

    /// Asks the client, at once or at a time.
    fn ask(&self, at: Option<Instant>, asked: Asked) -> Answering {
        let (env, ctx) = (self.env.clone(), self.ctx.clone());
        let (left, revision) = (self.left.clone(), self.revision);
        let Asked {
            key,
            kind,
            params,
            page,
        } = asked;
        let is_nameless = kind == QuestionKind::ElicitUrl && page.is_none();
        Box::pin(async move {
            if let Some(at) = at {
                env.sleep_until(at).await;
            }
            let ask = ostler_worker::Ask::raw(&key, kind, params);
            match ctx.ask_keyed(ask).await {
                Ok((key, answer)) => {
                    if is_nameless && is_agreed(&answer) {
                        left.lock().nameless.push(key);
                    }
                    Answer::Given(in_its_words(revision, kind, answer))
                }
                Err(why) => {
                    tracing::debug!(key, %why, "a question has no answer");
                    left.lock().unanswered.get_or_insert(why);
                    Answer::Refused
                }
            }
        })
    }
}

/// A question on its way to the client.
struct Asked {
    key: String,
    kind: QuestionKind,
    params: Raw,
    /// What the upstream calls its page.
    page: Option<String>,
}

/// A lone block of a message, for revisions that have no lists of them [SP-2].
fn in_its_words(revision: Revision, kind: QuestionKind, answer: Raw) -> Raw {
    if kind != QuestionKind::Sample || revision.has_sampling_lists() {
        return answer;
    }
    let content = answer.get("content").unwrap_or_default();
    let mut blocks = content.elements();
    let (Some(only), None) = (blocks.next(), blocks.next()) else {
        return answer;
    };
    object(answer.members().map(|(name, value)| match &*name {
        "content" => (name, only.clone()),
        _ => (name, value),
    }))
}

fn is_agreed(answer: &Raw) -> bool {
    text_member(answer, "action").as_deref() == Some("accept")
}

/// Equal for one principal only: whoever looked for another one with the same number would have to
/// try some 2^64 names.
fn owner(caller: &CallerAssertion) -> u64 {
    let mut hasher = DefaultHasher::new();
    let CallerAssertion {
        tenant,
        issuer,
        subject,
        client,
        ..
    } = caller;
    (tenant, issuer, subject, client).hash(&mut hasher);
    hasher.finish()
}

impl Host for CallHost {
    fn behalf(&self) -> Option<&Behalf> {
        Some(&self.behalf)
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Progress {
                progress,
                total,
                message,
            } => self.ctx.progress(progress, total, message.as_deref()),
            Notice::Log {
                level,
                logger,
                data,
            } => {
                let level = LogLevel::parse(&level).unwrap_or(LogLevel::Info);
                self.ctx.log_raw(logger.as_deref(), level, data);
            }
            Notice::Task { .. } => self.ctx.become_task(),
            Notice::Visited { id } => {
                if let Some(key) = self.pages.remove(&id) {
                    self.ctx.page_done(&key);
                }
            }
            Notice::Refused { ask, reason } => {
                tracing::warn!(call = %self.ctx.call_id(), ask, reason, "a question was shown to nobody");
            }
            // News of the connection are for who follows it.
            Notice::Dropped { .. }
            | Notice::Changed(_)
            | Notice::Updated { .. }
            | Notice::Unwatched { .. }
            | Notice::Listening
            | Notice::Resumed => {}
        }
    }

    /// Under the key of a modern upstream, so that a client which knows the tool finds it again.
    fn answer(&mut self, ask: Ask, key: Option<&str>) -> Answering {
        let page = ask.page();
        let Some((kind, params)) = question(ask) else {
            // The upstream has not said so. If it is too early the request will ask again.
            let (ctx, span) = (self.ctx.clone(), self.visit_max);
            return Box::pin(async move {
                ctx.sleep(span).await;
                Answer::accepted(None)
            });
        };
        self.went_on();
        // A round of 2026-07-28 is whole.
        let (key, at) = match key {
            Some(key) => (key.to_owned(), None),
            None => (self.next_key(kind, &params), Some(self.gather())),
        };
        if let Some(page) = &page {
            self.pages.insert(page.clone(), key.clone());
        }
        let asked = Asked {
            key,
            kind,
            params,
            page,
        };
        self.ask(at, asked)
    }
}

/// What to ask the client; nothing for what is no question of the server.
fn question(ask: Ask) -> Option<(QuestionKind, Raw)> {
    match ask {
        Ask::Form { params, .. } => Some((QuestionKind::ElicitForm, params)),
        Ask::Url { params, .. } => Some((QuestionKind::ElicitUrl, params)),
        Ask::Sample { params } => Some((QuestionKind::Sample, params)),
        Ask::Roots { params } => Some((QuestionKind::Roots, params)),
        Ask::Visited => None,
    }
}
