//! What a client needs of those it works for: answers to asks, an ear for news.

use std::pin::Pin;

use ostler_protocol::{
    Raw, Revision,
    facet::{TASKS_EXTENSION, UI_EXTENSION, UI_TYPE},
};

use crate::{
    error::{Error, protocol},
    json,
    message::ID_BYTES_MAX,
    request::ListKind,
};

/// Whom a client works for: a person at a terminal, a script, a bridge.
pub trait Host: Send {
    /// On whose behalf it is, if not that of the connection's [`Options`](crate::Options).
    fn behalf(&self) -> Option<&Behalf> {
        None
    }

    /// Something happened that is no answer yet.
    fn notice(&mut self, notice: Notice);

    /// The server asks. A host is asked only what was declared for it, and may take its time; it
    /// may be asked more meanwhile. A modern server gives each question a key ([MR-4]). A question
    /// that is taken back is dropped; what is asked at once is polled at once.
    fn answer(&mut self, ask: Ask, key: Option<&str>) -> Answering;
}

/// An answer to come. It holds nothing of its host, which hears news meanwhile.
pub type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// On whose behalf a request is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behalf {
    /// Equal owners are one principal: what is asked for one is shown to no other.
    pub owner: u64,
    /// Of these a modern server is told with each request; a legacy one was told at the start what
    /// the connection can do, and hears a refusal of what goes beyond.
    pub abilities: Abilities,
    /// The least severe log messages wanted, of a modern server; none without one.
    pub log_level: Option<String>,
}

/// What a host can answer. It is declared to the server, so it must be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Abilities {
    pub form: bool,
    pub url: bool,
    pub sample: bool,
    /// To sample with tools.
    pub sample_tools: bool,
    /// To sample with context of other servers.
    pub sample_context: bool,
    pub roots: bool,
    /// To show the pages of tools (MCP Apps).
    pub ui: bool,
}

/// A question of the server, with its parameters as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Form {
        message: String,
        schema: Raw,
        params: Raw,
    },
    Url {
        message: String,
        url: String,
        params: Raw,
    },
    /// Whether to make the request again, as the pages agreed to before are done; a question of
    /// ours, because a server need not say so. Where it does, this is dropped.
    Visited,
    /// The parameters of `sampling/createMessage`.
    Sample {
        params: Raw,
    },
    Roots {
        params: Raw,
    },
}

/// What the host says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The result of the ask, as the specification defines it.
    Given(Raw),
    /// It will not answer.
    Refused,
}

/// News of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    Progress {
        progress: f64,
        total: Option<f64>,
        message: Option<String>,
    },
    Log {
        level: String,
        logger: Option<String>,
        data: Raw,
    },
    /// A task stands there now.
    Task {
        id: String,
        status: String,
        message: Option<String>,
    },
    /// A tool that no client may call, so it is not in the list ([XH-4]).
    Dropped { tool: String, reason: String },
    /// A list changed.
    Changed(ListKind),
    /// A resource changed.
    Updated { uri: String },
    /// A page that a user was sent to has done its part: the `elicitationId` of the ask.
    Visited { id: String },
    /// The server asked, and nobody was shown it, for this reason.
    Refused { ask: String, reason: &'static str },
    /// A listen does not hear of this resource: the server would not.
    Unwatched { uri: String, reason: String },
    /// A listen is heard from now on.
    Listening,
    /// A stream broke off and was taken up again.
    Resumed,
}

impl Ask {
    pub(crate) fn read(method: &str, params: &Raw) -> Result<Option<Ask>, Error> {
        let text = |name: &str| json::text_member(params, name);
        match method {
            "elicitation/create" if text("mode").as_deref() == Some("url") => match text("url") {
                Some(url) => Ok(Some(Ask::Url {
                    message: text("message").unwrap_or_default(),
                    url,
                    params: params.clone(),
                })),
                None => protocol("a URL elicitation without URL"),
            },
            "elicitation/create" => match params.get("requestedSchema") {
                Some(schema) => Ok(Some(Ask::Form {
                    message: text("message").unwrap_or_default(),
                    schema,
                    params: params.clone(),
                })),
                None => protocol("an elicitation without requestedSchema"),
            },
            "sampling/createMessage" => Ok(Some(Ask::Sample {
                params: params.clone(),
            })),
            "roots/list" => Ok(Some(Ask::Roots {
                params: params.clone(),
            })),
            _ => Ok(None),
        }
    }

