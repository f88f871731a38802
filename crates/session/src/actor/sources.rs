//! Everything that can wake a session, polled as one.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use ostler_actor::{Alarm, Item, Mailbox};
use ostler_dispatch::{KeptCall, workers::Workers};
use ostler_protocol::call::CallEvent;
use ostler_types::CallId;

use crate::{
    actor::{Control, Data, watches::Watches},
    state::Notice,
    stream::Nudge,
};

/// Inputs of one turn at most: a flood still lets a commit in between.
const TURN_LEN_MAX: usize = 64;

/// What is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intake {
    /// All that there is, for one commit.
    Turn,
    /// One thing, where nothing is stored that could be stored together.
    One,
    /// Nothing that is to be shown: who reads is behind, and what it is to read waits where it is.
    Urgent,
}

/// One thing that happened.
pub(super) enum Wake<W: Workers> {
    Control(Control<W>),
    Data(Data),
    Call(CallId, CallEvent),
    Noticed(Vec<Notice>),
    Nudged,
    Alarm,
}

pub(super) struct Sources<W: Workers> {
    pub mailbox: Mailbox<Control<W>, Data>,
    /// Mostly a few; never more than `requests_per_session_max`.
    pub calls: BTreeMap<CallId, KeptCall<W>>,
    pub watches: Watches,
    pub nudge: Arc<Nudge>,
    pub alarm: Alarm,
}

impl<W: Workers> Sources<W> {
    /// Waits for something, then takes what else is there: the inputs of one turn.
    // Cancel safe: nothing is taken before the poll that returns it.
    pub async fn next(&mut self, intake: Intake) -> Vec<Wake<W>> {
        poll_fn(|cx| self.poll(cx, intake)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>, intake: Intake) -> Poll<Vec<Wake<W>>> {
        let len_max = match intake {
            Intake::Turn | Intake::Urgent => TURN_LEN_MAX,
            Intake::One => 1,
        };
        let mut wakes = Vec::new();
        while wakes.len() < len_max {
            let next = match intake {
                Intake::Turn | Intake::One => self.poll_one(cx),
                Intake::Urgent => self.poll_urgent(cx),
            };
            match next {
                Poll::Ready(wake) => wakes.push(wake),
                Poll::Pending => break,
            }
        }
        match wakes.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(wakes),
        }
    }

    /// Messages first: a client that cancels is heard before the call's chatter.
    fn poll_one(&mut self, cx: &mut Context<'_>) -> Poll<Wake<W>> {
        match self.mailbox.poll_next(cx) {
            Poll::Ready(Some(Item::Control(control))) => {
                return Poll::Ready(Wake::Control(control));
            }
            Poll::Ready(Some(Item::Data(data))) => return Poll::Ready(Wake::Data(data)),
            // Nobody has an address any more: the directory let go of us.
            Poll::Ready(None) => return Poll::Ready(Wake::Control(Control::Stop)),
            Poll::Pending => {}
        }
        if let Poll::Ready(wake) = self.poll_calls(cx) {
            return Poll::Ready(wake);
        }
        if let Poll::Ready(notices) = self.watches.poll(cx) {
            return Poll::Ready(Wake::Noticed(notices));
        }
        self.poll_signals(cx)
    }

    fn poll_urgent(&mut self, cx: &mut Context<'_>) -> Poll<Wake<W>> {
        match self.mailbox.poll_control(cx) {
            Poll::Ready(control) => Poll::Ready(Wake::Control(control.unwrap_or(Control::Stop))),
            Poll::Pending => self.poll_signals(cx),
        }
    }

    fn poll_signals(&mut self, cx: &mut Context<'_>) -> Poll<Wake<W>> {
        if self.nudge.poll(cx).is_ready() {
            return Poll::Ready(Wake::Nudged);
        }
        self.alarm.poll_ring(cx).map(|()| Wake::Alarm)
    }

    /// After its outcome nothing of a call is ready, so it may stay until that is stored.
    fn poll_calls(&mut self, cx: &mut Context<'_>) -> Poll<Wake<W>> {
        for (id, call) in &mut self.calls {
            if let Poll::Ready(event) = call.poll_next(cx) {
                return Poll::Ready(Wake::Call(*id, event));
            }
        }
        Poll::Pending
    }
}
