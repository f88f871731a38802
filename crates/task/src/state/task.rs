//! Tasks: what a client does by handle.

use std::{collections::BTreeMap, time::Duration};

use ostler_protocol::{
    Raw, ask,
    task::{TaskState as Standing, TaskStatus, legacy},
};
use ostler_types::Timestamp;

use super::{
    Asked, Effects, Ended, Ending, Phase, Reply, Resume, TaskPart, TaskState, Ticket, View,
    round::bad_answer,
};
use crate::{config::Config, error::TaskError};

impl TaskState {
    // Followed => Task: the handle is given out; from here on a closed request means nothing
    // [TK-13].
    pub(super) fn become_task(
        &mut self,
        config: &Config,
        now: Timestamp,
        followers: Vec<Ticket>,
        fx: &mut Effects,
    ) {
        let ttl = self.ttl(config);
        let used = self.questions.iter().map(|asked| asked.shown.clone());
        self.phase = Phase::Task(TaskPart {
            created_at: now,
            ttl,
            message: None,
            used: used.collect(),
        });
        self.stored = true;
        self.updated_at = now;
        self.deadline = now + ttl;
        fx.save();
        for ticket in followers {
            self.reply_view(ticket, fx);
        }
    }

    /// What the client asked for is kept to, from one look to the next up to our own bound
    /// [TK-7].
    fn ttl(&self, config: &Config) -> Duration {
        let longest = self.facts.timeout.unwrap_or_default() + config.result_keep;
        let ttl = match self.requested_ttl() {
            Some(ttl) => ttl.max(config.poll_interval),
            None => config.task_ttl.max(longest),
        };
        ttl.min(config.task_ttl_max)
    }

    fn requested_ttl(&self) -> Option<Duration> {
        self.facts.request.as_ref().and_then(|request| request.ttl)
    }

    // Followed => Task: what the client asked for, it gets. A call that is over already was a
    // task for no time.
    pub(super) fn become_requested_task(
        &mut self,
        config: &Config,
        now: Timestamp,
        fx: &mut Effects,
    ) {
        if let (Phase::Followed(followers), Some(_)) = (&mut self.phase, &self.facts.request) {
            let followers = std::mem::take(followers);
            self.become_task(config, now, followers, fx);
        }
    }

    /// A call that was parked continues as a task: its handle, to a client that can use it.
    pub(super) fn show_task(&mut self, resume: &Resume, fx: &mut Effects) {
        match resume.facet.tasks {
            true => self.reply_view(resume.ticket, fx),
            false => fx.refuse(resume.ticket, TaskError::NeedsTasks),
        }
    }

    pub(super) fn on_get(&mut self, ticket: Ticket, fx: &mut Effects) {
        self.reply_view(ticket, fx);
    }

    fn reply_view(&self, ticket: Ticket, fx: &mut Effects) {
        match self.view() {
            Some(view) => fx.reply(ticket, Reply::Task(view)),
            None => fx.refuse(ticket, TaskError::Unknown),
        }
    }

    /// Each fitting answer is taken, each that does not fit leaves its question open and is
    /// named to the client. Unknown and answered keys are ignored, whatever they carry [TK-6].
    pub(super) fn on_update(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        mut answers: BTreeMap<String, Raw>,
        fx: &mut Effects,
    ) {
        match self.phase {
            Phase::Task(_) => {}
            Phase::Ended(Ended { task: Some(_), .. }) => {
                return fx.reply(ticket, Reply::Acknowledged);
            }
            Phase::Parked | Phase::Followed(_) | Phase::Ended(_) | Phase::Gone => {
                return fx.refuse(ticket, TaskError::Unknown);
            }
        }
        let bad = take_bad(&self.questions, &mut answers);
        let taken = self.take_answers(answers);
        if !taken.is_empty() {
            self.updated_at = now;
            fx.feed(taken);
            fx.save();
            fx.publish(self);
        }
        match bad {
            Some(error) => fx.refuse(ticket, error),
            None => fx.reply(ticket, Reply::Acknowledged),
        }
    }

