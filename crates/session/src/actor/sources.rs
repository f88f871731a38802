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
    stream::Departures,
};

/// One thing that happened.
pub(super) enum Wake<W: Workers> {
    Control(Control<W>),
    Data(Data),
    Call(CallId, CallEvent),
    Noticed(Vec<Notice>),
    ReaderLeft,
    Alarm,
}

pub(super) struct Sources<W: Workers> {
    pub mailbox: Mailbox<Control<W>, Data>,
    /// Mostly a few; never more than `requests_per_session_max`.
    pub calls: BTreeMap<CallId, KeptCall<W>>,
    pub watches: Watches,
    pub departures: Arc<Departures>,
    pub alarm: Alarm,
}

impl<W: Workers> Sources<W> {
    /// Waits for something, then takes what else is there: the inputs of one turn.
    // Cancel safe: nothing is taken before the poll that returns it.
    pub async fn next(&mut self, len_max: usize) -> Vec<Wake<W>> {
        poll_fn(|cx| self.poll(cx, len_max)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>, len_max: usize) -> Poll<Vec<Wake<W>>> {
        let mut wakes = Vec::new();
        while wakes.len() < len_max {
            match self.poll_one(cx) {
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
        if self.departures.poll(cx).is_ready() {
            return Poll::Ready(Wake::ReaderLeft);
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
