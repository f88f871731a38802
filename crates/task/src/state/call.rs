//! What comes from the worker's side.

use ostler_hub::Placement;
use ostler_protocol::call::{Answer, CallEvent, Executed, Failure, Outcome, Progress, Question};
use ostler_types::Timestamp;

use super::{Chatter, Effects, Ending, Phase, TaskState};
use crate::{config::Config, known::split};

/// A status message of a worker, in bytes. It is shown at every look at the task.
const MESSAGE_BYTES_MAX: usize = 1 << 10;

impl TaskState {
    pub(super) fn on_event(
        &mut self,
        config: &Config,
        now: Timestamp,
        event: CallEvent,
        fx: &mut Effects,
    ) {
        match event {
            CallEvent::Started => {}
            CallEvent::Kept => self.kept = true,
            CallEvent::Progress(progress) => self.on_progress(progress, fx),
            CallEvent::Log(log) => self.chatter(Chatter::Log(log), fx),
            CallEvent::Ask(questions) => self.on_ask(config, now, questions, fx),
            CallEvent::Visited { key } => self.tell_visited(&key, fx),
            // Never of a worker.
            CallEvent::Withdrawn(_) => {}
            CallEvent::BecomeTask => self.wants_task = true,
            CallEvent::Outcome(outcome) => self.on_outcome(config, now, outcome, fx),
        }
    }

    /// To a modern client nothing is said of a task on its way [P-8].
    fn chatter(&mut self, chatter: Chatter, fx: &mut Effects) {
        match self.phase {
            Phase::Followed(_) => fx.chatter(chatter),
            Phase::Task(_) if self.facts.request.is_some() => fx.chatter(chatter),
            Phase::Parked | Phase::Task(_) | Phase::Ended(_) | Phase::Gone => {}
        }
    }

    /// A task shows its last progress as its message.
    fn on_progress(&mut self, progress: Progress, fx: &mut Effects) {
        if let Phase::Task(part) = &mut self.phase {
            part.message = Some(status_message(&progress));
        }
        self.chatter(Chatter::Progress(progress), fx);
    }

    fn on_ask(
        &mut self,
        config: &Config,
        now: Timestamp,
        questions: Vec<Question>,
        fx: &mut Effects,
    ) {
        if !self.is_unfinished() || self.cancel_by.is_some() {
            return;
        }
        let questions = match std::mem::take(&mut self.retold) {
            true => self.answer_again(questions, fx),
            false => {
                self.asks += 1;
                questions
            }
        };
        if self.asks > config.rounds_max && !matches!(self.phase, Phase::Task(_)) {
            return self.give_up(config, now, fx);
        }
        // A worker that asks on has heard what it was told.
        self.known.trim(config.request_state_bytes_max);
        let mut split = split(self.facts.revision, &self.facet, questions, &mut self.known);
        let before = self.questions.len();
        for question in split.ask {
            if self.is_open(&question) {
                continue;
            }
            match self.no_room(config) {
                Some(failure) => split.answers.push(Answer {
                    key: question.key,
                    value: Err(failure),
                }),
                None => self.open(question),
            }
        }
        fx.feed(split.answers);
        if self.stored {
            fx.save();
        }
        if self.questions.len() > before && matches!(self.phase, Phase::Task(_)) {
            self.updated_at = now;
            fx.publish(self);
        }
    }

    /// A call that never stops asking is ended [MR-11].
    fn give_up(&mut self, config: &Config, now: Timestamp, fx: &mut Effects) {
        let reason = "the call asked more rounds of questions than it may".to_owned();
        self.cancel_call(config, now, fx);
        self.end(
            config,
            now,
            Ending::Outcome(Err(Failure::Internal(reason))),
            fx,
        );
    }

    fn on_outcome(&mut self, config: &Config, now: Timestamp, outcome: Outcome, fx: &mut Effects) {
        // A worker that was told to stop and did so has no result; one that was faster has.
        let ending = match (&self.phase, self.cancel_by, &outcome) {
            (Phase::Task(_), Some(_), Err(_)) => Ending::Cancelled,
            _ => Ending::Outcome(outcome),
        };
        self.cancel_by = None;
        self.end(config, now, ending, fx);
        fx.recorded();
    }

    /// What was answered before is known, and open questions will be asked again under their
    /// keys. What the client holds stays good.
    pub(super) fn on_resent(&mut self, place: Placement, fx: &mut Effects) {
        self.kept = false;
        self.known = self.known.rewound();
        self.place = Some(place);
        if self.stored && self.is_unfinished() {
            fx.save();
        }
    }

    /// The call was found. It says again what it waits for; an answer that it did not hear is
    /// among that.
    pub(super) fn on_attached(&mut self, fx: &mut Effects) {
        self.missing_until = None;
        self.retold = true;
        if self.cancel_by.is_some() {
            fx.cancel_call();
        }
    }

    /// Answers what was answered before the restart; returns the other questions.
    fn answer_again(&mut self, questions: Vec<Question>, fx: &mut Effects) -> Vec<Question> {
        let mut answers = Vec::new();
        let mut rest = Vec::new();
        for question in questions {
            match self.settled(&question) {
                Some(value) => answers.push(Answer {
                    key: question.key,
                    value,
                }),
                None => rest.push(question),
            }
        }
        fx.feed(answers);
        rest
    }

    /// What was found again ends by itself, as does what has been told to stop.
    pub(super) fn on_replaced(&mut self, config: &Config, now: Timestamp, fx: &mut Effects) {
        if self.missing_until.is_some() {
            self.on_lost(config, now, fx);
        }
    }

    /// Nobody will name the call any more.
    pub(super) fn on_lost(&mut self, config: &Config, now: Timestamp, fx: &mut Effects) {
        self.missing_until = None;
        let executed = Executed::Unknown;
        let lost = Failure::WorkerLost { executed };
        let cancelled = matches!(self.phase, Phase::Task(_)) && self.cancel_by.is_some();
        self.cancel_by = None;
        let ending = match cancelled {
            true => Ending::Cancelled,
            false => Ending::Outcome(Err(lost)),
        };
        self.end(config, now, ending, fx);
    }
}

/// What the worker said, or the figures in its place.
fn status_message(progress: &Progress) -> String {
    let Some(message) = &progress.message else {
        return match progress.total {
            Some(total) => format!("{} of {total}", progress.progress),
            None => progress.progress.to_string(),
        };
    };
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}
