//! Rounds of a parked call: requests that come back with a `requestState`, follow the call, and
//! end with its next step.

use std::collections::BTreeMap;

use ostler_protocol::{
    Raw, ask,
    call::{Answer, Failure},
};
use ostler_types::Timestamp;

use super::{Asked, Asking, Effects, Ended, Ending, Phase, Reply, Resume, TaskState, Ticket};
use crate::{config::Config, error::TaskError};

impl TaskState {
    // Parked => Followed: the answers of the current round are fed, once.
    // Parked stays: questions are left [MR-7], or the token is of a past round.
    // Followed stays, with one more follower: the token is of a past round.
    pub(super) fn on_resume(
        &mut self,
        config: &Config,
        now: Timestamp,
        resume: Resume,
        fx: &mut Effects,
    ) {
        let ticket = resume.ticket;
        if resume.round > self.round {
            return fx.refuse(ticket, TaskError::State);
        }
        match &mut self.phase {
            Phase::Parked if resume.round == self.round => self.answer(config, now, resume, fx),
            Phase::Parked => self.reask(ticket, resume, fx),
            Phase::Followed(followers) if followers.len() < config.followers_max => {
                followers.push(ticket);
                fx.reply(ticket, Reply::Following);
            }
            Phase::Followed(_) => fx.refuse(ticket, TaskError::Overloaded),
            Phase::Task(_) => self.show_task(&resume, fx),
            Phase::Ended(Ended { task: Some(_), .. }) => self.show_task(&resume, fx),
            Phase::Ended(Ended { task: None, ending }) => {
                let ending = ending.clone();
                fx.reply(ticket, self.end_reply(&ending));
            }
            Phase::Gone => fx.refuse(ticket, TaskError::State),
        }
    }

    /// The current round is answered. One bad answer refuses all, and nothing has happened.
    fn answer(&mut self, config: &Config, now: Timestamp, resume: Resume, fx: &mut Effects) {
        if let Err(error) = check_answers(&self.questions, &resume.answers) {
            return fx.refuse(resume.ticket, error);
        }
        self.facet = resume.facet;
        let mut answers = self.withdraw_unsupported();
        answers.extend(self.take_answers(resume.answers));
        let progressed = !answers.is_empty();
        fx.feed(answers);
        self.phase = Phase::Followed(vec![resume.ticket]);
        if self.questions.is_empty() {
            self.deadline = now + config.park_timeout;
            fx.reply(resume.ticket, Reply::Following);
            fx.save();
        } else if !progressed {
            // Nothing new: the same round again, with no more time than it had.
            self.phase = Phase::Parked;
            fx.reply(resume.ticket, Reply::Asking(self.asking()));
        }
        // Otherwise `settle` shows what is left as a new round.
    }

    /// A past round: its answers were fed already, so only the present questions count.
    fn reask(&mut self, ticket: Ticket, resume: Resume, fx: &mut Effects) {
        self.facet = resume.facet;
        let withdrawn = self.withdraw_unsupported();
        if !withdrawn.is_empty() {
            fx.feed(withdrawn);
            fx.save();
        }
        if self.questions.is_empty() {
            self.phase = Phase::Followed(vec![ticket]);
            fx.reply(ticket, Reply::Following);
        } else {
            fx.reply(ticket, Reply::Asking(self.asking()));
        }
    }

    /// Closes the questions that are answered. Other keys mean nothing and are ignored.
    pub(super) fn take_answers(&mut self, mut values: BTreeMap<String, Raw>) -> Vec<Answer> {
        let mut answers = Vec::new();
        let known = &mut self.known;
        self.questions.retain(|asked| {
            let Some(value) = values.remove(&asked.shown) else {
                return true;
            };
            let key = asked.question.key.clone();
            known.push(key.clone(), Some(asked.digest()), value.clone(), true);
            answers.push(Answer {
                key,
                value: Ok(value),
            });
            false
        });
        answers
    }

