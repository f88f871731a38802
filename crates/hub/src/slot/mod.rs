//! What one call is while it runs here: a small queue, a place for its end that nothing else can
//! take, and whoever waits for them. No task, no channel, no timer.
//!
//! The lock is held for a few instructions and never while another one is taken.

mod state;
mod unowned;

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
};

use ostler_protocol::call::{Answer, CallEvent, Question};
use ostler_types::{CallId, Instant};
use parking_lot::{Mutex, MutexGuard};

pub(crate) use self::unowned::UnownedBytes;
use crate::{
    attempt::{AttemptEnd, AttemptEvent},
    config::Config,
    machine::{CallTimes, Ended, Unowned},
    slot::state::{CancelOrder, GivenAnswer, Keep, State, chatter_bytes, question_bytes, wake},
};

pub(crate) struct Slot {
    pub call: CallId,
    pub attempt: u32,
    state: Mutex<State>,
    unowned: Arc<UnownedBytes>,
}

/// A place in what was sent on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub link: u64,
    pub bytes: u64,
}

/// What the worker must (again) be told about a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    pub keep: bool,
    pub cancel: Option<String>,
    pub answers: Vec<Answer>,
    /// The number of each of these answers, in rising order.
    pub numbers: Vec<u64>,
}

/// What an end did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    pub fate: EndFate,
    /// It waits to be recorded.
    pub kept: bool,
    /// The worker has a free place now.
    pub leaves_room: bool,
}

/// What became of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndFate {
    /// It is how the call ended.
    First,
    /// The worker had said how it ended before.
    Duplicate,
    /// The platform had ended it before.
    Late,
}

/// What a cancel asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CancelStep {
    Send,
    /// The call has not left: it need not, if it has not begun to.
    TakeBack,
    /// It was cancelled before, or the worker has ended it.
    Nothing,
}

/// Who will hear from a new slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Started here, by its owner.
    Started { deadline: Instant },
    /// Named by a worker; kept, and nobody owns it.
    Named { at: Instant },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyQuestions;

impl Slot {
    pub fn new(call: CallId, attempt: u32, origin: Origin, unowned: Arc<UnownedBytes>) -> Slot {
        let state = Mutex::new(State::new(origin));
        Slot {
            call,
            attempt,
            state,
            unowned,
        }
    }

    // ---- from the worker ---------------------------------------------------------------

    /// Progress, a log entry or a visit that is over. Returns how many older ones had to go for it.
    pub fn chatter(&self, event: CallEvent, config: &Config) -> usize {
        let mut state = self.state.lock();
        // A new owner is told the state of the call, not what led to it.
        if state.ended.is_some() || !state.owned {
            return 1;
        }
        state.chatter_len += 1;
        state.chatter_bytes += chatter_bytes(&event);
        state.events.push_back(event);
        let dropped = state.trim(config);
        wake(state);
        dropped
    }

    pub fn started(&self) {
        self.once(CallEvent::Started, |state| &mut state.started);
    }

    pub fn become_task(&self) {
        self.once(CallEvent::BecomeTask, |state| &mut state.became_task);
    }

    /// After a new link the worker says some things again; the owner hears them once.
    fn once(&self, event: CallEvent, flag: impl FnOnce(&mut State) -> &mut bool) {
        let mut state = self.state.lock();
        if !std::mem::replace(flag(&mut state), true) {
            state.push(event);
            wake(state);
        }
    }

    pub fn kept(&self) {
        let mut state = self.state.lock();
        if state.keep == Keep::Asked {
            state.keep = Keep::Kept;
            state.push(CallEvent::Kept);
            wake(state);
        }
    }

    /// Questions, without those that are only said again after a new link.
    pub fn ask(&self, asked: Vec<Question>, config: &Config) -> Result<(), TooManyQuestions> {
        let mut state = self.state.lock();
        if state.ended.is_some() {
            return Ok(());
        }
        let new = |question: &Question| !state.knows(question);
        let new: Vec<_> = asked.into_iter().filter(new).collect();
        if new.is_empty() {
            return Ok(());
        }
        let bytes = state.open.iter().chain(&new).map(question_bytes);
        if bytes.sum::<usize>() > config.ask_bytes_max {
            return Err(TooManyQuestions);
        }
        state.open.extend(new.iter().cloned());
        state.push(CallEvent::Ask(new));
        state.count_unowned(&self.unowned);
        wake(state);
        Ok(())
    }

    // ---- the end -----------------------------------------------------------------------

    pub fn end(&self, end: AttemptEnd, by: Ended) -> Ending {
        self.end_locked(self.state.lock(), end, by)
    }

    /// Ends it as lost, unless somebody owns it.
    pub fn forget(&self, now: Instant) -> Option<EndFate> {
        let state = self.state.lock();
        let ownerless = !state.owned;
        ownerless.then(|| {
            self.end_locked(state, AttemptEnd::Lost, Ended::ByPlatform(now))
                .fate
        })
    }

    fn end_locked(&self, mut state: MutexGuard<'_, State>, end: AttemptEnd, by: Ended) -> Ending {
        let fate = match state.ended {
            Some(Ended::ByWorker) => EndFate::Duplicate,
            Some(Ended::ByPlatform(_)) => EndFate::Late,
            None => EndFate::First,
        };
        let leaves_room = by == Ended::ByWorker && std::mem::take(&mut state.takes_room);
        let kept = state.is_kept();
        if fate == EndFate::First {
            state.ended = Some(by);
            state.end = Some(end);
            state.open = Vec::new();
            state.answers = VecDeque::new();
            state.count_unowned(&self.unowned);
            wake(state);
        }
        Ending {
            fate,
            kept,
            leaves_room,
        }
    }

