//! Requests that wait for the result of a task, and are asked meanwhile: `tasks/result` of
//! 2025-11-25. Each open question is shown on one of them: the newest whose client can be asked it.

use std::collections::BTreeMap;

use ostler_dispatch::FollowedBy;
use ostler_protocol::{
    ask,
    call::{Answer, CallEvent, Outcome, Question},
};
use ostler_types::Timestamp;

use super::{Asked, Effects, Ended, FailedAnswer, Phase, TaskState, Ticket};
use crate::{config::Config, error::TaskError};

/// Those who wait, and what they are shown. Not stored: who waits comes back.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Waiters {
    /// The newest request last, however often it came back meanwhile.
    all: Vec<(FollowedBy, Ticket)>,
    /// Where each question is shown, by the key it is shown under.
    shown: BTreeMap<String, Ticket>,
}

impl Waiters {
    /// Adds one. The oldest gives way where there are too many: its client asked anew, or is gone.
    fn add(&mut self, config: &Config, by: FollowedBy, ticket: Ticket) -> Option<Ticket> {
        self.all.push((by, ticket));
        self.all.sort_by_key(|(by, ticket)| (by.since, *ticket));
        let too_many = self.all.len() > config.waiters_max;
        too_many.then(|| self.all.remove(0).1)
    }

    fn newest_for(&self, question: &Question) -> Option<Ticket> {
        let can_be_asked =
            |(by, _): &&(FollowedBy, Ticket)| ask::gate(by.revision, &by.facet, question).is_ok();
        let newest = self.all.iter().rev().find(can_be_asked);
        newest.map(|(_, ticket)| *ticket)
    }

    fn is_there(&self, ticket: Ticket) -> bool {
        self.all.iter().any(|(_, there)| *there == ticket)
    }
}

impl TaskState {
    pub(super) fn on_wait(
        &mut self,
        config: &Config,
        ticket: Ticket,
        by: FollowedBy,
        fx: &mut Effects,
    ) {
        match &self.phase {
            Phase::Task(_) => {
                if let Some(oldest) = self.waiters.add(config, by, ticket) {
                    fx.refuse(oldest, TaskError::Overloaded);
                }
            }
            Phase::Ended(Ended {
                task: Some(_),
                ending,
            }) => fx.tell(ticket, CallEvent::Outcome(ending.to_outcome())),
            Phase::Parked | Phase::Followed(_) | Phase::Ended(_) | Phase::Gone => {
                fx.refuse(ticket, TaskError::Unknown);
            }
        }
    }

    pub(super) fn on_waiter_left(&mut self, ticket: Ticket) {
        self.waiters.all.retain(|(_, waiter)| *waiter != ticket);
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
        let mut closed = Vec::new();
        for answer in answers {
            // Where the answer is from, its question is closed already.
            if self.waiters.shown.get(&answer.key) == Some(&ticket) {
                self.waiters.shown.remove(&answer.key);
            }
            closed.extend(self.close(&answer));
        }
        if closed.is_empty() {
            return;
        }
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
        self.failed
            .retain(|failed| failed.key != key || failed.question != digest);
        let value = answer.value.clone();
        match value.clone() {
            Ok(value) => self.known.push(key.clone(), Some(digest), value, true),
            Err(failure) => self.failed.push(FailedAnswer {
                key: key.clone(),
                question: digest,
                failure,
            }),
        }
        Some(Answer { key, value })
    }

    /// Shows each question where it belongs now, and takes it back from where it was.
    pub(super) fn show_waiters(&mut self, fx: &mut Effects) {
        let waiters = &self.waiters;
        let place = |asked: &Asked| {
            let ticket = waiters.newest_for(&asked.question)?;
            Some((asked.shown.clone(), ticket))
        };
        let shown: BTreeMap<_, _> = self.questions.iter().filter_map(place).collect();
        let before = std::mem::replace(&mut self.waiters.shown, shown);
        self.take_back(&before, fx);
        let mut new = BTreeMap::<_, Vec<_>>::new();
        for asked in &self.questions {
            let at = self.waiters.shown.get(&asked.shown);
            if let Some(ticket) = at.filter(|_| at != before.get(&asked.shown)) {
                new.entry(*ticket).or_default().push(asked.to_show());
            }
        }
        for (ticket, questions) in new {
            fx.tell(ticket, CallEvent::Ask(questions));
        }
    }

    fn take_back(&self, before: &BTreeMap<String, Ticket>, fx: &mut Effects) {
        let mut old = BTreeMap::<_, Vec<_>>::new();
        for (key, ticket) in before {
            if self.waiters.shown.get(key) != Some(ticket) && self.waiters.is_there(*ticket) {
                old.entry(*ticket).or_default().push(key.clone());
            }
        }
        for (ticket, keys) in old {
            fx.tell(ticket, CallEvent::Withdrawn(keys));
        }
    }

    /// Whoever sent its user to the page knows which it is. A modern client is told by the result,
    /// and has nobody who waits [SP-5].
    pub(super) fn tell_visited(&self, key: &str, fx: &mut Effects) {
        let key = self.shown_as(key);
        for (_, ticket) in &self.waiters.all {
            let key = key.to_owned();
            fx.tell(*ticket, CallEvent::Visited { key });
        }
    }

    pub(super) fn tell_waiters_the_end(&mut self, outcome: &Outcome, fx: &mut Effects) {
        for (_, ticket) in std::mem::take(&mut self.waiters).all {
            fx.tell(ticket, CallEvent::Outcome(outcome.clone()));
        }
    }
}
