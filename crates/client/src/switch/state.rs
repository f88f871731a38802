//! Whose is it? The machine that sorts what comes on a channel that several requests share.
//!
//! Responses name their request, progress its token, news of a listen its subscription. What a
//! legacy server asks and logs names nothing: it goes to a request of the only principal that has
//! any there, and to nobody where there are several, because it must be shown to no other. A
//! request that was left without its response counts among them: see `ghosts`.

use std::collections::BTreeMap;

use bytes::Bytes;
use ostler_protocol::{Raw, RequestId};
use ostler_types::Instant;

use super::ghosts::Ghosts;
use crate::{
    code,
    error::Error,
    host::{Abilities, Ask, Notice},
    json,
    limits::Limits,
    message::{self, Message, RpcError},
};

pub(crate) const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// A request that waits for its response, or a listen.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    pub id: u64,
    /// Equal owners are one principal.
    pub owner: u64,
    /// What its progress is named by.
    pub token: u64,
    /// The task whose result it waits for.
    pub task: Option<String>,
    pub part: Part,
}

/// What may come for a flight besides its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// A list, a handshake: nothing.
    Plain,
    /// A modern call: progress and logs. Its questions come in its results.
    Call,
    /// A legacy call: the same, and questions that its owner can answer.
    Asking(Abilities),
    /// What belongs to no request; questions too, while there is no call.
    Listen(Abilities),
}

#[derive(Debug)]
pub(super) enum Input {
    Begun(Flight),
    /// The first byte of it is about to go.
    Written {
        id: u64,
    },
    /// What was delivered to it is no longer kept here.
    Taken {
        id: u64,
        bytes: usize,
    },
    /// The server is not at work for it, any more or at all.
    Settled {
        id: u64,
    },
    /// The server will be at work for it until it has answered another request.
    Outlasts {
        id: u64,
        until: u64,
    },
    /// Nobody here waits for it any more.
    Ended {
        id: u64,
    },
    /// It was given the question to visit this page.
    Awaits {
        id: u64,
        page: String,
    },
    /// A question that was given to one of them.
    Answered {
        asked: RequestId,
    },
    Heard(Message),
    /// Nothing comes any more.
    Broke {
        reason: String,
    },
}

#[derive(Debug)]
pub(super) enum Effect {
    Deliver {
        to: u64,
        item: Item,
    },
    /// It gets no response.
    Fail {
        to: u64,
        error: Error,
    },
    /// An answer of ours to the server.
    Say(Bytes),
}

/// What a flight is given.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Message(Message),
    Notice(Notice),
}

#[derive(Debug)]
pub(super) struct State {
    flights: BTreeMap<u64, Entry>,
    ghosts: Ghosts,
    bytes_max: usize,
    asks_max: usize,
}

#[derive(Debug)]
struct Entry {
    flight: Flight,
    /// The request whose response says that the server is at work for it no more.
    last: u64,
    is_written: bool,
    /// Delivered and not taken.
    bytes: usize,
    /// Questions given to it and not answered, so that it hears when they are taken back.
    asked: Vec<RequestId>,
    /// Pages that it was asked to have visited, and that are not done.
    pages: Vec<String>,
}

/// Why a question is shown to nobody.
type Refusal = &'static str;

const NO_CALL: Refusal = "nobody is there to be asked: no call is in progress";
const OTHERS: Refusal = "whom this is for cannot be told: calls of several principals are in \
    progress, or were a moment ago; a server that asks must be hosted for each principal";
pub(crate) const TOO_MUCH: Refusal = "too much waits to be answered";
const NO_SUCH_TASK: Refusal = "nobody waits for that task";

impl State {
    pub(super) fn new(limits: &Limits) -> State {
        State {
            flights: BTreeMap::new(),
            ghosts: Ghosts::new(limits.ghost_max),
            // What may wait for one flight; its response comes on top.
            bytes_max: limits.message_bytes_max,
            asks_max: limits.asks_max(),
        }
    }

    pub(super) fn has(&self, id: u64) -> bool {
        self.flights.contains_key(&id)
    }

    pub(super) fn has_listen(&self) -> bool {
        let mut flights = self.flights.values();
        flights.any(|entry| matches!(entry.flight.part, Part::Listen(_)))
    }

