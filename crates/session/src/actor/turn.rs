//! One turn: what woke us becomes inputs, the machine decides, then store, then show.

use bytes::Bytes;
use ostler_actor::StopReason;
use ostler_dispatch::{CallStream, workers::Workers};
use ostler_protocol::{RequestId, fault::Fault};

use crate::{
    SessionError,
    actor::{Actor, Adopt, AdoptedCall, Control, Data, Join, Port, Told, sources::Wake},
    lifetime::Lifetime,
    resources::{Updates, Watch},
    state::{Act, Adopted, Adoption, CallFacts, Effects, FollowedTask, Input, Notice},
    stream::{StreamId, Writer},
};

/// What has gathered for one turn.
pub(crate) struct Turn<W: Workers> {
    pub effects: Effects,
    /// What inputs brought along that the machine cannot hold; effects name it by its index.
    pub(super) arrivals: Vec<Arrival<W>>,
    pub touch: bool,
    pub alarm: bool,
    pub stop: Option<StopReason>,
}

pub(super) struct Arrival<W: Workers> {
    pub calls: Vec<CallStream<W>>,
    /// Answers that came with the calls.
    pub answered: Vec<Bytes>,
    pub writer: Option<Writer>,
    /// The watch of a new subscription.
    pub updates: Option<Updates>,
    pub port: Option<Port>,
    /// The requests of the calls.
    pub requests: Vec<Waiting>,
    /// What the port will be told, unless the turn cannot be stored.
    pub verdict: Result<(), SessionError>,
}

/// A request whose call came along.
pub(super) struct Waiting {
    pub id: RequestId,
    /// Its call is that of a task, which goes on without it.
    pub follows: bool,
}

impl Waiting {
    /// Its call has begun, so no error may invite to send it again: that would run it twice.
    pub fn refused(&self, fault: &Fault) -> Fault {
        match self.follows {
            true => fault.clone(),
            false => fault.clone().begun(),
        }
    }
}

impl<W: Workers> Turn<W> {
    pub(super) fn new() -> Self {
        Turn {
            effects: Effects::default(),
            arrivals: Vec::new(),
            touch: false,
            alarm: false,
            stop: None,
        }
    }

    /// Whether a reader came that is not among the readers yet.
    fn has_join(&self) -> bool {
        let is_join = |act: &Act| {
            matches!(
                act,
                Act::Keep { .. } | Act::Listen { .. } | Act::Replay { .. }
            )
        };
        self.effects.acts.iter().any(is_join)
    }

    /// The index under which an arrival will be found.
    fn arrive(&mut self, arrival: Arrival<W>) -> usize {
        self.arrivals.push(arrival);
        self.arrivals.len() - 1
    }
}

impl<W: Workers> Arrival<W> {
    fn new() -> Self {
        Arrival {
            calls: Vec::new(),
            answered: Vec::new(),
            writer: None,
            updates: None,
            port: None,
            requests: Vec::new(),
            verdict: Ok(()),
        }
    }

    fn asker(port: Port) -> Self {
        Arrival {
            port: Some(port),
            ..Arrival::new()
        }
    }
}

impl<W: Workers> Actor<W> {
    /// The four beats: what there is was drained; decide, then persist and publish.
    pub(super) async fn turn(&mut self, wakes: Vec<Wake<W>>) -> Option<StopReason> {
        let mut turn = Turn::new();
        for wake in wakes {
            self.decide(wake, &mut turn);
        }
        self.complete(turn).await
    }

    /// Persist, publish. Returns why the actor ends, if it does.
    pub(super) async fn complete(&mut self, mut turn: Turn<W>) -> Option<StopReason> {
        let stored = match self.persist(&mut turn).await {
            Ok(stored) => stored,
            Err(reason) => {
                self.give_up(turn);
                return Some(reason);
            }
        };
        let (stop, alarm, end) = (turn.stop.take(), turn.alarm, turn.effects.end);
        self.publish(turn, stored).await;
        match (end, stop) {
            (true, _) => Some(StopReason::Stopped),
            (false, Some(reason)) => Some(reason),
            (false, None) if alarm => self.retire_if_unused().await,
            (false, None) => None,
        }
    }

