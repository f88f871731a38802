//! What a session was told, as far as another one must be told it too.

use std::collections::BTreeMap;

use ostler_client::text_member;
use ostler_protocol::Raw;

use super::Session;
use crate::connect::message::{self, Message};

/// More resources than anybody looks at; a new session is not told of the rest.
const SUBSCRIPTIONS_MAX: usize = 1_000;

/// Lists, and how their changes are told.
const LISTS: [(&str, &str); 3] = [
    ("tools", "notifications/tools/list_changed"),
    ("prompts", "notifications/prompts/list_changed"),
    ("resources", "notifications/resources/list_changed"),
];

#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub initialize: Raw,
    pub initialized: Option<Raw>,
    level: Option<Raw>,
    /// By URI.
    subscriptions: BTreeMap<String, Raw>,
    /// What the host knows of the remote; it is not told otherwise.
    pub revision: Option<String>,
    capabilities: Raw,
}

impl Memory {
    pub fn new(initialize: Raw, result: &Raw, session: &Session) -> Memory {
        Memory {
            initialize,
            revision: session.revision.clone(),
            capabilities: result.get("capabilities").unwrap_or_default(),
            ..Memory::default()
        }
    }

    pub fn note(&mut self, method: &str, message: &Message) {
        let uri = || text_member(&message.params(), "uri").unwrap_or_default();
        match method {
            "logging/setLevel" => self.level = Some(message.raw.clone()),
            "resources/subscribe" if self.subscriptions.len() < SUBSCRIPTIONS_MAX => {
                self.subscriptions.insert(uri(), message.raw.detached());
            }
            "resources/unsubscribe" => {
                self.subscriptions.remove(&uri());
            }
            _ => {}
        }
    }

    /// The requests to say again after `initialized`.
    pub fn requests(&self) -> impl Iterator<Item = &Raw> {
        self.level.iter().chain(self.subscriptions.values())
    }

    /// What the host is told after a while in which it heard nothing: any list may have changed.
    pub fn changes(&self) -> impl Iterator<Item = Raw> {
        let is_told = |(list, _): &(&str, &str)| {
            let declared = self.capabilities.get(list).unwrap_or_default();
            declared.get("listChanged").and_then(|told| told.boolean()) == Some(true)
        };
        let told = LISTS.into_iter().filter(is_told);
        told.map(|(_, method)| message::notification(method, Raw::empty_object()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_new_session_is_told_what_still_holds() {
        let mut memory = Memory::default();
        let message = |id: u32, params: &str| {
            let text = format!(r#"{{"id":{id},"method":"m","params":{params}}}"#);
            let mut read = message::read(Bytes::from(text)).unwrap();
            read.remove(0).unwrap()
        };
        for (id, method, params) in [
            (1, "logging/setLevel", r#"{"level":"info"}"#),
            (2, "resources/subscribe", r#"{"uri":"a:a"}"#),
            (3, "resources/subscribe", r#"{"uri":"a:b"}"#),
            (4, "resources/unsubscribe", r#"{"uri":"a:a"}"#),
            (5, "logging/setLevel", r#"{"level":"error"}"#),
            (6, "tools/list", "{}"),
        ] {
            memory.note(method, &message(id, params));
        }
        let ids = memory
            .requests()
            .map(|raw| raw.get("id").unwrap().to_string());
        assert_eq!(ids.collect::<Vec<_>>(), ["5", "3"]);
    }

    #[test]
    fn only_announced_changes_are_told() {
        let memory = Memory {
            capabilities: Raw::from_static(r#"{"tools":{"listChanged":true},"prompts":{}}"#),
            ..Memory::default()
        };
        let changes: Vec<_> = memory.changes().collect();
        assert_eq!(changes.len(), 1);
        assert!(
            changes[0]
                .as_str()
                .contains("notifications/tools/list_changed")
        );
    }
}
