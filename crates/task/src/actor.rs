//! The actor of one call that outlives its request.
//!
//! Each turn has four beats: drain what has come in, decide (the machine), persist, publish.
//! What cannot be stored is not shown: the requests of that turn are refused, everything else
//! waits until the store takes it. Only the order to cancel a call waits for nothing.
//! The call itself runs at a worker; losing this actor loses nothing that was shown.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::FutureExt;
use ostler_actor::{Address, Alarm, Item, Mailbox, Reply as Port, Slot, StopReason};
use ostler_protocol::{
    Raw,
    call::{Answer, CallEvent},
    task::TaskView,
};
use ostler_store::Batch;
use ostler_types::{Instant, TaskId, Timestamp};
use tokio::sync::mpsc;

use crate::{
    error::TaskError,
    facts::Owner,
    live::Inner,
    quota,
    record::{call, task},
    round::{End, Follower, InputRequired, Step},
    state::{
        Asking, Chatter, Effect, Effects, Input, Keep, Reply, Rest, Resume, TaskState, Ticket, View,
    },
    token::{AskedKey, Token},
    work::Work,
};

/// How others reach the actor.
pub(crate) struct Handle {
    pub address: Address<Control, Command>,
    pub owner: Owner,
}

/// What overtakes commands.
#[derive(Debug)]
pub(crate) enum Control {
    /// The worker named the call again.
    Rebind,
    WantsTask(Ticket),
    /// The node goes down: let go of everything.
    Stop,
}

/// What clients ask.
pub(crate) enum Command {
    Resume(Resume, Follower),
    Get(Port<Answered>),
    Update(BTreeMap<String, Raw>, Port<Answered>),
    Cancel(Port<Answered>),
}

/// The view, where one was asked for.
pub(crate) type Answered = Result<Option<TaskView>, TaskError>;

/// Inputs of one turn, so that one commit serves many.
const TURN_LEN_MAX: usize = 64;

pub(crate) struct Actor {
    inner: Arc<Inner>,
    slot: Slot<TaskId, Handle>,
    mailbox: Mailbox<Control, Command>,
    state: TaskState,
    work: Option<Box<dyn Work>>,
    /// Answers for a call that is not found again yet.
    unheard: Vec<Answer>,
    followers: Vec<Follower>,
    ports: BTreeMap<Ticket, Port<Answered>>,
    /// What the call said before this actor.
    heard: Vec<CallEvent>,
    /// What waits for the store, in order.
    backlog: Effects,
    /// When the store is tried again.
    retry_at: Option<Timestamp>,
    /// Some version is in the store.
    stored: bool,
    /// The deadline that the call knows.
    deadline: Option<Timestamp>,
    alarm: Alarm,
    place: Option<quota::Place>,
    is_task: bool,
    stopping: bool,
}

/// Why the actor woke.
enum Wake {
    Item(Option<Item<Control, Command>>),
    Event(CallEvent),
    Left(Ticket),
    Alarm,
}

/// What an actor starts with.
pub(crate) struct Start {
    pub state: TaskState,
    pub work: Option<Box<dyn Work>>,
    /// The request that hands the call over.
    pub follower: Option<Follower>,
    /// What the call said before.
    pub backlog: Vec<CallEvent>,
    pub place: Option<quota::Place>,
}

impl Actor {
    pub fn new(
        inner: Arc<Inner>,
        slot: Slot<TaskId, Handle>,
        mailbox: Mailbox<Control, Command>,
        start: Start,
    ) -> Self {
        let alarm = Alarm::new(&inner.env);
        Self {
            slot,
            mailbox,
            stored: start.state.stored,
            is_task: start.state.view().is_some(),
            state: start.state,
            work: start.work,
            unheard: Vec::new(),
            followers: start.follower.into_iter().collect(),
            ports: BTreeMap::new(),
            heard: start.backlog,
            backlog: Effects::default(),
            retry_at: None,
            deadline: None,
            alarm,
            place: start.place,
            stopping: false,
            inner,
        }
    }

    pub async fn run(mut self) -> StopReason {
        let mut fx = Effects::default();
        self.rebind(&mut fx);
        // What became due while nobody was awake comes before any command.
        self.apply(Input::Tick, &mut fx);
        for event in std::mem::take(&mut self.heard) {
            self.apply(Input::Call(event), &mut fx);
        }
        loop {
            self.finish_turn(fx).await;
            if let Some(reason) = self.may_end() {
                return reason;
            }
            self.set_alarm();
            let wake = self.wake().await;
            fx = self.drain(wake);
        }
    }

