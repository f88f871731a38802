//! Whose question it is that the host answers. A session that took the place of another counts its
//! questions from the beginning again: unmarked, an answer to an old question would be taken for
//! that to a new one.

use ostler_client::object;
use ostler_protocol::{Raw, RequestId};

use crate::connect::message::{self, Kind, Message};

/// Goes before the ids of all that a session asks; the one that the host opened itself has none.
#[derive(Debug, Clone, Default)]
pub struct Mark(Option<String>);

impl Mark {
    pub fn of(session: u64) -> Mark {
        Mark(Some(format!("again-{session}-")))
    }

    /// What the remote sent, with the mark.
    pub fn shown(&self, message: Message) -> Message {
        let Some(mark) = &self.0 else {
            return message;
        };
        let marked = |id: &str| Raw::from_text(&format!("{mark}{id}"));
        let raw = match &message.kind {
            Kind::Request { id, .. } => message::with_id(&message.raw, marked(id.as_raw())),
            // It takes a question back ([CAN-1]).
            Kind::Notification { method } if method == "notifications/cancelled" => {
                let params = message.params();
                let id = params.get("requestId").unwrap_or_default();
                let rest = params.members().filter(|(name, _)| name != "requestId");
                let params = rest.chain([("requestId".into(), marked(id.as_str()))]);
                message::notification(method, object(params))
            }
            Kind::Notification { .. } | Kind::Response { .. } => return message,
        };
        Message { raw, ..message }
    }

    /// The answer to a question of this session, without the mark.
    pub fn restored(&self, answer: &Message) -> Option<Raw> {
        let (Some(mark), Kind::Response { id: Some(id) }) = (&self.0, &answer.kind) else {
            return Some(answer.raw.clone());
        };
        let marked = id.to_raw();
        let id = RequestId::from_token(marked.text()?.strip_prefix(mark)?)?;
        Some(message::with_id(&answer.raw, id.to_raw()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(text: String) -> Message {
        let read = message::read(Bytes::from(text)).expect("it is JSON");
        read.into_iter()
            .next()
            .expect("it is one")
            .expect("it is a message")
    }

    #[test]
    fn an_answer_reaches_only_the_session_that_asked() {
        for id in ["7", r#""a""#] {
            let asked = message(format!(r#"{{"id":{id},"method":"ping"}}"#));
            let mark = Mark::of(2);
            let shown = mark.shown(asked.clone()).raw.get("id").expect("an id");
            assert_ne!(shown.as_str(), id);
            let answer = message(format!(r#"{{"id":{shown},"result":{{}}}}"#));
            let restored = mark.restored(&answer).expect("it asked");
            assert_eq!(restored.get("id").expect("an id").as_str(), id);
            assert!(Mark::of(3).restored(&answer).is_none());
            let old = message(format!(r#"{{"id":{id},"result":{{}}}}"#));
            assert!(mark.restored(&old).is_none());
            assert!(Mark::default().restored(&old).is_some());
            let taken_back = message(format!(
                r#"{{"method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
            ));
            let params = mark.shown(taken_back).raw.get("params").expect("params");
            assert_eq!(params.get("requestId"), Some(shown));
        }
    }
}
