//! The fourth beat: what is stored is said, to the worker and to clients.

use ostler_protocol::{call::Answer, task::TaskView};
use tokio::sync::mpsc;

use super::{Actor, Answered};
use crate::{
    error::TaskError,
    round::{End, InputRequired, Step},
    state::{Asking, Chatter, Effect, Reply, Ticket, View},
    token::{AskedKey, Token},
};

impl Actor {
    pub(super) fn publish(&mut self) {
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
    pub(super) fn finish(&mut self, ticket: Ticket, end: Result<End, TaskError>) {
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
}

/// Chatter for a slow request is dropped, never waited for.
fn tell(steps: &mpsc::Sender<Step>, step: Step) {
    drop(steps.try_send(step));
}