    // ---- drain and decide ----------------------------------------------------------

    fn drain(&mut self, first: Wake) -> Effects {
        let mut fx = Effects::default();
        self.take(first, &mut fx);
        for _ in 1..TURN_LEN_MAX {
            let Some(wake) = self.wake().now_or_never() else {
                break;
            };
            self.take(wake, &mut fx);
        }
        fx
    }

    // Cancel safe: each source keeps its item until the poll that returns it.
    async fn wake(&mut self) -> Wake {
        poll_fn(|cx| self.poll_wake(cx)).await
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if !self.stopping
            && let Poll::Ready(item) = self.mailbox.poll_next(cx)
        {
            return Poll::Ready(Wake::Item(item));
        }
        if let Some(work) = &mut self.work
            && let Poll::Ready(event) = work.poll_next(cx)
        {
            return Poll::Ready(Wake::Event(event));
        }
        for follower in &mut self.followers {
            if follower.end.poll_closed(cx).is_ready() {
                return Poll::Ready(Wake::Left(follower.ticket));
            }
        }
        self.alarm.poll_ring(cx).map(|()| Wake::Alarm)
    }

    fn take(&mut self, wake: Wake, fx: &mut Effects) {
        match wake {
            Wake::Item(Some(Item::Control(control))) => self.take_control(control, fx),
            Wake::Item(Some(Item::Data(command))) => self.take_command(command, fx),
            // Nobody can reach it any more: the directory let go of it.
            Wake::Item(None) => self.stopping = true,
            Wake::Event(event) => self.take_event(event, fx),
            Wake::Left(ticket) => {
                self.followers.retain(|follower| follower.ticket != ticket);
                self.apply(Input::Left(ticket), fx);
            }
            Wake::Alarm => self.apply(Input::Tick, fx),
        }
    }

    fn take_event(&mut self, event: CallEvent, fx: &mut Effects) {
        let place = self.work.as_ref().and_then(|work| work.place());
        if let Some(place) = place
            && self.state.place.as_ref() != Some(&place)
        {
            self.apply(Input::Resent(place), fx);
        }
        self.apply(Input::Call(event), fx);
    }

    fn take_control(&mut self, control: Control, fx: &mut Effects) {
        match control {
            Control::Rebind => self.rebind(fx),
            Control::WantsTask(ticket) => self.apply(Input::WantsTask(ticket), fx),
            Control::Stop => self.stopping = true,
        }
    }

    fn take_command(&mut self, command: Command, fx: &mut Effects) {
        match command {
            Command::Resume(resume, follower) => {
                self.followers.push(follower);
                self.apply(Input::Resume(resume), fx);
            }
            Command::Get(port) => {
                let ticket = self.ask(port);
                self.apply(Input::Get(ticket), fx);
            }
            Command::Update(answers, port) => {
                let ticket = self.ask(port);
                self.apply(Input::Update(ticket, answers), fx);
            }
            Command::Cancel(port) => {
                let ticket = self.ask(port);
                self.apply(Input::Cancel(ticket), fx);
            }
        }
    }

    fn ask(&mut self, port: Port<Answered>) -> Ticket {
        let ticket = self.inner.ticket();
        self.ports.insert(ticket, port);
        ticket
    }

    fn apply(&mut self, input: Input, fx: &mut Effects) {
        let now = self.inner.env.wall();
        self.state.apply(&self.inner.config, now, input, fx);
    }

    /// Claims the call of an earlier life, if its worker has named it.
    fn rebind(&mut self, fx: &mut Effects) {
        if self.work.is_some() || self.state.missing_until.is_none() {
            return;
        }
        let Some(place) = &self.state.place else {
            return;
        };
        let deadline = self.instant(self.state.deadline);
        self.work = self.inner.source.attach(&self.state.facts, place, deadline);
        if let Some(work) = &self.work {
            work.answer(std::mem::take(&mut self.unheard));
            self.apply(Input::Attached, fx);
        }
    }

    // ---- persist -------------------------------------------------------------------

