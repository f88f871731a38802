//! What sessions count.

use metrics::Counter;
use ostler_env::{Env, Registry};

use crate::state::Counted;

pub(crate) struct Metrics {
    pub created: Counter,
    pub woken: Counter,
    /// By the client, with DELETE.
    pub ended: Counter,
    /// Given up after crashing again and again.
    pub given_up: Counter,
    pub calls_adopted: Counter,
    pub calls_refused: Counter,
    pub calls_recorded: Counter,
    pub calls_rebound: Counter,
    pub calls_lost: Counter,
    pub events_stored: Counter,
    pub streams_cut: Counter,
    pub resumed: Counter,
    pub resume_gaps: Counter,
    pub commit_failures: Counter,
    pub rows_unreadable: Counter,
    answers_unmatched: Counter,
    answers_invalid: Counter,
    questions_asked: Counter,
    questions_unsupported: Counter,
    questions_timed_out: Counter,
    pub chatter_dropped: Counter,
}

impl Metrics {
    pub fn new(env: &Env) -> Self {
        let registry = env.metrics();
        let plain = |name, help| registry.counter(name, help, &[]);
        Metrics {
            created: plain("ostler_session_created_total", "Sessions opened."),
            woken: plain(
                "ostler_session_woken_total",
                "Sessions read back from the store.",
            ),
            ended: ended(registry, "client"),
            given_up: ended(registry, "crash_loop"),
            calls_adopted: calls(registry, "adopted"),
            calls_refused: calls(registry, "refused"),
            calls_recorded: calls(registry, "recorded"),
            calls_rebound: calls(registry, "rebound"),
            calls_lost: calls(registry, "lost"),
            events_stored: plain(
                "ostler_session_events_stored_total",
                "Stream events stored.",
            ),
            streams_cut: plain(
                "ostler_session_streams_cut_total",
                "Readers cut off because they took nothing, or far too little, of what waited for them.",
            ),
            resumed: resumes(registry, "replayed"),
            resume_gaps: resumes(registry, "gap"),
            commit_failures: plain(
                "ostler_session_commit_failures_total",
                "Turns that could not be stored; nothing of them was shown.",
            ),
            rows_unreadable: plain(
                "ostler_session_rows_unreadable_total",
                "Stored rows that this version cannot read.",
            ),
            answers_unmatched: answers(registry, "unmatched"),
            answers_invalid: answers(registry, "invalid"),
            questions_asked: questions(registry, "asked"),
            questions_unsupported: questions(registry, "unsupported"),
            questions_timed_out: questions(registry, "timed_out"),
            chatter_dropped: plain(
                "ostler_session_chatter_dropped_total",
                "Progress and log messages that were not relayed, for want of rate or room.",
            ),
        }
    }

    pub fn count(&self, counted: Counted) {
        let counter = match counted {
            Counted::AnswerUnmatched => &self.answers_unmatched,
            Counted::AnswerInvalid => &self.answers_invalid,
            Counted::QuestionAsked => &self.questions_asked,
            Counted::QuestionUnsupported => &self.questions_unsupported,
            Counted::QuestionTimedOut => &self.questions_timed_out,
            Counted::ChatterDropped => &self.chatter_dropped,
        };
        counter.increment(1);
    }
}

fn ended(registry: &Registry, by: &'static str) -> Counter {
    let help = "Sessions ended, by whom; expiry is the store's.";
    registry.counter("ostler_session_ended_total", help, &[("by", by)])
}

fn calls(registry: &Registry, step: &'static str) -> Counter {
    let help = "Calls with a stream, by what became of them.";
    registry.counter("ostler_session_calls_total", help, &[("step", step)])
}

fn resumes(registry: &Registry, outcome: &'static str) -> Counter {
    let help = "Attempts to resume a stream, by outcome.";
    registry.counter(
        "ostler_session_resumes_total",
        help,
        &[("outcome", outcome)],
    )
}

fn answers(registry: &Registry, fate: &'static str) -> Counter {
    let help = "Answers of clients that no worker got, by why.";
    registry.counter(
        "ostler_session_answers_rejected_total",
        help,
        &[("fate", fate)],
    )
}

fn questions(registry: &Registry, fate: &'static str) -> Counter {
    let help = "Questions of workers to clients, by fate.";
    registry.counter("ostler_session_questions_total", help, &[("fate", fate)])
}
