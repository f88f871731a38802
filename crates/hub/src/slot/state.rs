//! What is behind a slot's lock.

use std::{collections::VecDeque, task::Waker};

use ostler_protocol::call::{Answer, AnswerFailure, CallEvent, Question};
use ostler_types::Instant;
use parking_lot::MutexGuard;

use super::{Origin, Position, UnownedBytes};
use crate::{
    attempt::AttemptEnd,
    config::Config,
    machine::{Ended, Unowned},
};

/// Answers of one call that its worker has not taken in yet, in bytes.
pub(super) const ANSWERS_BYTES_MAX: usize = 16 << 20;

pub(super) struct State {
    pub events: VecDeque<CallEvent>,
    pub chatter_len: usize,
    pub chatter_bytes: usize,
    pub end: Option<AttemptEnd>,
    pub ended: Option<Ended>,
    /// The owner has taken the end.
    pub end_taken: bool,
    pub waker: Option<Waker>,
    /// The `Call` frame has left for the transport.
    pub handed: bool,
    pub started: bool,
    pub became_task: bool,
    pub keep: Keep,
    pub cancel: Option<CancelOrder>,
    /// Questions that nobody has answered yet.
    pub open: Vec<Question>,
    pub answers: VecDeque<GivenAnswer>,
    pub answers_given: u64,
    pub deadline: Instant,
    pub owned: bool,
    pub unowned: Option<Unowned>,
    /// What it adds to the [`UnownedBytes`] of its worker.
    pub counted_unowned_bytes: usize,
    /// It takes one place of the worker's capacity.
    pub takes_room: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    No,
    Asked,
    Kept,
}

pub(super) struct CancelOrder {
    pub reason: String,
    pub at: Instant,
}

/// An answer that the worker may not have taken in yet.
pub(super) struct GivenAnswer {
    pub number: u64,
    pub answer: Answer,
    /// On which link, and where in its stream, it left.
    pub left: Option<Position>,
}

impl State {
    pub fn new(origin: Origin) -> State {
        let (started, deadline, unowned) = match origin {
            Origin::Started { deadline } => (true, deadline, None),
            Origin::Named { at } => {
                let (since, offered) = (at, false);
                (false, Instant(u64::MAX), Some(Unowned { since, offered }))
            }
        };
        State {
            events: VecDeque::new(),
            chatter_len: 0,
            chatter_bytes: 0,
            end: None,
            ended: None,
            end_taken: false,
            waker: None,
            handed: !started,
            started: false,
            became_task: false,
            keep: if started { Keep::No } else { Keep::Kept },
            cancel: None,
            open: Vec::new(),
            answers: VecDeque::new(),
            answers_given: 0,
            deadline,
            owned: started,
            unowned,
            counted_unowned_bytes: 0,
            takes_room: true,
        }
    }

    pub fn is_kept(&self) -> bool {
        self.keep != Keep::No
    }

    /// For the owner. Without one it is dropped: a new owner is told all that matters again.
    pub fn push(&mut self, event: CallEvent) {
        if self.ended.is_none() && self.owned {
            self.events.push_back(event);
        }
    }

    pub fn forget_events(&mut self) {
        self.events = VecDeque::new();
        (self.chatter_len, self.chatter_bytes) = (0, 0);
    }

    pub fn pop(&mut self) -> Option<CallEvent> {
        let event = self.events.pop_front()?;
        if is_chatter(&event) {
            self.chatter_len -= 1;
            self.chatter_bytes -= chatter_bytes(&event);
        }
        Some(event)
    }

    /// Brings the count of the worker in line with what is held here.
    pub fn count_unowned(&mut self, all: &UnownedBytes) {
        let bytes = match self.owned {
            true => 0,
            false => self.held_bytes(),
        };
        let counted = std::mem::replace(&mut self.counted_unowned_bytes, bytes);
        if counted != bytes {
            all.change(counted, bytes);
        }
    }