    /// The worker does not run it any more. True once.
    pub fn leave_room(&self) -> bool {
        std::mem::take(&mut self.state.lock().takes_room)
    }

    // ---- from the owner ----------------------------------------------------------------

    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<AttemptEvent>> {
        let mut state = self.state.lock();
        if let Some(event) = state.pop() {
            return Poll::Ready(Some(AttemptEvent::Event(event)));
        }
        if state.end_taken {
            return Poll::Ready(None);
        }
        // A kept one stays, for the next owner, until it is recorded.
        let end = match state.is_kept() {
            true => state.end.clone(),
            false => state.end.take(),
        };
        if let Some(end) = end {
            state.end_taken = true;
            return Poll::Ready(Some(AttemptEvent::Ended(end)));
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Whether `Keep` must be sent now.
    pub fn keep(&self) -> bool {
        let mut state = self.state.lock();
        if state.keep != Keep::No || state.ended.is_some() {
            return false;
        }
        state.keep = Keep::Asked;
        state.handed
    }

    pub fn cancel(&self, reason: &str, at: Instant) -> CancelStep {
        let mut state = self.state.lock();
        if state.cancel.is_some() || state.ended == Some(Ended::ByWorker) {
            return CancelStep::Nothing;
        }
        let reason = reason.to_owned();
        state.cancel = Some(CancelOrder { reason, at });
        match state.handed {
            true => CancelStep::Send,
            false => CancelStep::TakeBack,
        }
    }

    /// Books answers, if there is still a call for them; what to send. `taken` is what the worker
    /// has taken in.
    pub fn answer(&self, answers: Vec<Answer>, taken: Option<Position>) -> Orders {
        let mut state = self.state.lock();
        if state.ended.is_some() {
            return Orders::default();
        }
        if let Some(taken) = taken {
            state.forget_taken(taken);
        }
        let answered = |q: &Question| answers.iter().any(|answer| answer.key == q.key);
        state.open.retain(|question| !answered(question));
        let (answers, numbers) = state.book(answers).into_iter().unzip();
        Orders {
            answers,
            numbers,
            ..Orders::default()
        }
    }

    pub fn set_deadline(&self, deadline: Instant) {
        self.state.lock().deadline = deadline;
    }

    /// The owner is gone. Whether the call is kept, and so waits for another one.
    pub fn disown(&self, now: impl FnOnce() -> Instant) -> bool {
        let mut state = self.state.lock();
        state.owned = false;
        state.waker = None;
        state.forget_events();
        let kept = state.is_kept();
        if kept {
            let (since, offered) = (now(), false);
            state.unowned = Some(Unowned { since, offered });
        }
        state.count_unowned(&self.unowned);
        kept
    }

    /// Gives a kept call without an owner to a new one, which hears again what still matters.
    pub fn claim(&self) -> bool {
        let mut state = self.state.lock();
        if state.owned || !state.is_kept() {
            return false;
        }
        state.owned = true;
        state.unowned = None;
        state.end_taken = false;
        state.tell_again();
        state.count_unowned(&self.unowned);
        true
    }

    // ---- from the outbound queue and the link -------------------------------------------

    /// The `Call` frame leaves now. What was ordered meanwhile must follow it.
    pub fn hand(&self) -> Orders {
        let mut state = self.state.lock();
        state.handed = true;
        Orders {
            keep: state.keep != Keep::No,
            cancel: state.cancel.as_ref().map(|cancel| cancel.reason.clone()),
            ..Orders::default()
        }
    }

    /// The answers with these numbers have left now. Others may still wait: small ones overtake
    /// large ones.
    pub fn answers_left(&self, numbers: &[u64], at: Position) {
        let mut state = self.state.lock();
        let left = |given: &&mut GivenAnswer| {
            numbers.binary_search(&given.number).is_ok() && given.left.is_none()
        };
        for given in state.answers.iter_mut().filter(left) {
            given.left = Some(at);
        }
    }

    /// What must be sent again on a new link.
    pub fn orders(&self) -> Orders {
        let mut state = self.state.lock();
        let resend = |given: &mut GivenAnswer| {
            given.left = None;
            (given.answer.clone(), given.number)
        };
        let (answers, numbers) = state.answers.iter_mut().map(resend).unzip();
        Orders {
            keep: state.keep == Keep::Asked,
            cancel: state.cancel.as_ref().map(|cancel| cancel.reason.clone()),
            answers,
            numbers,
        }
    }

    // ---- from the sweep -----------------------------------------------------------------

    pub fn times(&self) -> CallTimes {
        let state = self.state.lock();
        CallTimes {
            deadline: state.deadline,
            kept: state.is_kept(),
            cancelled: state.cancel.as_ref().map(|cancel| cancel.at),
            ended: state.ended,
            unowned: state.unowned,
        }
    }

    /// The grace of whoever may claim it begins.
    pub fn offered(&self, now: Instant) {
        if let Some(unowned) = &mut self.state.lock().unowned {
            let (since, offered) = (now, true);
            *unowned = Unowned { since, offered };
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let counted = self.state.get_mut().counted_unowned_bytes;
        self.unowned.change(counted, 0);
    }
}

#[cfg(test)]
mod tests;