    /// What the server calls the page of this question when it says that it is done.
    pub fn page(&self) -> Option<String> {
        match self {
            Ask::Url { params, .. } => {
                json::text_member(params, "elicitationId").filter(|page| page.len() <= ID_BYTES_MAX)
            }
            Ask::Form { .. } | Ask::Visited | Ask::Sample { .. } | Ask::Roots { .. } => None,
        }
    }

    pub fn method(&self) -> &'static str {
        match self {
            Ask::Form { .. } | Ask::Url { .. } | Ask::Visited => "elicitation/create",
            Ask::Sample { .. } => "sampling/createMessage",
            Ask::Roots { .. } => "roots/list",
        }
    }
}

impl Answer {
    /// A form filled in, or consent to open a URL.
    pub fn accepted(content: Option<Raw>) -> Answer {
        let action = ("action", Raw::from_static("\"accept\""));
        let content = content.map(|content| ("content", content));
        Answer::Given(json::object([action].into_iter().chain(content)))
    }

    /// The person said no.
    pub fn declined() -> Answer {
        Answer::Given(Raw::from_static(r#"{"action":"decline"}"#))
    }

    /// The person went away without a decision.
    pub fn cancelled() -> Answer {
        Answer::Given(Raw::from_static(r#"{"action":"cancel"}"#))
    }

    /// What `model` says to a sampling request.
    pub fn sampled(text: &str, model: &str) -> Answer {
        let content = [("type", "text"), ("text", text)];
        let content = content.map(|(name, value)| (name, Raw::from_text(value)));
        Answer::Given(json::object([
            ("role", Raw::from_static("\"assistant\"")),
            ("content", json::object(content)),
            ("model", Raw::from_text(model)),
            ("stopReason", Raw::from_static("\"endTurn\"")),
        ]))
    }

    pub fn roots<'a>(uris: impl IntoIterator<Item = &'a str>) -> Answer {
        let root = |uri| json::object([("uri", Raw::from_text(uri))]);
        let roots = json::array(uris.into_iter().map(root));
        Answer::Given(json::object([("roots", roots)]))
    }
}

impl Abilities {
    /// Whether this ask was declared.
    pub(crate) fn has(self, ask: &Ask) -> bool {
        match ask {
            Ask::Form { .. } => self.form,
            Ask::Url { .. } | Ask::Visited => self.url,
            Ask::Sample { params } => {
                self.sample && (self.sample_tools || params.get("tools").is_none())
            }
            Ask::Roots { .. } => self.roots,
        }
    }

    /// What of it a revision has words for.
    pub(crate) fn within(self, revision: Revision) -> Abilities {
        Abilities {
            form: self.form && revision.has_elicitation(),
            url: self.url && revision.has_url_elicitation(),
            sample_tools: self.sample_tools && revision.has_sampling_tools(),
            sample_context: self.sample_context && revision.has_sampling_tools(),
            ui: self.ui && revision.has_entry_meta(),
            ..self
        }
    }

    /// What both have.
    pub(crate) fn and(self, other: Abilities) -> Abilities {
        Abilities {
            form: self.form && other.form,
            url: self.url && other.url,
            sample: self.sample && other.sample,
            sample_tools: self.sample_tools && other.sample_tools,
            sample_context: self.sample_context && other.sample_context,
            roots: self.roots && other.roots,
            ui: self.ui && other.ui,
        }
    }

    /// The `capabilities` object of a revision.
    pub(crate) fn declared(self, revision: Revision) -> Raw {
        let empty = Raw::empty_object;
        let able = self.within(revision);
        let extensions = able.extensions(revision);
        let (form, url) = (able.form, able.url);
        let modes = match revision.has_url_elicitation() {
            true => json::object(
                [("form", form), ("url", url)]
                    .into_iter()
                    .filter(|(_, has)| *has)
                    .map(|(mode, _)| (mode, empty())),
            ),
            false => empty(),
        };
        let with = [
            ("tools", able.sample_tools),
            ("context", able.sample_context),
        ];
        let with = with.into_iter().filter(|(_, has)| *has);
        let with = json::object(with.map(|(name, _)| (name, empty())));
        let elicits = form || url;
        let members = [
            elicits.then_some(("elicitation", modes)),
            self.sample.then_some(("sampling", with)),
            self.roots.then(|| ("roots", empty())),
            extensions.map(|extensions| ("extensions", extensions)),
        ];
        json::object(members.into_iter().flatten())
    }

    /// Tasks are followed by the client itself; apps are older than the slot for extensions [EX-2].
    fn extensions(self, revision: Revision) -> Option<Raw> {
        let pages = || json::object([("mimeTypes", json::array([Raw::from_text(UI_TYPE)]))]);
        let tasks = revision
            .has_extensions()
            .then(|| (TASKS_EXTENSION, Raw::empty_object()));
        let ui = self.ui.then(|| (UI_EXTENSION, pages()));
        let all: Vec<_> = [tasks, ui].into_iter().flatten().collect();
        (!all.is_empty()).then(|| json::object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(abilities: Abilities, date: &str) -> String {
        let revision = Revision::parse(date).expect("a known date");
        abilities.declared(revision).to_string()
    }

    #[test]
    fn only_what_the_revision_has_is_declared() {
        let all = Abilities {
            form: true,
            url: true,
            sample: true,
            sample_tools: true,
            sample_context: false,
            roots: true,
            ui: true,
        };
        let rest = r#""sampling":{},"roots":{}"#;
        let tools = r#""sampling":{"tools":{}},"roots":{}"#;
        let pages = r#"{"mimeTypes":["text/html;profile=mcp-app"]}"#;
        let extensions = format!(r#""extensions":{{"io.modelcontextprotocol/ui":{pages}}}"#);
        let rows = [
            ("2024-11-05", format!("{{{rest}}}")),
            (
                "2025-06-18",
                format!(r#"{{"elicitation":{{}},{rest},{extensions}}}"#),
            ),
            (
                "2025-11-25",
                format!(r#"{{"elicitation":{{"form":{{}},"url":{{}}}},{tools},{extensions}}}"#),
            ),
        ];
        for (date, expected) in rows {
            assert_eq!(declared(all, date), expected);
        }
        assert_eq!(declared(Abilities::default(), "2025-11-25"), "{}");
        let url = Abilities {
            url: true,
            ..Abilities::default()
        };
        assert_eq!(declared(url, "2025-06-18"), "{}");
    }

    #[test]
    fn asks_are_read_by_their_method_and_mode() {
        let read =
            |method: &str, params: &'static str| Ask::read(method, &Raw::from_static(params));
        let url = read(
            "elicitation/create",
            r#"{"mode":"url","message":"m","url":"https://a.b"}"#,
        );
        assert!(matches!(url, Ok(Some(Ask::Url { .. }))));
        let form = read(
            "elicitation/create",
            r#"{"message":"m","requestedSchema":{}}"#,
        );
        assert!(matches!(form, Ok(Some(Ask::Form { .. }))));
        assert!(matches!(
            read("roots/list", "{}"),
            Ok(Some(Ask::Roots { .. }))
        ));
        assert!(matches!(
            read("elicitation/create", "{}"),
            Err(Error::Protocol(_))
        ));
        assert_eq!(read("tools/list", "{}"), Ok(None));
    }
}
