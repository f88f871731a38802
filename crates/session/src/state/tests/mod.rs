//! The machine by its inputs and effects. A script feeds inputs; each step says what it had
//! for effects, one line each, writes (`+`, `-`) before acts.

mod batches;
mod calls;
mod questions;
mod standalone;
mod whole;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ostler_protocol::{
    RequestId, Revision,
    call::{Answer, CallEvent, Log, LogLevel, Progress, Question, QuestionKind},
    facet::{Capability, ClientFacet},
    json::Raw,
};
use ostler_types::{CallId, CallKind, Instant, Timestamp};

use super::*;
use crate::stream::Place;

/// A machine, its clock, and the effects of the last input.
struct Script {
    state: SessionState,
    now: Instant,
}

/// The stream of the `count`-th call.
fn call_stream(count: u32) -> StreamId {
    StreamId::of_call(1, count)
}

fn terms(config: Config) -> Terms {
    Terms {
        revision: Revision::V2025_11_25,
        facet: ClientFacet::with(&[Capability::ElicitForm]),
        epoch: 1,
        lifetime: Lifetime::Rows,
        config: Arc::new(config),
    }
}

impl Script {
    /// An open session whose client can be asked for forms.
    fn new() -> Self {
        let initialized = true;
        Script::restored(
            Config::default(),
            Restored {
                initialized,
                ..Restored::default()
            },
        )
    }

    fn with(config: Config) -> Self {
        let initialized = true;
        Script::restored(
            config,
            Restored {
                initialized,
                ..Restored::default()
            },
        )
    }

    /// One of a client that gets no priming events.
    fn older() -> Self {
        let terms = Terms {
            revision: Revision::V2025_06_18,
            ..terms(Config::default())
        };
        let now = Instant(0) + Duration::from_secs(100);
        let restored = Restored {
            initialized: true,
            ..Restored::default()
        };
        Script {
            state: SessionState::new(now, terms, restored),
            now,
        }
    }

    fn restored(config: Config, restored: Restored) -> Self {
        let now = Instant(0) + Duration::from_secs(100);
        Script {
            state: SessionState::new(now, terms(config), restored),
            now,
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// Applies one input and renders its effects.
    fn apply(&mut self, input: Input) -> Vec<String> {
        let mut effects = Effects::default();
        self.state
            .apply(self.now, input, &mut effects)
            .expect("taken");
        render(&effects)
    }

    fn refused(&mut self, input: Input) -> SessionError {
        let mut effects = Effects::default();
        let refused = self.state.apply(self.now, input, &mut effects);
        assert!(effects.writes.is_empty() && effects.acts.is_empty());
        refused.expect_err("refused")
    }

    /// Applies one input and compares its effects.
    fn check(&mut self, input: Input, expected: &[&str]) {
        assert_eq!(self.apply(input), expected);
    }

    /// A call with request id 1, 2, … in the order of adoption, kept by its worker.
    fn adopt_kept(&mut self) -> CallId {
        let count = u64::try_from(self.state.calls.len()).unwrap() + 1;
        self.apply(adopt(count, vec![]));
        self.apply(event(call(count), CallEvent::Kept));
        call(count)
    }
}

fn adopt(request: u64, backlog: Vec<CallEvent>) -> Input {
    adopt_all(vec![], vec![adopted(request, backlog)])
}

fn adopt_all(answered: Vec<Bytes>, calls: Vec<Adopted>) -> Input {
    Input::Adopt(Box::new(Adoption {
        arrival: 0,
        answered,
        calls,
    }))
}

fn adopted(request: u64, backlog: Vec<CallEvent>) -> Adopted {
    Adopted {
        facts: facts(request),
        cancelled: false,
        backlog,
    }
}

/// The call of this request.
fn call(request: u64) -> CallId {
    CallId(u128::from(request))
}

fn facts(request: u64) -> CallFacts {
    CallFacts {
        call: call(request),
        request: RequestId::number(request),
        kind: CallKind::Tool,
        target: "echo".into(),
        progress_token: Some(Raw::from_static("\"p\"")),
        placement: None,
        deadline: Timestamp(0),
        task: None,
    }
}

fn event(call: CallId, event: CallEvent) -> Input {
    Input::Event { call, event }
}

fn outcome() -> CallEvent {
    CallEvent::Outcome(Ok(Raw::from_static(
        r#"{"content":[{"type":"text","text":"hi"}]}"#,
    )))
}

fn progress(progress: f64) -> CallEvent {
    CallEvent::Progress(Progress {
        progress,
        total: None,
        message: None,
    })
}

fn log(level: LogLevel) -> CallEvent {
    CallEvent::Log(Log {
        level,
        logger: None,
        data: Raw::from_static("\"x\""),
    })
}

fn form(key: &str) -> Question {
    Question {
        key: key.into(),
        kind: QuestionKind::ElicitForm,
        params: Raw::from_static(
            r#"{"message":"?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}}"#,
        ),
    }
}

fn sample(key: &str) -> Question {
    Question {
        key: key.into(),
        kind: QuestionKind::Sample,
        params: Raw::from_static(
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"?"}}],"maxTokens":9}"#,
        ),
    }
}

