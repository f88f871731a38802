//! Calls whose items come from an owner instead of a worker: a task, followed by a session.
//!
//! The traits stand here because neither of the two may know the other.

use std::task::{Context, Poll};

use ostler_protocol::{
    Revision,
    call::{Answer, CallEvent, Failure},
    facet::ClientFacet,
};
use ostler_types::{CallId, Principal, ServerId, Timestamp};

use crate::control::CallControl;

/// On whose behalf a call is followed. Its owner asks the newest request whose client can be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FollowedBy {
    pub revision: Revision,
    pub facet: ClientFacet,
    /// When the request came first; it may have lost the call and found it again since.
    pub since: Timestamp,
}

/// Whoever owns calls that others may follow.
pub trait CallSource: Send + Sync {
    /// The call with this handle, as a client that was permitted to when it asked. Never
    /// fails: what is unknown to this principal has an outcome that says so.
    fn call_of(
        &self,
        server: &ServerId,
        principal: &Principal,
        handle: &str,
        by: FollowedBy,
    ) -> Box<dyn SourcedCall>;
}

/// A call that its owner runs. Dropping it ends the following and nothing else.
pub trait SourcedCall: Send {
    /// The next item. The last is [`CallEvent::Outcome`]: after it nothing is ever ready.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent>;
    /// An answer that came before, or from somebody else, means nothing.
    fn answer(&self, answers: Vec<Answer>);
}

/// One following, which can be cancelled like a call.
pub(crate) struct Following {
    id: CallId,
    call: Box<dyn SourcedCall>,
    control: CallControl,
    /// To be said: it was kept just now.
    kept: bool,
    ended: bool,
}

impl Following {
    pub(crate) fn new(id: CallId, call: Box<dyn SourcedCall>, control: CallControl) -> Self {
        Self {
            id,
            call,
            control,
            kept: false,
            ended: false,
        }
    }

    /// What its owner runs is kept already.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<CallEvent> {
        if self.ended {
            return Poll::Pending;
        }
        if std::mem::take(&mut self.kept) {
            return Poll::Ready(CallEvent::Kept);
        }
        let event = match self.control.poll_reason(cx.waker()) {
            Some(_) => Poll::Ready(CallEvent::Outcome(Err(Failure::Cancelled))),
            None => self.call.poll_next(cx),
        };
        self.ended = matches!(event, Poll::Ready(CallEvent::Outcome(_)));
        event
    }

    pub(crate) fn id(&self) -> CallId {
        self.id
    }

    pub(crate) fn control(&self) -> &CallControl {
        &self.control
    }

    pub(crate) fn answer(&self, answers: Vec<Answer>) {
        self.call.answer(answers);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, task::Waker};

    use ostler_protocol::Raw;

    use super::*;

    struct Said(VecDeque<CallEvent>);

    impl SourcedCall for Said {
        fn poll_next(&mut self, _cx: &mut Context<'_>) -> Poll<CallEvent> {
            self.0.pop_front().map_or(Poll::Pending, Poll::Ready)
        }

        fn answer(&self, _answers: Vec<Answer>) {}
    }

    fn following<const N: usize>(events: [CallEvent; N]) -> Following {
        let said = Box::new(Said(events.into()));
        Following::new(CallId(1), said, CallControl::new())
    }

    fn next(following: &mut Following) -> Poll<CallEvent> {
        following.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn nothing_follows_the_outcome() {
        let outcome = CallEvent::Outcome(Ok(Raw::empty_object()));
        let mut following = following([CallEvent::Started, outcome.clone(), CallEvent::Started]);
        assert_eq!(next(&mut following), Poll::Ready(CallEvent::Started));
        assert_eq!(next(&mut following), Poll::Ready(outcome));
        assert_eq!(next(&mut following), Poll::Pending);
    }

    #[test]
    fn what_is_kept_says_so_first() {
        let mut following = following([CallEvent::Started]);
        following.keep();
        assert_eq!(next(&mut following), Poll::Ready(CallEvent::Kept));
        assert_eq!(next(&mut following), Poll::Ready(CallEvent::Started));
    }

    #[test]
    fn whoever_cancels_stops_following() {
        let mut following = following([CallEvent::Started]);
        following.control().cancel("enough");
        let cancelled = CallEvent::Outcome(Err(Failure::Cancelled));
        assert_eq!(next(&mut following), Poll::Ready(cancelled));
        assert_eq!(next(&mut following), Poll::Pending);
    }
}