    fn decide(&mut self, wake: Wake<W>, turn: &mut Turn<W>) {
        match wake {
            Wake::Control(control) => self.control(control, turn),
            Wake::Data(data) => self.data(data, turn),
            Wake::Call(call, event) => self.call_said(call, event, turn),
            Wake::Noticed(notices) => self.apply(Input::Noticed(notices), turn),
            // One that only caught up has not left; the next intake is another.
            Wake::Nudged => self.readers_left(turn),
            Wake::Alarm => {
                turn.alarm = true;
                turn.touch |= !self.is_idle();
                self.cut_stalled();
                self.readers_left(turn);
                self.end_lost_calls(turn);
                self.apply(Input::Tick, turn);
                self.end_of_age(turn);
            }
        }
    }

    fn control(&mut self, control: Control<W>, turn: &mut Turn<W>) {
        match control {
            Control::Adopt(adopt) => self.adopt(*adopt, turn),
            Control::Cancelled { id, reply } => {
                self.apply_for(Input::Cancelled { id }, reply, turn);
            }
            Control::Claim { call, reply } => {
                let claimed = self.claim(call, turn);
                let index = turn.arrive(Arrival::asker(reply));
                turn.arrivals[index].verdict = claimed;
            }
            Control::Lost {
                call,
                worker,
                instance,
            } => self.worker_replaced(call, &worker, instance, turn),
            Control::End { reply } => self.apply_for(Input::End, reply, turn),
            Control::Drain => self.apply(Input::Drain, turn),
            Control::Stop => self.stop(turn),
        }
    }

    /// What is stored waits for the next start; of the rest this is the end.
    fn stop(&mut self, turn: &mut Turn<W>) {
        turn.stop = Some(StopReason::Stopped);
        match self.facts.lifetime {
            Lifetime::Rows => {}
            Lifetime::Stream => self.apply(Input::End, turn),
        }
    }

    fn data(&mut self, data: Data, turn: &mut Turn<W>) {
        match data {
            Data::Told { told, reply } => self.told(told, reply, turn),
            Data::Join {
                join,
                writer,
                reply,
            } => self.join(join, writer, reply, turn),
            Data::WatchAgain(watches) => self.take_watches(watches, turn),
            Data::News(news) => self.apply(Input::News(news), turn),
            Data::Touch => turn.touch = true,
        }
    }

    /// Subscriptions that are watched at last; what happened before, nobody knows.
    fn take_watches(&mut self, watches: Vec<Watch>, turn: &mut Turn<W>) {
        let mut watches = watches;
        watches.retain(|(uri, _)| self.state.subscriptions().contains(uri));
        let notices = watches.iter().map(|(uri, _)| Notice::Updated(uri.clone()));
        let notices = notices.collect();
        for (uri, updates) in watches {
            self.sources.watches.remove(&uri);
            self.sources.watches.extend([(uri, updates)]);
        }
        self.apply(Input::Noticed(notices), turn);
    }

    fn told(&mut self, told: Told, reply: Port, turn: &mut Turn<W>) {
        let input = match told {
            Told::Initialized => Input::Initialized,
            Told::SetLevel(level) => Input::SetLevel(level),
            Told::Subscribe { uri, updates } => {
                let arrival = turn.arrive(Arrival {
                    updates: Some(updates),
                    ..Arrival::asker(reply)
                });
                let uri = uri.into();
                return self.apply_arrived(Input::Subscribe { arrival, uri }, arrival, turn);
            }
            Told::Unsubscribe(uri) => Input::Unsubscribe(uri.into()),
            Told::Say(message) => Input::Say(message),
            Told::Answered { id, result } => Input::Answered { id, result },
        };
        self.apply_for(input, reply, turn);
    }

    /// The one reader of a session that lives as long as it.
    pub(super) fn attach_listener(&mut self, writer: Writer, turn: &mut Turn<W>) {
        let arrival = turn.arrive(Arrival {
            writer: Some(writer),
            ..Arrival::new()
        });
        self.apply(Input::Listen { arrival }, turn);
    }

    fn join(&mut self, join: Join, writer: Writer, reply: Port, turn: &mut Turn<W>) {
        // The old listener's last word, before the new one takes its place.
        let taken = self.readers.get(&StreamId::STANDALONE);
        let taken = taken.and_then(Writer::taken);
        let arrival = turn.arrive(Arrival {
            writer: Some(writer),
            ..Arrival::asker(reply)
        });
        let input = match join {
            Join::Listen => {
                self.apply(Input::ListenerGone { taken }, turn);
                Input::Listen { arrival }
            }
            Join::Resume(cursor) => Input::Resume { arrival, cursor },
        };
        self.apply_arrived(input, arrival, turn);
    }

