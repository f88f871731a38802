//! Requests that wait for the result of a task, and are asked meanwhile: `tasks/result` of
//! 2025-11-25. Each open question is shown on one of them, the one that came last.

use ostler_protocol::call::{Answer, CallEvent, Outcome};
use ostler_types::Timestamp;

use super::{Asked, Effects, Ended, Phase, TaskState, Ticket};
use crate::{config::Config, error::TaskError};

impl TaskState {
    pub(super) fn on_wait(&mut self, config: &Config, ticket: Ticket, fx: &mut Effects) {
        match &self.phase {
            Phase::Task(_) if self.waiters.len() < config.waiters_max => {
                self.withdraw_all(fx);
                self.waiters.push(ticket);
                self.show_waiter(0, fx);
            }
            Phase::Task(_) => fx.refuse(ticket, TaskError::Overloaded),
            Phase::Ended(Ended {
                task: Some(_),
                ending,
            }) => fx.tell(ticket, CallEvent::Outcome(ending.to_outcome())),
            Phase::Parked | Phase::Followed(_) | Phase::Ended(_) | Phase::Gone => {
                fx.refuse(ticket, TaskError::Unknown);
            }
        }
    }

    /// What was shown on a request that is gone is shown on the one before it.
    pub(super) fn on_waiter_left(&mut self, ticket: Ticket, fx: &mut Effects) {
        let was_asked = self.waiters.last() == Some(&ticket);
        self.waiters.retain(|waiter| *waiter != ticket);
        if was_asked {
            self.show_waiter(0, fx);
        }
    }

    /// Each answer closes its question once, whether it is one or a failure to answer [S2C-5].
    /// They were checked where they came in. What is not open is ignored.
    pub(super) fn on_answers(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        answers: Vec<Answer>,
        fx: &mut Effects,
    ) {
        let mut keys = Vec::new();
        let mut closed = Vec::new();
        for answer in answers {
            closed.extend(self.close(&answer));
            keys.push(answer.key);
        }
        if closed.is_empty() {
            return;
        }
        self.withdraw(keys, Some(ticket), fx);
        self.updated_at = now;
        fx.feed(closed);
        fx.save();
        fx.publish(self);
    }

    /// The answer as the worker knows its question.
    fn close(&mut self, answer: &Answer) -> Option<Answer> {
        let open = |asked: &Asked| asked.shown == answer.key;
        let at = self.questions.iter().position(open)?;
        let asked = self.questions.remove(at);
        let (key, digest) = (asked.question.key.clone(), asked.digest());
        if let Ok(value) = &answer.value {
            let value = value.clone();
            self.known.push(key.clone(), Some(digest), value, true);
        }
        let value = answer.value.clone();
        Some(Answer { key, value })
    }

    /// Shows the questions from this one on, if somebody waits.
    pub(super) fn show_waiter(&self, first: usize, fx: &mut Effects) {
        let questions = &self.questions[first..];
        if let (Some(ticket), false) = (self.waiters.last(), questions.is_empty()) {
            let questions = questions.iter().map(Asked::to_show).collect();
            fx.tell(*ticket, CallEvent::Ask(questions));
        }
    }

    /// Takes questions back from whom they are shown to, unless that is where the answer is from.
    pub(super) fn withdraw(&self, keys: Vec<String>, answerer: Option<Ticket>, fx: &mut Effects) {
        let asked = self.waiters.last().copied();
        if let Some(ticket) = asked.filter(|_| asked != answerer && !keys.is_empty()) {
            fx.tell(ticket, CallEvent::Withdrawn(keys));
        }
    }

    /// Whoever sent its user to the page knows which it is. A modern client is told by the result,
    /// and has nobody who waits [SP-5].
    pub(super) fn tell_visited(&self, key: &str, fx: &mut Effects) {
        for ticket in &self.waiters {
            let key = key.to_owned();
            fx.tell(*ticket, CallEvent::Visited { key });
        }
    }

    pub(super) fn withdraw_all(&self, fx: &mut Effects) {
        let keys = self.questions.iter().map(|asked| asked.shown.clone());
        self.withdraw(keys.collect(), None, fx);
    }

    pub(super) fn tell_waiters_the_end(&mut self, outcome: Outcome, fx: &mut Effects) {
        for ticket in std::mem::take(&mut self.waiters) {
            fx.tell(ticket, CallEvent::Outcome(outcome.clone()));
        }
    }
}
