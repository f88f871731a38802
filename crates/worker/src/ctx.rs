//! What a handler sees of its call.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures_util::future::join_all;
use ostler_protocol::{
    call::{Log, LogLevel, Progress},
    facet::ClientFacet,
    json::Raw,
};
use ostler_types::{CallId, CallKind, TraceContext};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    ask::{self, Answers, Ask, Elicited, Root},
    error::{AskError, ToolError},
    runtime::call::Call,
    sample::{Sample, Sampled},
    server::Server,
    visit::Visit,
};

/// The call a handler works for: whom to ask, what to report, when to stop.
#[derive(Clone)]
pub struct Ctx {
    pub(crate) call: Arc<Call>,
    pub(crate) server: Server,
}

/// Who calls, as the platform says; the client's own token never gets here.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CallerAssertion {
    pub tenant: String,
    pub issuer: String,
    pub subject: String,
    pub client: String,
    pub scopes: Vec<String>,
    /// The same for all calls of one session, and of no other. Empty for a call of no session, as all
    /// calls of 2026-07-28 are.
    pub session: String,
}

/// Without the session: a log shows who called, and does not follow what they do.
impl fmt::Debug for CallerAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerAssertion")
            .field("tenant", &self.tenant)
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("client", &self.client)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl Ctx {
    /// The same in every attempt and after every lost link; fit as an idempotency key.
    pub fn call_id(&self) -> CallId {
        self.call.id
    }

    /// What is asked for: a tool, a prompt, a resource or a completion.
    pub fn kind(&self) -> CallKind {
        self.call.facts.kind
    }

    /// The name of the tool or prompt, the URI of the resource, or the JSON of a completion's
    /// `ref`.
    pub fn target(&self) -> &str {
        &self.call.facts.target
    }

    pub fn caller(&self) -> &CallerAssertion {
        &self.call.facts.caller
    }

    /// What the client could do when the call began.
    pub fn client(&self) -> &ClientFacet {
        &self.call.facts.client
    }

    pub fn trace(&self) -> Option<&TraceContext> {
        self.call.facts.trace.as_ref()
    }

    /// The time until the platform gives this call up; `None` without a limit.
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.call.facts.deadline?;
        Some(deadline.left(self.call.env.now()))
    }

    /// The Server this call was made to, for changing what it offers.
    pub fn server(&self) -> &Server {
        &self.server
    }

    // ---- asking ------------------------------------------------------------------------

    /// Shows a form; `schema` is a flat object of primitives.
    ///
    /// Questions asked in one step of the handler (with `join!`, say) reach the client
    /// together. The key must be the same in every run of the handler; a key that was used
    /// before in this call gets a number.
    pub async fn elicit(
        &self,
        key: &str,
        message: &str,
        schema: Value,
    ) -> Result<Elicited<Value>, AskError> {
        ask::read_form(&self.ask(Ask::form(key, message, schema)).await?)
    }

    /// Shows a form with the fields of the struct `T`: texts, numbers, booleans, and enums to
    /// choose from, of which a `Vec` lets several be chosen. Comments become descriptions, and
    /// those of variants the titles of choices; `#[serde(default)]` fills fields in, and
    /// `#[schemars(length(min = 1), range(max = 5))]` bounds them. Clients of older revisions see
    /// as much of it as they can show; one that cannot show a field at all cannot be asked.
    pub async fn elicit_as<T: DeserializeOwned + JsonSchema>(
        &self,
        key: &str,
        message: &str,
    ) -> Result<Elicited<T>, AskError> {
        ask::read_form(&self.ask(Ask::form_of::<T>(key, message)?).await?)
    }

    /// Sends the user to a page. Accepted means that they agreed to go, not that they are done:
    /// to wait for that, see [`Ctx::visit`], which also says what the page must check.
    pub async fn elicit_url(
        &self,
        key: &str,
        message: &str,
        url: &str,
    ) -> Result<Elicited<()>, AskError> {
        ask::read_url(&self.ask(Ask::url(key, message, url)).await?)
    }

    /// Sends the user to a page and waits for `done`: what the page brings about, such as a token
    /// that arrives, told by whatever serves the page. Use it for what must not pass through the
    /// client: signing in elsewhere, payments, secrets.
    ///
    /// The client only says whether the user agreed to go. When nothing has come of that for
    /// [`Visit::patience`], the user is asked again, because a client holds no request open for
    /// ever; whatever comes of that question, a page that is done meanwhile counts. After
    /// [`Visit::ROUNDS_MAX`] rounds it is [`AskError::TimedOut`]. A client that waits for the end
    /// of the visit is told of it.
    ///
    /// **Whoever opens the page must be the user who was asked**, and this platform never sees
    /// them open it: links are forwarded, and a victim who opens an attacker's link would give
    /// the attacker what is theirs [SP-4]. So the page's own server must make the visitor sign
    /// in before anything else, and compare who they are with [`Ctx::caller`], for whom the page
    /// was made. [`Visitors`](crate::Visitors) keeps that, where tool and page share a process;
    /// others must keep it likewise, under a state that is unguessable, serves once and soon
    /// ends. Nothing else goes into the URL: no name, no token, no link that is signed in
    /// already.
    pub async fn visit<T>(
        &self,
        visit: &Visit,
        done: impl Future<Output = T>,
    ) -> Result<Elicited<T>, AskError> {
        let mut done = std::pin::pin!(done);
        let mut agreed = Vec::new();
        for _ in 0..Visit::ROUNDS_MAX {
            let Ask { question, needs } = visit.ask();
            // Before anybody has agreed to go there is no visit. After that the page may be done
            // while nobody answers whether they would go again.
            let (key, answer) = tokio::select! {
                biased;
                value = &mut done, if !agreed.is_empty() => {
                    return Ok(self.visited(&agreed, value));
                }
                asked = self.call.ask(question, needs) => asked?,
            };
            agreed.push(key);
            match ask::read_url(&answer)? {
                Elicited::Accepted(()) => {}
                Elicited::Declined => return Ok(Elicited::Declined),
                Elicited::Dismissed => return Ok(Elicited::Dismissed),
            }
            tokio::select! {
                biased;
                value = &mut done => return Ok(self.visited(&agreed, value)),
                () = self.sleep(visit.patience) => {}
            }
        }
        Err(AskError::TimedOut)
    }

    fn visited<T>(&self, keys: &[String], value: T) -> Elicited<T> {
        keys.iter().for_each(|key| self.page_done(key));
        Elicited::Accepted(value)
    }

    /// Says that the page of an [`Ask::url`], by the key it went under, has done its part.
    /// [`Ctx::visit`] says so by itself.
    pub fn page_done(&self, key: &str) {
        self.call.visited(key);
    }

    /// Asks the client's model.
    pub async fn sample(&self, key: &str, sample: &Sample) -> Result<Sampled, AskError> {
        ask::read(&self.ask(Ask::sample(key, sample)).await?)
    }

    /// Asks for the client's roots.
    pub async fn roots(&self, key: &str) -> Result<Vec<Root>, AskError> {
        ask::read_roots(&self.ask(Ask::roots(key)).await?)
    }

    /// Asks several questions at once and waits for all answers.
    pub async fn ask_all(&self, asks: impl IntoIterator<Item = Ask>) -> Answers {
        let answers = asks.into_iter().map(|ask| async {
            let key = ask.question.key.clone();
            (key, self.ask(ask).await)
        });
        let answers = join_all(answers).await;
        Answers(answers.into_iter().collect::<BTreeMap<_, _>>())
    }

    /// Asks one question, whatever it is: the answer is the result of its MCP request.
    pub async fn ask(&self, ask: Ask) -> Result<Raw, AskError> {
        self.ask_keyed(ask).await.map(|(_, answer)| answer)
    }

    /// The same, with the key that the question went under: one that was used before in this call
    /// got a number. [`Ctx::page_done`] wants that one.
    pub async fn ask_keyed(&self, ask: Ask) -> Result<(String, Raw), AskError> {
        let Ask { question, needs } = ask;
        self.call.ask(question, needs).await
    }

    // ---- reporting ---------------------------------------------------------------------

    /// How far the call is. Dropped when nobody wants to know or the link is busy.
    pub fn progress(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        self.call.progress(&Progress {
            progress,
            total,
            message: message.map(str::to_owned),
        });
    }

    /// Logs to the client, as text or as any other JSON value. Dropped when the link is busy.
    pub fn log(&self, level: LogLevel, data: impl Serialize) {
        self.log_as(None, level, data);
    }

    /// The same with the name of a logger.
    pub fn log_as(&self, logger: Option<&str>, level: LogLevel, data: impl Serialize) {
        match serde_json::to_value(data) {
            Ok(data) => self.log_raw(logger, level, Raw::from_value(&data)),
            Err(_) => tracing::warn!(call = %self.call.id, "log data is not JSON"),
        }
    }

    /// The same with data that is JSON already; it goes out as it is written.
    pub fn log_raw(&self, logger: Option<&str>, level: LogLevel, data: Raw) {
        self.call.log(&Log {
            level,
            logger: logger.map(str::to_owned),
            data,
        });
    }

    /// From here on the client follows this call by handle, if it can: it may go away, and
    /// questions wait for it.
    pub fn become_task(&self) {
        self.call.become_task();
    }

    // ---- stopping and waiting ----------------------------------------------------------

    /// Ends when the call is cancelled. A handler that watches it may clean up and return
    /// [`ToolError::Cancelled`]; one that does not is dropped a moment later.
    // Cancel safe: it only waits.
    pub async fn cancelled(&self) {
        self.call.cancelled().await;
    }

    pub fn is_cancelled(&self) -> bool {
        self.call.is_cancelled()
    }

    // Cancel safe: a timer holds nothing.
    pub async fn sleep(&self, span: Duration) {
        self.call.env.sleep(span).await;
    }

    /// Runs `work` where blocking is allowed. The first step of a handler runs on the link
    /// itself, so a handler must not block.
    pub async fn run_blocking<F, R>(&self, work: F) -> Result<R, ToolError>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let job = self.call.env.spawn_blocking("worker blocking", work);
        job.await
            .map_err(|why| ToolError::Internal(why.to_string()))
    }
}
