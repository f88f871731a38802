//! Whom an upstream hears while it runs a call: the client behind that call.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use futures_util::future;
use ostler_client::{Answer, Answering, Ask, Behalf, Host, Notice, object, text_member};
use ostler_protocol::Revision;
use ostler_worker::{AskError, CallerAssertion, Ctx, LogLevel, QuestionKind, Raw};

use super::{Settings, scope};

/// Between a user's consent to visit a page and the next attempt at the request that needs it.
const VISIT_PAUSE: Duration = Duration::from_secs(5);

/// Passes what an upstream asks and tells on to the client behind one call, and answers back.
pub(super) struct CallHost {
    ctx: Ctx,
    revision: Revision,
    behalf: Behalf,
    /// Questions of a legacy upstream so far, by kind. Such a question has no key, so it gets its
    /// kind and its number in the call: a run that is made again asks under the same keys.
    asked: [u32; 4],
    /// Pages that were agreed to, by the id the upstream gave them: the keys of their questions.
    pages: HashMap<String, String>,
    /// The same of those without an id, as in modern revisions: an upstream that goes on says by
    /// that alone that they have done their part [SP-5].
    nameless: Vec<String>,
    unanswered: Option<AskError>,
}

impl CallHost {
    pub fn new(ctx: &Ctx, settings: &Settings, revision: Revision) -> CallHost {
        CallHost {
            ctx: ctx.clone(),
            revision,
            behalf: Behalf {
                owner: owner(ctx.caller()),
                abilities: scope::abilities(ctx.client()),
                log_level: Some(settings.log_level.clone()),
            },
            asked: [0; 4],
            pages: HashMap::new(),
            nameless: Vec::new(),
            unanswered: None,
        }
    }

    /// The upstream went on: it asks, or it is done.
    pub fn went_on(&mut self) {
        let done = std::mem::take(&mut self.nameless);
        done.iter().for_each(|key| self.ctx.page_done(key));
    }

    /// Why the last question that had no answer had none.
    pub fn unanswered(self) -> Option<AskError> {
        self.unanswered
    }

    fn next_key(&mut self, kind: QuestionKind) -> String {
        let (place, word) = match kind {
            QuestionKind::ElicitForm => (0, "form"),
            QuestionKind::ElicitUrl => (1, "url"),
            QuestionKind::Sample => (2, "sample"),
            QuestionKind::Roots => (3, "roots"),
        };
        self.asked[place] += 1;
        format!("{word}-{}", self.asked[place])
    }

    /// Asks all of them at once. The first that has no answer ends them all, as it ends the request.
    async fn ask(&mut self, asks: Vec<(String, QuestionKind, Raw)>) -> Vec<Answer> {
        self.went_on();
        let mut nameless = Vec::new();
        for (place, (key, kind, params)) in asks.iter().enumerate() {
            match text_member(params, "elicitationId") {
                Some(id) => drop(self.pages.insert(id, key.clone())),
                None if *kind == QuestionKind::ElicitUrl => nameless.push((place, key.clone())),
                None => {}
            }
        }
        let relay = &*self;
        let answers = asks.into_iter().map(|(key, kind, params)| {
            let answer = relay.ctx.ask(ostler_worker::Ask::raw(&key, kind, params));
            async move {
                let answer = answer.await.inspect_err(|why| {
                    tracing::debug!(key, %why, "a question has no answer");
                })?;
                Ok(Answer::Given(relay.in_its_words(kind, answer)))
            }
        });
        match future::try_join_all(answers).await {
            Ok(answers) => {
                let agreed = nameless.into_iter();
                let agreed = agreed.filter(|(place, _)| is_agreed(&answers[*place]));
                self.nameless.extend(agreed.map(|(_, key)| key));
                answers
            }
            Err(why) => {
                self.unanswered = Some(why);
                vec![Answer::Refused]
            }
        }
    }

    /// A lone block of a message, for revisions that have no lists of them [SP-2].
    fn in_its_words(&self, kind: QuestionKind, answer: Raw) -> Raw {
        if kind != QuestionKind::Sample || self.revision.has_sampling_lists() {
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
}

fn is_agreed(answer: &Answer) -> bool {
    match answer {
        Answer::Given(given) => text_member(given, "action").as_deref() == Some("accept"),
        Answer::Refused => false,
    }
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

    fn answer(&mut self, ask: Ask) -> Answering<'_> {
        Box::pin(async move {
            let Some((kind, params)) = question(ask) else {
                // Nobody tells us when: the request is simply made again, and asks again if it was
                // too early.
                self.ctx.sleep(VISIT_PAUSE).await;
                return Answer::accepted(None);
            };
            let key = self.next_key(kind);
            let mut answers = self.ask(vec![(key, kind, params)]).await;
            answers.pop().unwrap_or(Answer::Refused)
        })
    }

    /// Under the keys of the upstream, so that a client which knows the tool finds them again.
    fn answer_round(&mut self, round: Vec<(String, Ask)>) -> Answering<'_, Vec<Answer>> {
        let asks = round.into_iter().filter_map(|(key, ask)| {
            let (kind, params) = question(ask)?;
            Some((key, kind, params))
        });
        Box::pin(self.ask(asks.collect()))
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
