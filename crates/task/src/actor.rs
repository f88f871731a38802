//! The actor of one call that outlives its request.
//!
//! Each turn has four beats: drain what has come in, decide (the machine), persist, publish.
//! What cannot be stored is not shown: the requests of that turn are refused, everything else
//! waits until the store takes it. Only the order to cancel a call waits for nothing.
//! The call itself runs at a worker; losing this actor loses nothing that was shown.

mod persist;
mod publish;

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
    relay::Relay,
    task::TaskView,
};
use ostler_types::{CallKind, Instant, TaskId, Timestamp};

use crate::{
    error::TaskError,
    facts::Owner,
    live::Inner,
    quota,
    round::Follower,
    state::{Effects, Input, Keep, Rest, Resume, TaskState, Ticket},
    waiting::Waiter,
    work::Work,
};

/// How others reach the actor.
pub(crate) struct Handle {
    pub address: Address<Control, Command>,
    pub owner: Owner,
    pub kind: CallKind,
    pub target: String,
    /// Of the client that asked for a task.
    pub progress_token: Option<Raw>,
}

/// What overtakes commands.
#[derive(Debug)]
pub(crate) enum Control {
    /// The worker named the call again.
    Rebind,
    /// The worker is another process now.
    Lost,
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
    CancelNow(Port<Answered>),
    Wait(Waiter),
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
    waiters: Vec<Waiter>,
    /// What of the progress a client that asked for a task is told, over its whole life.
    relay: Relay,
    /// When its session was last told of progress.
    progress_told_at: Option<Instant>,
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
    Answer(Ticket, Answer),
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
        let facts = &start.state.facts;
        let token = facts.request.as_ref();
        let token = token.and_then(|request| request.progress_token.clone());
        let relay = Relay::new(facts.revision, token, None);
        Self {
            slot,
            mailbox,
            stored: start.state.stored,
            is_task: start.state.view().is_some(),
            state: start.state,
            work: start.work,
            unheard: Vec::new(),
            followers: start.follower.into_iter().collect(),
            waiters: Vec::new(),
            relay,
            progress_told_at: None,
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
        for waiter in &mut self.waiters {
            if let Poll::Ready(answer) = waiter.answers.poll_recv(cx) {
                let ticket = waiter.ticket;
                let answer = answer.map(|answer| Wake::Answer(ticket, answer));
                return Poll::Ready(answer.unwrap_or(Wake::Left(ticket)));
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
            Wake::Answer(ticket, answer) => {
                self.apply(Input::Answers(ticket, vec![answer]), fx);
            }
            Wake::Left(ticket) => {
                self.followers.retain(|follower| follower.ticket != ticket);
                self.waiters.retain(|waiter| waiter.ticket != ticket);
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
            Control::Lost => self.apply(Input::Lost, fx),
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
            Command::CancelNow(port) => {
                let ticket = self.ask(port);
                self.apply(Input::CancelNow(ticket), fx);
            }
            Command::Wait(waiter) => {
                let input = Input::Wait(waiter.ticket, waiter.by);
                self.waiters.push(waiter);
                self.apply(input, fx);
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
        if self.work.is_some() || !self.state.is_unfinished() {
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

    // ---- between turns -------------------------------------------------------------

    fn after_turn(&mut self) {
        // Before its end is stored, whoever says that nobody owns the call loses the outcome.
        let stored = self.backlog.keep == Keep::Unchanged;
        if stored && !self.state.is_unfinished() && self.place.take().is_some() {
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
