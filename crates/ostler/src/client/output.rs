//! What the commands write: results on standard output, all else on standard error.

use std::io::{self, IsTerminal, Write};

use ostler_client::object;
use ostler_protocol::Raw;

use super::exit::{Exit, Failure};

/// How to write, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub style: Style,
    pub out_is_terminal: bool,
    pub err_is_terminal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Text,
    /// One JSON value per line, each an object with a `type`.
    Json,
}

const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

impl Output {
    pub fn new(style: Style) -> Output {
        Output {
            style,
            out_is_terminal: io::stdout().is_terminal(),
            err_is_terminal: io::stderr().is_terminal(),
        }
    }

    pub fn is_json(self) -> bool {
        self.style == Style::Json
    }

    /// A line of JSON.
    pub fn event<'a>(self, kind: &str, members: impl IntoIterator<Item = (&'a str, Raw)>) {
        let kind = ("type", Raw::from_text(kind));
        let line = object([kind].into_iter().chain(members));
        self.out(line.as_str());
    }

    /// A line of the result.
    pub fn out(self, text: &str) {
        let written = writeln!(io::stdout().lock(), "{text}");
        self.check(written);
    }

    /// A part of the result, byte for byte.
    pub fn bytes(self, bytes: &[u8]) {
        let written = io::stdout().lock().write_all(bytes);
        self.check(written);
    }

    /// A line beside the result.
    pub fn tell(self, text: &str) {
        // Nobody is left to tell when this fails.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Text of a server for standard output.
    pub fn shown(self, text: &str) -> String {
        match self.out_is_terminal {
            true => clean(text),
            false => text.to_owned(),
        }
    }

    pub fn heading(self, text: &str) -> String {
        match self.out_is_terminal {
            true => format!("{BOLD}{text}{PLAIN}"),
            false => text.to_owned(),
        }
    }

    pub fn failure(self, failure: &Failure) {
        let advice = failure.advice.as_deref();
        match self.style {
            Style::Json => self.event(
                "error",
                [
                    ("exit", Raw::from_value(&(failure.exit as u8).into())),
                    ("kind", Raw::from_text(failure.exit.word())),
                    ("message", Raw::from_text(&failure.message)),
                    (
                        "advice",
                        advice.map_or(Raw::from_static("null"), Raw::from_text),
                    ),
                ],
            ),
            Style::Text => {
                if failure.exit == Exit::Interrupted && self.err_is_terminal {
                    // The terminal shows ^C where the line stood.
                    self.tell("");
                }
                self.tell(&format!("ostler: {}", clean(&failure.message)));
                if let Some(advice) = advice {
                    self.tell(&format!("  → {}", clean(advice)));
                }
            }
        }
    }

    /// Whoever read the result may have heard enough (`| head`).
    fn check(self, written: io::Result<()>) {
        if written.is_err() {
            std::process::exit(Exit::Interrupted as i32);
        }
    }
}

/// Without what could steer a terminal: a server's text is not to be trusted with that.
pub fn clean(text: &str) -> String {
    let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    text.chars()
        .map(|c| if is_bad(c) { '\u{fffd}' } else { c })
        .collect()
}

/// The first line of it, no longer than `chars_max`.
pub fn line(text: &str, chars_max: usize) -> String {
    let first = clean(text.trim().lines().next().unwrap_or_default());
    match first.chars().count() > chars_max {
        true => first
            .chars()
            .take(chars_max.saturating_sub(1))
            .chain(['…'])
            .collect(),
        false => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_text_cannot_steer_the_terminal() {
        assert_eq!(
            clean("a\x1b[2Jb\tc\nd\u{9b}x"),
            "a\u{fffd}[2Jb\tc\nd\u{fffd}x"
        );
        assert_eq!(line("  first\nsecond", 10), "first");
        assert_eq!(line("0123456789", 5), "0123…");
    }
}
