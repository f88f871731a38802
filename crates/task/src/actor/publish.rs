//! The fourth beat: what is stored is said, to the worker and to clients.

use std::time::Duration;

use bytes::Bytes;
use ostler_protocol::{
    call::{Answer, CallEvent},
    fault::Fault,
    task::{TaskView, legacy},
};
use tokio::sync::mpsc;

use super::{Actor, Answered, persist::Stored};
use crate::{
    error::TaskError,
    requested::News,
    round::{End, InputRequired, Step},
    state::{Asking, Chatter, Effect, Reply, Ticket, View},
    token::{AskedKey, Token},
};

/// A session is told of the progress of one task no more often [P-7].
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

impl Actor {
    pub(super) fn publish(&mut self, stored: Stored) {
        for effect in stored.into_effects() {
            match effect {
                Effect::Feed(answers) => self.feed(answers),
                Effect::Recorded => self.recorded(),
                Effect::Reply(ticket, reply) => self.reply(ticket, reply),
                Effect::Chatter(chatter) => self.chatter(&chatter),
                Effect::Tell(ticket, event) => self.tell(ticket, event),
                Effect::Publish(view) => self.publish_view(view),
            }
        }
    }

    fn publish_view(&self, view: View) {
        let facts = &self.state.facts;
        let view = self.show(view);
        if facts.request.is_some() {
            let status = legacy::status(&view);
            self.inner.tell_session(facts, News::Status(status));
        }
        self.inner.listens.publish(facts.id, || view);
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
    pub(super) fn finish(&mut self, ticket: Ticket, end: Result<End, TaskError>) {
        let at = self.followers.iter().position(|f| f.ticket == ticket);
        if let Some(at) = at {
            // The request may be gone; then its end is of no use to anybody.
            drop(self.followers.swap_remove(at).end.send(end));
            return;
        }
        if self.waiters.iter().any(|w| w.ticket == ticket) {
            if let Err(error) = end {
                let refused = Err(Fault::from(error).to_failure());
                self.tell(ticket, CallEvent::Outcome(refused));
            }
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

    fn chatter(&mut self, chatter: &Chatter) {
        for follower in &self.followers {
            let step = match chatter.clone() {
                Chatter::Progress(progress) => Step::Progress(progress),
                Chatter::Log(log) => Step::Log(log),
            };
            tell(&follower.steps, step);
        }
        if self.is_task {
            self.chatter_of_task(chatter);
        }
    }

    /// On the requests that wait, or else to the session that asked for the task [P-8].
    fn chatter_of_task(&mut self, chatter: &Chatter) {
        let (event, message) = match chatter.clone() {
            Chatter::Log(log) => (CallEvent::Log(log), None),
            Chatter::Progress(progress) => match self.relay.progress(&progress) {
                Some(message) => (CallEvent::Progress(progress), Some(message)),
                None => return,
            },
        };
        for waiter in &self.waiters {
            waiter.chat(event.clone());
        }
        if let (true, Some(message)) = (self.waiters.is_empty(), message) {
            self.tell_progress(&message);
        }
    }

    fn tell_progress(&mut self, message: &Bytes) {
        let now = self.inner.env.now();
        let told_at = self.progress_told_at;
        if told_at.is_none_or(|at| now >= at + PROGRESS_PAUSE) {
            self.progress_told_at = Some(now);
            let facts = &self.state.facts;
            let message = legacy::relate(message, &self.inner.wire_id(facts.id));
            self.inner.tell_session(facts, News::Progress(message));
        }
    }

    fn tell(&mut self, ticket: Ticket, event: CallEvent) {
        let at = self.waiters.iter().position(|w| w.ticket == ticket);
        let Some(at) = at else { return };
        match event {
            event @ CallEvent::Outcome(_) => self.waiters.swap_remove(at).tell(event),
            event => self.waiters[at].tell(event),
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
}

/// Chatter for a slow request is dropped, never waited for.
fn tell(steps: &mpsc::Sender<Step>, step: Step) {
    drop(steps.try_send(step));
}
