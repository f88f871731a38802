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
        match self.out_is_terminal {
            true => self.out(&escaped(line.as_str())),
            false => self.out(line.as_str()),
        }
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
                self.tell(&format!("ostler: {}", indented(&failure.message)));
                if let Some(advice) = advice {
                    self.tell(&format!("  → {}", flat(advice)));
                }
            }
        }
    }

    /// Whoever read the result may have heard enough (`| head`); anything else is a failure.
    fn check(self, written: io::Result<()>) {
        match written {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => {
                std::process::exit(Exit::Interrupted as i32);
            }
            Err(why) => {
                self.tell(&format!("ostler: the result cannot be written: {why}"));
                std::process::exit(Exit::WrongUse as i32);
            }
        }
    }
}

/// Without what could steer a terminal or hide something in it: a server's text is not to be
/// trusted with that. Lines stay lines.
pub fn clean(text: &str) -> String {
    let is_bad = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || is_hidden(c);
    text.chars()
        .map(|c| if is_bad(c) { '\u{fffd}' } else { c })
        .collect()
}

/// The same on one line, for where a second line would look like ours.
pub fn flat(text: &str) -> String {
    clean(text).replace(['\n', '\t'], " ")
}

/// The same with all lines but the first set apart, so that none looks like ours.
pub fn indented(text: &str) -> String {
    clean(text).replace('\n', "\n    │ ")
}

/// Characters without a shape of their own that turn or hide what stands beside them. The two
/// joiners are not among them: some scripts need them between letters.
pub fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// A line of JSON with nothing in it that could steer a terminal; it says the same.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c.is_control() || is_hidden(c) {
            // They stand in strings only: JSON has no others.
            true => {
                let units = c.encode_utf16(&mut [0; 2]).to_vec();
                text.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
            }
            false => text.push(c),
        }
    }
    text
}

/// The first line of it, no longer than `chars_max`.
pub fn line(text: &str, chars_max: usize) -> String {
    let first = flat(text.trim().lines().next().unwrap_or_default());
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
        assert_eq!(clean("a\u{202e}b\u{e0041}"), "a\u{fffd}b\u{fffd}");
        assert_eq!(clean("नी\u{200d}"), "नी\u{200d}");
        assert_eq!(line("  first\nsecond", 10), "first");
        assert_eq!(line("0123456789", 5), "0123…");
    }

    #[test]
    fn no_line_of_a_server_looks_like_ours() {
        let forged = "hi\nostler: done\r\n  →\tx";
        assert!(
            indented(forged)
                .lines()
                .skip(1)
                .all(|line| line.starts_with("    │ "))
        );
        assert_eq!(flat(forged), "hi ostler: done\u{fffd}   → x");
    }

    #[test]
    fn json_says_the_same_when_nothing_in_it_steers() {
        let steering = "\"a\u{9b}2J\u{7f}\u{202e}\u{e0041}ü\"";
        let shown = escaped(steering);
        assert_eq!(shown, r#""a\u009b2J\u007f\u202e\udb40\udc41ü""#);
        let read = |text: &str| serde_json::from_str::<String>(text).expect("it is JSON");
        assert_eq!(read(&shown), read(steering));
    }
}