    pub(super) fn apply(&mut self, now: Instant, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Begun(flight) => {
                let entry = Entry {
                    last: flight.id,
                    is_written: false,
                    bytes: 0,
                    asked: Vec::new(),
                    pages: Vec::new(),
                    flight,
                };
                self.flights.insert(entry.flight.id, entry);
            }
            Input::Written { id } => {
                if let Some(entry) = self.flights.get_mut(&id) {
                    entry.is_written = true;
                }
            }
            Input::Taken { id, bytes } => {
                if let Some(entry) = self.flights.get_mut(&id) {
                    entry.bytes = entry.bytes.saturating_sub(bytes);
                }
            }
            Input::Settled { id } => {
                self.settle(id);
            }
            Input::Outlasts { id, until } => {
                if let Some(entry) = self.flights.get_mut(&id) {
                    entry.last = until;
                }
            }
            Input::Ended { id } => self.end(now, id),
            Input::Awaits { id, page } => {
                let entry = self.flights.get_mut(&id);
                if let Some(entry) = entry.filter(|entry| entry.pages.len() < self.asks_max) {
                    entry.pages.push(page);
                }
            }
            Input::Answered { asked } => {
                self.forget(&asked.to_raw());
            }
            Input::Heard(message) => self.hear(now, message, effects),
            Input::Broke { reason } => self.fail(&reason, effects),
        }
    }

    /// What comes after it is for what is in flight then; whether anybody waited for it.
    fn settle(&mut self, id: u64) -> bool {
        self.ghosts.lay(id);
        self.flights.remove(&id).is_some()
    }

    fn end(&mut self, now: Instant, id: u64) {
        let Some(entry) = self.flights.remove(&id) else {
            return;
        };
        let is_call = matches!(entry.flight.part, Part::Call | Part::Asking(_));
        if entry.is_written && is_call {
            self.ghosts.add(now, entry.last, entry.flight.owner);
        }
    }

    fn hear(&mut self, now: Instant, message: Message, effects: &mut Vec<Effect>) {
        match message {
            Message::Response { id, result } => {
                let of = match &id {
                    Some(id) => number(id),
                    None => self.only_request(now),
                };
                // A task that was made before the cancel came runs on, and may ask.
                let is_left = of.is_some_and(|of| !self.flights.contains_key(&of));
                if is_left && makes_task(&result) {
                    return;
                }
                // One that nobody waits for any more is what cancelling leaves behind ([CAN-4]).
                if let Some(to) = of.filter(|of| self.settle(*of)) {
                    let item = Item::Message(Message::Response { id, result });
                    effects.push(Effect::Deliver { to, item });
                }
            }
            Message::Request { id, method, .. } if method == "ping" => {
                let pong = message::response(&id, Ok(Raw::empty_object()));
                effects.push(Effect::Say(pong));
            }
            Message::Request { id, method, params } => {
                self.ask(now, (id, method, params), effects);
            }
            Message::Notification { method, params } => self.note(now, method, params, effects),
        }
    }

    /// Gives a question to whom it is for, or refuses it.
    fn ask(
        &mut self,
        now: Instant,
        (id, method, params): (RequestId, String, Raw),
        effects: &mut Vec<Effect>,
    ) {
        let bytes = params.as_str().len();
        let refusal = match self.whose(now, &method, &params) {
            Ok(to) if self.has_room(to, bytes) && self.books(to, &id) => {
                let message = Message::Request { id, method, params };
                return self.deliver(to, Item::Message(message), effects);
            }
            Ok(_) => TOO_MUCH,
            Err(refusal) => refusal,
        };
        let answer = message::response(&id, Err((code::INTERNAL_ERROR, refusal)));
        effects.push(Effect::Say(answer));
        let notice = Notice::Refused {
            ask: method,
            reason: refusal,
        };
        self.tell(Item::Notice(notice), effects);
    }

    fn whose(&self, now: Instant, method: &str, params: &Raw) -> Result<u64, Refusal> {
        if let Some(task) = related_task(params) {
            return self.waits_for(&task).ok_or(NO_SUCH_TASK);
        }
        let ask = Ask::read(method, params).ok().flatten();
        let can = |abilities: Abilities| ask.as_ref().is_some_and(|ask| abilities.has(ask));
        // The server asks for nothing that it has not read a byte of.
        let asking = |entry: &&Entry| match entry.flight.part {
            Part::Asking(_) => entry.is_written,
            Part::Plain | Part::Call | Part::Listen(_) => false,
        };
        let calls: Vec<_> = self.flights.values().filter(asking).collect();
        let newest = match calls.last() {
            Some(newest) => *newest,
            None => self.listener(can).ok_or(NO_CALL)?,
        };
        let owner = newest.flight.owner;
        let has_others = calls.iter().any(|entry| entry.flight.owner != owner);
        if has_others || self.ghosts.has_others(now, owner) {
            return Err(OTHERS);
        }
        // One that cannot be asked this says so itself, in the words of the specification.
        let able = calls.iter().rev().find(|entry| entry.is_able(can));
        Ok(able.map_or(newest.flight.id, |entry| entry.flight.id))
    }

    fn listener(&self, can: impl Fn(Abilities) -> bool) -> Option<&Entry> {
        let mut flights = self.flights.values().rev();
        flights.find(|entry| match entry.flight.part {
            Part::Listen(abilities) => can(abilities),
            Part::Plain | Part::Call | Part::Asking(_) => false,
        })
    }

    fn note(&mut self, now: Instant, method: String, params: Raw, effects: &mut Vec<Effect>) {
        let waiting = match method.as_str() {
            "notifications/elicitation/complete" => self.visited(&params),
            _ => Vec::new(),
        };
        if !waiting.is_empty() {
            for to in waiting {
                let (method, params) = (method.clone(), params.clone());
                let item = Item::Message(Message::Notification { method, params });
                self.deliver(to, item, effects);
            }
            return;
        }
        let to = match method.as_str() {
            "notifications/cancelled" => match self.cancelled(&params) {
                None => return,
                some => some,
            },
            "notifications/progress" => match self.with_token(&params) {
                // Progress of what is over.
                None => return,
                some => some,
            },
            "notifications/message" => self.named(&params).or_else(|| self.only_owner(now)),
            _ => self.named(&params),
        };
        let item = Item::Message(Message::Notification { method, params });
        match to {
            Some(to) => self.deliver(to, item, effects),
            None => self.tell(item, effects),
        }
    }

    /// The flight that a notification names: by its subscription or its task.
    fn named(&self, params: &Raw) -> Option<u64> {
        let meta = params.get("_meta").unwrap_or_default();
        let subscription = meta.get(SUBSCRIPTION).and_then(|id| id.to::<u64>().ok());
        if let Some(id) = subscription.filter(|id| self.flights.contains_key(id)) {
            return Some(id);
        }
        let task = related_task(params).or_else(|| json::text_member(params, "taskId"));
        task.and_then(|task| self.waits_for(&task))
    }

    /// Who waits for a page that is done now. Several may have been sent to the same.
    fn visited(&mut self, params: &Raw) -> Vec<u64> {
        let done = json::text_member(params, "elicitationId").unwrap_or_default();
        let flights = self.flights.values_mut();
        let waiting = flights.filter_map(|entry| {
            let at = entry.pages.iter().position(|page| *page == done)?;
            entry.pages.swap_remove(at);
            Some(entry.flight.id)
        });
        waiting.collect()
    }

    /// Whom a notification of what ended concerns: whoever was asked, or the listen it names.
    fn cancelled(&mut self, params: &Raw) -> Option<u64> {
        let of = params.get("requestId")?;
        let asked = self.forget(&of);
        let listen = || {
            let entry = self.flights.get(&of.to::<u64>().ok()?)?;
            matches!(entry.flight.part, Part::Listen(_)).then_some(entry.flight.id)
        };
        asked.or_else(listen)
    }

    /// Forgets a question; whom it was given to.
    fn forget(&mut self, asked: &Raw) -> Option<u64> {
        self.flights.values_mut().find_map(|entry| {
            let at = entry.asked.iter().position(|id| id.to_raw() == *asked)?;
            entry.asked.swap_remove(at);
            Some(entry.flight.id)
        })
    }

    /// The newest whose progress is named so: a call that became a task has several requests.
    fn with_token(&self, params: &Raw) -> Option<u64> {
        let token = params.get("progressToken")?.to::<u64>().ok()?;
        let mut flights = self.flights.values().rev();
        let found = flights.find(|entry| entry.flight.token == token);
        found.map(|entry| entry.flight.id)
    }

    /// The newest that waits for this task.
    fn waits_for(&self, task: &str) -> Option<u64> {
        let mut flights = self.flights.values().rev();
        let found = flights.find(|entry| entry.flight.task.as_deref() == Some(task));
        found.map(|entry| entry.flight.id)
    }

    /// The newest call, if all calls are of one principal.
    fn only_owner(&self, now: Instant) -> Option<u64> {
        let is_call = |entry: &&Entry| match entry.flight.part {
            Part::Call | Part::Asking(_) => entry.is_written,
            Part::Plain | Part::Listen(_) => false,
        };
        let mut calls = self.flights.values().filter(is_call);
        let newest = &calls.next_back()?.flight;
        let is_alone = calls.all(|entry| entry.flight.owner == newest.owner)
            && !self.ghosts.has_others(now, newest.owner);
        is_alone.then_some(newest.id)
    }

    /// The only one that the server can be at.
    fn only_request(&self, now: Instant) -> Option<u64> {
        if self.ghosts.has_any(now) {
            return None;
        }
        let mut waiting = self.flights.values().filter(|entry| entry.is_written);
        match (waiting.next(), waiting.next()) {
            (Some(only), None) => Some(only.flight.id),
            _ => None,
        }
    }

    /// News that belong to nobody, for all that listen.
    fn tell(&mut self, item: Item, effects: &mut Vec<Effect>) {
        let listens: Vec<_> = self
            .flights
            .values()
            .filter(|entry| matches!(entry.flight.part, Part::Listen(_)))
            .map(|entry| entry.flight.id)
            .collect();
        for to in listens {
            self.deliver(to, item.clone(), effects);
        }
    }

    /// Nobody relies on news: what finds no room is left out.
    fn deliver(&mut self, to: u64, item: Item, effects: &mut Vec<Effect>) {
        let bytes = item.bytes();
        if !self.has_room(to, bytes) {
            return;
        }
        if let Some(entry) = self.flights.get_mut(&to) {
            entry.bytes += bytes;
            effects.push(Effect::Deliver { to, item });
        }
    }

    fn has_room(&self, to: u64, bytes: usize) -> bool {
        let entry = self.flights.get(&to);
        entry.is_some_and(|entry| entry.bytes + bytes <= self.bytes_max)
    }

    fn books(&mut self, to: u64, id: &RequestId) -> bool {
        let Some(entry) = self.flights.get_mut(&to) else {
            return false;
        };
        let is_free = entry.asked.len() < self.asks_max;
        if is_free {
            entry.asked.push(id.clone());
        }
        is_free
    }

    fn fail(&mut self, reason: &str, effects: &mut Vec<Effect>) {
        for (to, entry) in std::mem::take(&mut self.flights) {
            let reason = reason.to_owned();
            let error = match entry.is_written {
                true => Error::Broken { reason },
                false => Error::NotSent { reason },
            };
            effects.push(Effect::Fail { to, error });
        }
    }
}

impl Entry {
    fn is_able(&self, can: impl Fn(Abilities) -> bool) -> bool {
        matches!(self.flight.part, Part::Asking(abilities) if can(abilities))
    }
}

impl Item {
    /// About what it takes to keep it.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Item::Message(message) => message.bytes(),
            Item::Notice(_) => size_of::<Item>(),
        }
    }
}

/// Our ids are numbers.
fn number(id: &RequestId) -> Option<u64> {
    id.as_raw().parse().ok()
}

fn makes_task(result: &Result<Raw, RpcError>) -> bool {
    let task = result.as_ref().ok().and_then(|result| result.get("task"));
    task.is_some_and(|task| task.get("taskId").is_some())
}

fn related_task(params: &Raw) -> Option<String> {
    let task = params.get("_meta")?.get(RELATED_TASK)?;
    json::text_member(&task, "taskId")
}