    fn adopt(&mut self, adopt: Adopt<W>, turn: &mut Turn<W>) {
        let Adopt {
            calls,
            answered,
            writer,
        } = adopt;
        let mut arrival = Arrival {
            writer,
            answered: answered.clone(),
            ..Arrival::new()
        };
        let mut adopted = Vec::new();
        for call in calls {
            let (call, facts) = self.arrived(call);
            arrival.calls.push(call);
            arrival.requests.push(Waiting {
                id: facts.facts.request.clone(),
                follows: facts.facts.task.is_some(),
            });
            adopted.push(facts);
        }
        let adoption = Adoption {
            arrival: turn.arrive(arrival),
            answered,
            calls: adopted,
        };
        self.apply(Input::Adopt(Box::new(adoption)), turn);
    }

    fn arrived(&self, adopted: AdoptedCall<W>) -> (CallStream<W>, Adopted) {
        let AdoptedCall {
            call,
            request,
            kind,
            target,
            progress_token,
            task,
            backlog,
        } = adopted;
        // Asked only now: it may be cancelled while the call is on its way to us. What comes
        // later comes as a message.
        let cancelled = self.facts.book.is_cancelled(&request);
        let own_deadline = self.wall() + self.shared.config.call_timeout;
        let facts = CallFacts {
            call: call.id(),
            request,
            kind,
            target,
            progress_token,
            placement: call.placement(),
            deadline: task.as_ref().map_or(own_deadline, |task| task.deadline),
            task: task.map(|task| FollowedTask {
                handle: task.handle,
                since: task.since,
            }),
        };
        let adopted = Adopted {
            facts,
            cancelled,
            backlog,
        };
        (call, adopted)
    }

    fn end_of_age(&mut self, turn: &mut Turn<W>) {
        if self.wall() >= self.row.created() + self.shared.config.age_max {
            self.apply(Input::End, turn);
        }
    }

    /// Cuts off who is behind and takes nothing: it comes back with its cursor, or is gone [SSE-14].
    fn cut_stalled(&self) {
        let now = self.now();
        let stalled = |reader: &&Writer| reader.stalls_at(now).is_some_and(|at| at <= now);
        for reader in self.readers.values().filter(stalled) {
            reader.end();
            self.shared.metrics.streams_cut.increment(1);
        }
    }

    /// Forgets readers whose connection is gone.
    fn readers_left(&mut self, turn: &mut Turn<W>) {
        if turn.has_join() {
            // Who comes as another leaves must not be taken for gone: to be looked at after it.
            return self.sources.nudge.give();
        }
        let standalone = self.readers.get(&StreamId::STANDALONE);
        let taken = standalone.and_then(Writer::taken);
        self.readers.retain(|_, writer| !writer.is_done());
        let read = self.readers.keys().copied().collect();
        self.apply(Input::Read(read), turn);
        if !self.readers.contains_key(&StreamId::STANDALONE) {
            self.apply(Input::ListenerGone { taken }, turn);
        }
    }

    fn apply_for(&mut self, input: Input, reply: Port, turn: &mut Turn<W>) {
        let arrival = turn.arrive(Arrival::asker(reply));
        self.apply_arrived(input, arrival, turn);
    }

    fn apply_arrived(&mut self, input: Input, arrival: usize, turn: &mut Turn<W>) {
        let now = self.now();
        turn.arrivals[arrival].verdict = self.state.apply(now, input, &mut turn.effects);
    }

    pub(super) fn apply(&mut self, input: Input, turn: &mut Turn<W>) {
        let now = self.now();
        // An ended session refuses its last inputs; there is nobody to tell.
        drop(self.state.apply(now, input, &mut turn.effects));
    }

    /// The turn could not be stored: nothing of it was shown, and whoever waits is told. Calls
    /// that came with it are dropped, which cancels them.
    fn give_up(&mut self, turn: Turn<W>) {
        for arrival in turn.arrivals {
            if let Some(port) = arrival.port {
                port.send(Err(SessionError::Storage));
            }
            if let Some(writer) = arrival.writer.filter(|_| !arrival.requests.is_empty()) {
                let (answered, requests) = (arrival.answered, &arrival.requests);
                self.refuse(&writer, answered, requests, &Fault::Storage);
            }
        }
    }
}
