//! What the machine wants done, and what it says.

use std::time::Duration;

use ostler_protocol::{
    call::{Answer, CallEvent, Log, Outcome, Progress},
    task::TaskState as Standing,
};
use ostler_types::Timestamp;

use super::{Asked, TaskState, Ticket};
use crate::{error::TaskError, known::KnownAnswers};

/// What one turn wants done. The actor stores first; only then does it do the rest, in order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Effects {
    pub keep: Keep,
    /// The call is told to stop. Nothing is shown by that, so it waits for no store.
    pub cancel_call: bool,
    pub effects: Vec<Effect>,
}

/// What is to become of the stored rows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    #[default]
    Unchanged,
    Save,
    Erase,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// To the worker.
    Feed(Vec<Answer>),
    /// To the worker: its outcome is safe.
    Recorded,
    /// To one request.
    Reply(Ticket, Reply),
    /// To every follower, or every waiter.
    Chatter(Chatter),
    /// To one waiter.
    Tell(Ticket, CallEvent),
    /// To whoever listens to this task.
    Publish(View),
}

/// What a worker says on its way. Never stored, dropped when nobody has room for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Chatter {
    Progress(Progress),
    Log(Log),
}

#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// The request follows the call now.
    Following,
    Asking(Asking),
    Outcome(Outcome),
    Task(View),
    /// Run the call again from its start.
    Rerun(KnownAnswers),
    Acknowledged,
    Refused(TaskError),
}

/// A round of questions, for a token.
#[derive(Debug, PartialEq)]
pub(crate) struct Asking {
    pub round: u32,
    pub questions: Vec<Asked>,
    pub expires_at: Timestamp,
}

/// A task as its client may see it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    pub standing: Standing,
    pub message: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub ttl: Duration,
}

impl Effects {
    pub fn save(&mut self) {
        if self.keep == Keep::Unchanged {
            self.keep = Keep::Save;
        }
    }

    pub fn erase(&mut self) {
        self.keep = Keep::Erase;
    }

    pub fn cancel_call(&mut self) {
        self.cancel_call = true;
    }

    /// Adds what a later turn wants.
    pub fn append(&mut self, later: Effects) {
        self.keep = match (self.keep, later.keep) {
            (Keep::Erase, _) | (_, Keep::Erase) => Keep::Erase,
            (Keep::Save, _) | (_, Keep::Save) => Keep::Save,
            (Keep::Unchanged, Keep::Unchanged) => Keep::Unchanged,
        };
        self.cancel_call |= later.cancel_call;
        self.effects.extend(later.effects);
    }

    pub fn drop_chatter(&mut self) {
        let is_chatter = |effect: &Effect| matches!(effect, Effect::Chatter(_));
        self.effects.retain(|effect| !is_chatter(effect));
    }

    pub fn has_replies(&self) -> bool {
        let is_reply = |effect: &Effect| matches!(effect, Effect::Reply(..));
        self.effects.iter().any(is_reply)
    }

    /// Takes the replies out, and the views that are older than what will be stored. Returns
    /// who is to be refused.
    pub fn take_replies(&mut self) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        let last_view = self
            .effects
            .iter()
            .rposition(|e| matches!(e, Effect::Publish(_)));
        let mut at = 0;
        self.effects.retain(|effect| {
            let is_last_view = Some(at) == last_view;
            at += 1;
            match effect {
                Effect::Reply(ticket, _) => {
                    tickets.push(*ticket);
                    false
                }
                Effect::Publish(_) => is_last_view,
                Effect::Chatter(_) => false,
                Effect::Feed(_) | Effect::Recorded | Effect::Tell(..) => true,
            }
        });
        tickets
    }

    pub fn feed(&mut self, answers: Vec<Answer>) {
        if !answers.is_empty() {
            self.effects.push(Effect::Feed(answers));
        }
    }

    pub fn recorded(&mut self) {
        self.effects.push(Effect::Recorded);
    }

    pub fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.effects.push(Effect::Reply(ticket, reply));
    }

    pub fn refuse(&mut self, ticket: Ticket, error: TaskError) {
        self.reply(ticket, Reply::Refused(error));
    }

    pub fn tell(&mut self, ticket: Ticket, event: CallEvent) {
        self.effects.push(Effect::Tell(ticket, event));
    }

    pub fn chatter(&mut self, chatter: Chatter) {
        self.effects.push(Effect::Chatter(chatter));
    }

    /// Tells those who listen how the task stands now, if it is one.
    pub fn publish(&mut self, state: &TaskState) {
        if let Some(view) = state.view() {
            self.effects.push(Effect::Publish(view));
        }
    }
}