    /// Cooperative: the worker is told, and the task ends when it does or when its time is up.
    // Task stays; Ended stays [TK-8].
    pub(super) fn on_cancel(
        &mut self,
        config: &Config,
        now: Timestamp,
        ticket: Ticket,
        fx: &mut Effects,
    ) {
        match self.phase {
            Phase::Task(_) if self.cancel_by.is_none() => {
                self.cancel_call(config, now, fx);
                self.questions.clear();
                self.updated_at = now;
                fx.save();
                fx.reply(ticket, Reply::Acknowledged);
            }
            Phase::Task(_) | Phase::Ended(Ended { task: Some(_), .. }) => {
                fx.reply(ticket, Reply::Acknowledged);
            }
            Phase::Parked | Phase::Followed(_) | Phase::Ended(_) | Phase::Gone => {
                fx.refuse(ticket, TaskError::Unknown);
            }
        }
    }

    // Task => Ended: whatever the worker still does [TK-8].
    // Ended stays, and says so.
    pub(super) fn on_cancel_now(
        &mut self,
        config: &Config,
        now: Timestamp,
        ticket: Ticket,
        fx: &mut Effects,
    ) {
        match self.phase {
            Phase::Task(_) => {
                self.cancel_call(config, now, fx);
                self.end(config, now, Ending::Cancelled, fx);
                self.reply_view(ticket, fx);
            }
            Phase::Ended(Ended { task: Some(_), .. }) => {
                let status = self.view().map(|view| legacy::status_of(&view.standing));
                let status = status.unwrap_or(TaskStatus::Cancelled);
                fx.refuse(ticket, TaskError::Ended(status));
            }
            Phase::Parked | Phase::Followed(_) | Phase::Ended(_) | Phase::Gone => {
                fx.refuse(ticket, TaskError::Unknown);
            }
        }
    }

    /// A result is kept a while after its end, though the task's own time is over; unless its
    /// client said how long that is.
    pub(super) fn keep_result(&mut self, config: &Config, now: Timestamp) {
        if self.requested_ttl().is_some() {
            return;
        }
        let Phase::Ended(Ended {
            task: Some(part), ..
        }) = &mut self.phase
        else {
            return;
        };
        self.deadline = self.deadline.max(now + config.result_keep);
        part.ttl = self.deadline.since(part.created_at);
    }

    /// How the task stands; `None` when it is none.
    pub fn view(&self) -> Option<View> {
        let (part, standing) = match &self.phase {
            Phase::Task(part) if self.questions.is_empty() => (part, Standing::Working),
            Phase::Task(part) => {
                let questions = self.questions.iter().map(Asked::to_show);
                (part, Standing::InputRequired(questions.collect()))
            }
            Phase::Ended(Ended {
                task: Some(part),
                ending,
            }) => (part, ended_standing(ending)),
            Phase::Parked | Phase::Followed(_) | Phase::Ended(_) | Phase::Gone => return None,
        };
        Some(View {
            standing,
            message: part.message.clone(),
            created_at: part.created_at,
            updated_at: self.updated_at,
            ttl: part.ttl,
        })
    }
}

fn ended_standing(ending: &Ending) -> Standing {
    match ending {
        Ending::Outcome(Ok(result)) => Standing::Completed(result.clone()),
        Ending::Outcome(Err(failure)) => Standing::Failed(failure.clone()),
        Ending::Cancelled | Ending::Abandoned => Standing::Cancelled,
    }
}

/// Removes the answers that do not fit their questions; the first names itself.
fn take_bad(questions: &[Asked], answers: &mut BTreeMap<String, Raw>) -> Option<TaskError> {
    let mut first = None;
    for asked in questions {
        let Some(value) = answers.get(&asked.shown) else {
            continue;
        };
        if let Err(reason) = ask::check_answer(&asked.question, value) {
            answers.remove(&asked.shown);
            first.get_or_insert_with(|| bad_answer(&asked.shown, &reason));
        }
    }
    first
}