fn render(effects: &Effects) -> Vec<String> {
    let writes = effects.writes.iter().map(render_write);
    writes.chain(effects.acts.iter().map(render_act)).collect()
}

fn render_write(write: &Write) -> String {
    match write {
        Write::Session => "+session".into(),
        Write::Call { facts, .. } => format!("+call {}", facts.request),
        Write::DropCall { call } => format!("-call {}", call.0),
        Write::Event {
            stream,
            place,
            data,
            last,
        } => {
            let last = if *last { " last" } else { "" };
            format!(
                "+event {} {} {}{last}",
                name(*stream),
                at(*place),
                shown(data)
            )
        }
        Write::DropEvent { stream, place } => format!("-event {} {}", name(*stream), at(*place)),
        Write::Question { id, asked, .. } => {
            format!(
                "+question {} {}",
                id.to_text(),
                asked.answer.as_ref().map_or("open".into(), value)
            )
        }
        Write::DropQuestion { id, .. } => format!("-question {}", id.to_text()),
    }
}

fn render_act(act: &Act) -> String {
    match act {
        Act::Keep { stream, .. } => format!("keep {}", name(*stream)),
        Act::Refuse { fault, .. } => format!("refuse: {fault}"),
        Act::Show {
            stream,
            place,
            data,
        } => {
            format!("show {} {} {}", name(*stream), at(*place), shown(data))
        }
        Act::Chat { stream, data, .. } => format!("chat {} {}", name(*stream), shown(data)),
        Act::Complete { stream } => format!("complete {}", name(*stream)),
        Act::Release { request } => format!("release {request}"),
        Act::Answer { answer, .. } => format!("answer {}: {}", answer.key, value(answer)),
        Act::Cancel { call, .. } => format!("cancel {}", call.0),
        Act::Recorded { call } => format!("recorded {}", call.0),
        Act::Listen { .. } => "listen".into(),
        Act::Replay { cursor, live, .. } => {
            let live = if *live { "live" } else { "ended" };
            format!("replay {} {} {live}", name(cursor.stream), at(cursor.place))
        }
        Act::Watch { uri, .. } => format!("watch {uri}"),
        Act::Unwatch { uri } => format!("unwatch {uri}"),
        Act::Extend { call } => format!("extend {}", call.0),
        Act::ComeBack { stream } => format!("come back {}", name(*stream)),
        Act::Count(counted) => format!("count {counted:?}"),
    }
}

fn value(answer: &Answer) -> String {
    match &answer.value {
        Ok(value) => value.to_string(),
        Err(failure) => format!("{failure:?}"),
    }
}

fn name(stream: StreamId) -> String {
    match stream {
        StreamId::STANDALONE => "get".into(),
        StreamId(number) => format!("post{}", number & 0xffff_ffff),
    }
}

fn at(place: Place) -> String {
    format!("{}.{}", place.epoch, place.seq)
}

/// What a message is, by its method or its kind of response.
fn shown(data: &Bytes) -> String {
    if data.is_empty() {
        return "empty".into();
    }
    let message = Raw::parse(data.clone(), 64).expect("a message is good JSON");
    let method = message
        .get("method")
        .and_then(|method| method.text().map(|m| m.into_owned()));
    let code = || message.get("error").and_then(|error| error.get("code"));
    method.unwrap_or_else(|| code().map_or("result".into(), |code| format!("error {code}")))
}