    pub(super) fn on_wants_task(&mut self, ticket: Ticket) {
        match &self.phase {
            Phase::Followed(followers) if followers.contains(&ticket) => self.wants_task = true,
            Phase::Followed(_) => {}
            Phase::Parked | Phase::Task(_) | Phase::Ended(_) | Phase::Gone => {}
        }
    }

    // Followed => Ended: nobody waits any more, and a closed request means cancel.
    // Followed stays: the client asked for a task, in a dialect where a closed request means
    // nothing [CAN-2] [TK-13]. It will be one, for as long as it is kept.
    pub(super) fn on_left(
        &mut self,
        config: &Config,
        now: Timestamp,
        ticket: Ticket,
        fx: &mut Effects,
    ) {
        let Phase::Followed(followers) = &mut self.phase else {
            return;
        };
        followers.retain(|follower| *follower != ticket);
        if followers.is_empty() && self.facts.request.is_none() {
            self.cancel_call(config, now, fx);
            self.end(config, now, Ending::Abandoned, fx);
        }
    }

    // Followed => Parked: the call goes on; the client may come back with the token it has.
    pub(super) fn on_unfollowed(&mut self, ticket: Ticket) {
        let Phase::Followed(followers) = &mut self.phase else {
            return;
        };
        followers.retain(|follower| *follower != ticket);
        if followers.is_empty() {
            self.phase = Phase::Parked;
        }
    }

    /// Gives followers the next step, if there is one and it would survive this node.
    // Followed => Task: before questions, so that they become inputs of the task.
    // Followed => Parked: a new round.
    pub(super) fn settle(&mut self, config: &Config, now: Timestamp, fx: &mut Effects) {
        let Phase::Followed(followers) = &mut self.phase else {
            return;
        };
        if !self.kept {
            return;
        }
        let can_be_task = self.facts.task_support && self.facet.tasks;
        let requested = self.facts.request.is_some();
        if requested || self.wants_task && can_be_task {
            let followers = std::mem::take(followers);
            self.become_task(config, now, followers, fx);
        } else if !self.questions.is_empty() {
            let followers = std::mem::take(followers);
            self.show_round(config, now, followers, fx);
        }
    }

    fn show_round(
        &mut self,
        config: &Config,
        now: Timestamp,
        followers: Vec<Ticket>,
        fx: &mut Effects,
    ) {
        self.phase = Phase::Parked;
        self.round += 1;
        self.stored = true;
        self.updated_at = now;
        self.deadline = now + config.park_timeout;
        fx.save();
        for ticket in followers {
            fx.reply(ticket, Reply::Asking(self.asking()));
        }
    }

    fn asking(&self) -> Asking {
        Asking {
            round: self.round,
            questions: self.questions.clone(),
            expires_at: self.deadline,
        }
    }

    /// What a request gets that comes for a call which has ended.
    pub(super) fn end_reply(&self, ending: &Ending) -> Reply {
        let again = self.stored && self.facts.replay_safe && self.known.complete;
        match ending {
            Ending::Outcome(Err(Failure::WorkerLost { .. })) | Ending::Abandoned if again => {
                Reply::Rerun(self.known.rewound())
            }
            Ending::Outcome(outcome) => Reply::Outcome(outcome.clone()),
            Ending::Cancelled | Ending::Abandoned => Reply::Outcome(Err(Failure::Cancelled)),
        }
    }
}

/// Every answer to an open question must fit it [MR-12]; all others may be anything.
fn check_answers(questions: &[Asked], answers: &BTreeMap<String, Raw>) -> Result<(), TaskError> {
    for asked in questions {
        let Some(value) = answers.get(&asked.shown) else {
            continue;
        };
        ask::check_answer(&asked.question, value)
            .map_err(|reason| bad_answer(&asked.shown, &reason))?;
    }
    Ok(())
}

pub(super) fn bad_answer(key: &str, reason: &str) -> TaskError {
    TaskError::BadAnswer(format!("inputResponses.{key}: {reason}"))
}
