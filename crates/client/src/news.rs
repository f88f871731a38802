//! What servers say beside their results, and how it is heard.

use std::collections::VecDeque;

use ostler_protocol::{Raw, sse::decode::Frame};

use crate::{
    error::Error,
    events::EventStream,
    host::{Answer, Answering, Ask, Host, Notice},
    json,
    message::{self, Message},
    request::ListKind,
};

/// The notice in a notification; nothing for one that is of no use to a host.
pub(crate) fn read(method: &str, params: &Raw) -> Option<Notice> {
    let number = |name: &str| params.get(name)?.to::<f64>().ok();
    let text = |name: &str| json::text_member(params, name);
    match method {
        "notifications/progress" => Some(Notice::Progress {
            progress: number("progress")?,
            total: number("total"),
            message: text("message"),
        }),
        "notifications/message" => Some(Notice::Log {
            level: text("level")?,
            logger: text("logger"),
            data: params.get("data")?,
        }),
        "notifications/tools/list_changed" => Some(Notice::Changed(ListKind::Tools)),
        "notifications/prompts/list_changed" => Some(Notice::Changed(ListKind::Prompts)),
        "notifications/resources/list_changed" => Some(Notice::Changed(ListKind::Resources)),
        "notifications/resources/updated" => Some(Notice::Updated { uri: text("uri")? }),
        "notifications/elicitation/complete" => Some(Notice::Visited {
            id: text("elicitationId")?,
        }),
        "notifications/tasks" | "notifications/tasks/status" => task(params),
        _ => None,
    }
}

/// Where a task stands.
pub(crate) fn task(view: &Raw) -> Option<Notice> {
    Some(Notice::Task {
        id: json::text_member(view, "taskId")?,
        status: json::text_member(view, "status")?,
        message: json::text_member(view, "statusMessage"),
    })
}

/// Who we are, for the server.
pub(crate) fn client_info() -> Raw {
    let members = [("name", "ostler"), ("version", env!("CARGO_PKG_VERSION"))];
    json::object(members.map(|(name, value)| (name, Raw::from_text(value))))
}

/// Hears nothing and answers nothing.
pub(crate) struct Deaf;

impl Host for Deaf {
    fn notice(&mut self, _: Notice) {}

    fn answer(&mut self, _: Ask, _: Option<&str>) -> Answering {
        Box::pin(async { Answer::Refused })
    }
}

/// The messages of a stream. Events without data say nothing ([SSE-2]).
pub(crate) struct Messages {
    events: EventStream,
    ready: VecDeque<Message>,
    pub last_id: Option<String>,
    pub retry_ms: Option<u64>,
}

impl Messages {
    pub(crate) fn new(events: EventStream) -> Self {
        Self {
            events,
            ready: VecDeque::new(),
            last_id: None,
            retry_ms: None,
        }
    }

    /// The next message; `None` at the end of the stream.
    // Cancel safe: what was read is kept.
    pub(crate) async fn next_message(&mut self) -> Result<Option<Message>, Error> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Ok(Some(message));
            }
            match self.events.next_frame().await? {
                None => return Ok(None),
                Some(Frame::Comment) => {}
                Some(Frame::Event(event)) => {
                    // An empty id takes the last one back: there is nowhere to come back to.
                    let id = event.id.or(self.last_id.take());
                    self.last_id = id.filter(|id| !id.is_empty());
                    self.retry_ms = event.retry_ms.or(self.retry_ms);
                    let is_message = event.name.as_deref().is_none_or(|name| name == "message");
                    if is_message && !event.data.is_empty() {
                        self.ready.extend(message::read(event.data)?);
                    }
                }
            }
        }
    }
}