    /// What a new owner would be told again.
    fn held_bytes(&self) -> usize {
        let outcome = match &self.end {
            Some(AttemptEnd::Outcome(Ok(result))) => result.bytes().len(),
            Some(AttemptEnd::Outcome(Err(failure))) => failure.bytes(),
            Some(
                AttemptEnd::Refused(_)
                | AttemptEnd::NotHanded
                | AttemptEnd::NotNamed
                | AttemptEnd::Lost,
            )
            | None => 0,
        };
        let open = self.open.iter().map(question_bytes);
        outcome + open.sum::<usize>()
    }

    /// Drops the oldest chatter beyond the bound; never anything else.
    pub fn trim(&mut self, config: &Config) -> usize {
        let mut dropped = 0;
        while self.chatter_len > config.chatter_len_max
            || self.chatter_bytes > config.chatter_bytes_max
        {
            let Some(oldest) = self.events.iter().position(is_chatter) else {
                break;
            };
            if let Some(event) = self.events.remove(oldest) {
                self.chatter_len -= 1;
                self.chatter_bytes -= chatter_bytes(&event);
                dropped += 1;
            }
        }
        dropped
    }

    /// Open, or answered with an answer that is still on its way.
    pub fn knows(&self, question: &Question) -> bool {
        let given = |given: &GivenAnswer| given.answer.key == question.key;
        self.open.contains(question) || self.answers.iter().any(given)
    }

    /// Numbers answers and keeps them until they are taken in. Of those beyond the bound the
    /// worker only hears that they did not fit.
    pub fn book(&mut self, answers: Vec<Answer>) -> Vec<(Answer, u64)> {
        let waiting = self.answers.iter().map(|given| answer_bytes(&given.answer));
        let mut bytes: usize = waiting.sum();
        let mut book = |mut answer: Answer| {
            if bytes + answer_bytes(&answer) > ANSWERS_BYTES_MAX {
                answer.value = Err(AnswerFailure::Invalid);
            }
            bytes += answer_bytes(&answer);
            self.answers_given += 1;
            let (number, left) = (self.answers_given, None);
            self.answers.push_back(GivenAnswer {
                number,
                answer: answer.clone(),
                left,
            });
            (answer, number)
        };
        answers.into_iter().map(&mut book).collect()
    }

    pub fn forget_taken(&mut self, taken: Position) {
        let arrived = |left: &Position| left.link == taken.link && left.bytes <= taken.bytes;
        self.answers
            .retain(|given| !given.left.is_some_and(|left| arrived(&left)));
    }

    pub fn tell_again(&mut self) {
        self.forget_events();
        let flags = [
            (self.started, CallEvent::Started),
            (self.keep == Keep::Kept, CallEvent::Kept),
            (self.became_task, CallEvent::BecomeTask),
        ];
        let told = flags
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, event)| event);
        self.events.extend(told);
        if !self.open.is_empty() {
            self.events.push_back(CallEvent::Ask(self.open.clone()));
        }
    }
}

/// Wakes the owner after the lock is gone, so that it does not run into it.
pub(super) fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn is_chatter(event: &CallEvent) -> bool {
    matches!(
        event,
        CallEvent::Progress(_) | CallEvent::Log(_) | CallEvent::Visited { .. }
    )
}

pub(super) fn chatter_bytes(event: &CallEvent) -> usize {
    match event {
        CallEvent::Progress(progress) => 64 + progress.message.as_ref().map_or(0, String::len),
        CallEvent::Log(log) => {
            64 + log.data.bytes().len() + log.logger.as_ref().map_or(0, String::len)
        }
        CallEvent::Visited { key } => 64 + key.len(),
        CallEvent::Started
        | CallEvent::Kept
        | CallEvent::Ask(_)
        | CallEvent::Withdrawn(_)
        | CallEvent::BecomeTask
        | CallEvent::Outcome(_) => 0,
    }
}

fn answer_bytes(answer: &Answer) -> usize {
    let value = answer.value.as_ref().map_or(0, |value| value.bytes().len());
    64 + answer.key.len() + value
}

pub(super) fn question_bytes(question: &Question) -> usize {
    64 + question.key.len() + question.params.bytes().len()
}