    async fn finish_turn(&mut self, fx: Effects) {
        if fx.cancel_call
            && let Some(work) = &self.work
        {
            work.cancel("the client cancelled it or did not come back");
        }
        self.backlog.append(fx);
        if self.must_commit() {
            self.commit().await;
        }
        if self.backlog.keep == Keep::Unchanged {
            self.publish();
        }
        self.after_turn();
    }

    /// While the store refuses, only requests and the retry make it worth asking again.
    fn must_commit(&self) -> bool {
        let due = self.retry_at.is_none_or(|at| at <= self.inner.env.wall());
        self.backlog.keep != Keep::Unchanged && (due || self.backlog.has_replies())
    }

    async fn commit(&mut self) {
        let batch = self.batch();
        match self.inner.store.commit(batch).await {
            Ok(()) => {
                self.stored = self.backlog.keep == Keep::Save;
                self.backlog.keep = Keep::Unchanged;
                self.retry_at = None;
            }
            Err(error) => self.on_commit_failed(&error),
        }
    }

    fn batch(&self) -> Batch {
        let facts = &self.state.facts;
        let tenant = &facts.owner.tenant;
        let (row, call_row) = (task::key(tenant, facts.id), call::key(tenant, facts.call));
        let deadline = Some(self.state.deadline);
        let mut batch = Batch::new();
        match self.backlog.keep {
            Keep::Unchanged => {}
            Keep::Save => batch.put(row, task::encode(&self.state), deadline),
            Keep::Erase => batch.delete(row),
        }
        // The call's row goes with the call: nobody is to be found for it any more.
        match self.state.is_unfinished() {
            true => {
                let record = call::encode(facts, self.state.place.as_ref());
                batch.put(call_row, record, deadline);
            }
            false => batch.delete(call_row),
        }
        batch
    }

    fn on_commit_failed(&mut self, error: &ostler_store::StoreError) {
        let id = self.state.facts.id;
        tracing::warn!(task = %id, %error, "a turn could not be stored");
        self.inner.metrics.store_failures.increment(1);
        self.retry_at = Some(self.inner.env.wall() + self.inner.config.store_retry);
        for ticket in self.backlog.take_replies() {
            self.finish(ticket, Err(TaskError::Storage));
            self.apply_quietly(Input::Unfollowed(ticket));
        }
        if !self.stored {
            self.forsake();
        }
    }

    fn apply_quietly(&mut self, input: Input) {
        let mut fx = Effects::default();
        self.apply(input, &mut fx);
        self.backlog.append(fx);
    }

    /// Nobody holds anything of it: the call is stopped, and nothing stays.
    fn forsake(&mut self) {
        let mut fx = Effects::default();
        self.apply(Input::NeverStored, &mut fx);
        if let (true, Some(work)) = (fx.cancel_call, &self.work) {
            work.cancel("it could not be stored");
        }
        self.backlog = Effects::default();
        self.retry_at = None;
        self.followers.clear();
    }

    // ---- publish -------------------------------------------------------------------

    fn publish(&mut self) {
        for effect in std::mem::take(&mut self.backlog.effects) {
            match effect {
                Effect::Feed(answers) => self.feed(answers),
                Effect::Recorded => self.recorded(),
                Effect::Reply(ticket, reply) => self.reply(ticket, reply),
                Effect::Chatter(chatter) => self.chatter(&chatter),
                Effect::Publish(view) => {
                    let id = self.state.facts.id;
                    self.inner.listens.publish(id, || self.show(view));
                }
            }
        }
    }

    fn feed(&mut self, answers: Vec<Answer>) {
        match &self.work {
            Some(work) => work.answer(answers),
            None => self.unheard.extend(answers),
        }
    }

