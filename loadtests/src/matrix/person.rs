//! Whom the clients of the matrix work for: answers everything, remembers what it heard.

use ostler_client::{Abilities, Answer, Answering, Ask, Host, ListKind, Notice, Stopper, parse};
use ostler_protocol::Raw;
use tokio::sync::watch;

/// What a person can answer: all there is.
pub const ABLE: Abilities = Abilities {
    form: true,
    url: true,
    sample: true,
    sample_tools: true,
    sample_context: true,
    roots: true,
    ui: true,
};
pub const ROOT: &str = "file:///matrix";

#[derive(Debug, Default)]
pub struct Person {
    pub asked: Vec<&'static str>,
    pub progress: Vec<(f64, Option<String>)>,
    pub logs: Vec<String>,
}

impl Host for Person {
    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Progress {
                progress, message, ..
            } => self.progress.push((progress, message)),
            Notice::Log { data, .. } => self.logs.push(data.as_str().to_owned()),
            _ => {}
        }
    }

    fn answer(&mut self, ask: Ask, _: Option<&str>) -> Answering {
        self.asked.push(ask.method());
        let answer = match ask {
            Ask::Form { .. } => Answer::accepted(Some(named("ada"))),
            Ask::Url { .. } | Ask::Visited => Answer::accepted(None),
            Ask::Sample { .. } => Answer::sampled("pong", "matrix"),
            Ask::Roots { .. } => Answer::roots([ROOT]),
        };
        Box::pin(async { answer })
    }
}

fn named(name: &str) -> Raw {
    let text = format!(r#"{{"name":"{name}"}}"#);
    parse(&text).expect("it is JSON")
}

/// What a listener has heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Nothing,
    /// It would hear from now on.
    Listening,
    ToolsChanged,
    CounterUpdated,
}

/// Listens until it has heard of a change.
pub struct Listener {
    pub heard: watch::Sender<Heard>,
    pub stopper: Stopper,
}

impl Host for Listener {
    fn notice(&mut self, notice: Notice) {
        let heard = match notice {
            Notice::Listening => Heard::Listening,
            Notice::Changed(ListKind::Tools) => Heard::ToolsChanged,
            Notice::Updated { .. } => Heard::CounterUpdated,
            _ => return,
        };
        self.heard.send_replace(heard);
        if heard != Heard::Listening {
            self.stopper.stop();
        }
    }

    fn answer(&mut self, _ask: Ask, _: Option<&str>) -> Answering {
        Box::pin(async { Answer::Refused })
    }
}