    fn recorded(&mut self) {
        if let Some(work) = self.work.take() {
            work.recorded();
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        let end = match reply {
            Reply::Following => return self.step(ticket, || Step::Following),
            Reply::Acknowledged => return self.answer(ticket, Ok(None)),
            Reply::Asking(asking) => Ok(End::InputRequired(self.input_required(asking))),
            Reply::Outcome(outcome) => Ok(End::Outcome(outcome)),
            Reply::Task(view) => Ok(End::Task(self.show(view))),
            Reply::Rerun(known) => {
                self.inner.metrics.reruns.increment(1);
                Ok(End::Rerun(known))
            }
            Reply::Refused(error) => Err(error),
        };
        self.finish(ticket, end);
    }

    /// Gives a request its end, whichever kind of request it is.
    fn finish(&mut self, ticket: Ticket, end: Result<End, TaskError>) {
        let at = self.followers.iter().position(|f| f.ticket == ticket);
        if let Some(at) = at {
            // The request may be gone; then its end is of no use to anybody.
            drop(self.followers.swap_remove(at).end.send(end));
            return;
        }
        let answered = match end {
            Ok(End::Task(view)) => Ok(Some(view)),
            Ok(End::InputRequired(_) | End::Outcome(_) | End::Rerun(_)) => Ok(None),
            Err(error) => Err(error),
        };
        self.answer(ticket, answered);
    }

    fn answer(&mut self, ticket: Ticket, answered: Answered) {
        if let Some(port) = self.ports.remove(&ticket) {
            port.send(answered);
        }
    }

    fn step(&self, ticket: Ticket, step: impl FnOnce() -> Step) {
        let follower = self.followers.iter().find(|f| f.ticket == ticket);
        if let Some(follower) = follower {
            tell(&follower.steps, step());
        }
    }

    fn chatter(&self, chatter: &Chatter) {
        for follower in &self.followers {
            let step = match chatter.clone() {
                Chatter::Progress(progress) => Step::Progress(progress),
                Chatter::Log(log) => Step::Log(log),
            };
            tell(&follower.steps, step);
        }
    }

    fn input_required(&self, asking: Asking) -> InputRequired {
        self.inner.metrics.rounds.increment(1);
        let token = Token {
            owner: self.state.facts.owner.clone(),
            binding: self.state.facts.binding.clone(),
            task: self.state.facts.id,
            round: asking.round,
            expires_at: asking.expires_at,
            asked: asking.questions.iter().map(AskedKey::from).collect(),
            replay_safe: self.state.facts.replay_safe,
            known: self.state.known.clone(),
        };
        let inner = &self.inner;
        let bytes_max = inner.config.request_state_bytes_max;
        InputRequired {
            questions: asking
                .questions
                .iter()
                .map(|asked| asked.to_show())
                .collect(),
            request_state: token.seal(&inner.keys, &inner.env, bytes_max),
        }
    }

    fn show(&self, view: View) -> TaskView {
        TaskView {
            id: self.inner.wire_id(self.state.facts.id),
            state: view.standing,
            status_message: view.message,
            created_at: view.created_at,
            updated_at: view.updated_at,
            ttl: Some(view.ttl),
            poll_interval: Some(self.inner.config.poll_interval),
        }
    }

    // ---- between turns -------------------------------------------------------------

    fn after_turn(&mut self) {
        if !self.state.is_unfinished() && self.place.take().is_some() {
            self.inner.close(self.state.facts.call);
        }
        if !self.is_task && self.state.view().is_some() {
            self.is_task = true;
            self.inner.metrics.tasks.increment(1);
        }
        let deadline = self.state.stored.then_some(self.state.deadline);
        if let Some(at) = deadline
            && self.deadline != deadline
        {
            let instant = self.instant(at);
            self.deadline = deadline;
            self.work
                .iter_mut()
                .for_each(|work| work.set_deadline(instant));
        }
    }

    /// Whether the actor is to end now. A stop leaves the call running at its worker.
    fn may_end(&mut self) -> Option<StopReason> {
        if self.stopping {
            return Some(StopReason::Stopped);
        }
        match self.state.rest() {
            Rest::Busy => None,
            _ if self.backlog.keep != Keep::Unchanged => None,
            Rest::Idle => self
                .slot
                .try_retire(&self.mailbox)
                .then_some(StopReason::Retired),
            Rest::Over => Some(StopReason::Stopped),
        }
    }

    fn set_alarm(&mut self) {
        let now = self.inner.env.wall();
        // Somebody holds it, or it would have retired: look again in a while.
        let idle = (self.state.rest() == Rest::Idle).then(|| now + IDLE_LOOK);
        let times = [self.state.next_tick(), self.retry_at, idle];
        let next = times.into_iter().flatten().min();
        self.alarm.set(next.map(|at| self.instant(at)));
    }

    fn instant(&self, at: Timestamp) -> Instant {
        let env = &self.inner.env;
        env.now() + at.since(env.wall())
    }
}

/// How often an idle actor looks whether it may retire.
const IDLE_LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Chatter for a slow request is dropped, never waited for.
fn tell(steps: &mpsc::Sender<Step>, step: Step) {
    drop(steps.try_send(step));
}
