//! What a server says on its standard error: to the log, so much of it, and the end of it to
//! whoever must know why it ended.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use ostler_env::Env;
use ostler_types::Instant;
use parking_lot::Mutex;
use tokio::{io::AsyncReadExt, net::unix::pipe};
use tracing::{info, warn};

/// More of one line is left out.
const LINE_BYTES_MAX: usize = 1_024;

/// More of one second is left out of the log.
const LINES_PER_SECOND_MAX: u32 = 50;

/// This many are kept for the message of an end.
const TAIL_LINES_MAX: usize = 20;

/// The last lines: at most 20 KiB.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().iter().cloned().collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock();
        lines.push_back(line);
        if lines.len() > TAIL_LINES_MAX {
            lines.pop_front();
        }
    }
}

/// Reads until nobody can write any more.
pub(super) async fn listen(env: Env, name: Arc<str>, mut from: pipe::Receiver, tail: Tail) {
    let mut lines = Lines::default();
    let mut rate = Rate::default();
    let mut chunk = [0; 4_096];
    while let Ok(len @ 1..) = from.read(&mut chunk).await {
        for line in lines.feed(&chunk[..len]) {
            log(&name, &line, rate.next(env.now()));
            tail.push(line);
        }
    }
    if let Some(line) = lines.rest() {
        log(&name, &line, rate.next(env.now()));
        tail.push(line);
    }
}

fn log(server: &str, line: &str, said: Said) {
    match said {
        Said::Line => info!(server, "stderr: {line}"),
        Said::LineAfter { dropped } => {
            warn!(server, dropped, "stderr: too fast, lines left out");
            info!(server, "stderr: {line}");
        }
        Said::Nothing => {}
    }
}

/// Cuts bytes into lines that fit.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => lines.extend(self.rest()),
                // One more shows that there was more.
                _ if self.line.len() <= LINE_BYTES_MAX => self.line.push(*byte),
                _ => {}
            }
        }
        lines
    }

    /// The line so far; nothing if it is empty.
    fn rest(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        (!line.is_empty()).then(|| show(&line))
    }
}

/// A line that is safe in a log and at a terminal.
fn show(line: &[u8]) -> String {
    let end = line.len().min(LINE_BYTES_MAX);
    let text = String::from_utf8_lossy(&line[..end]);
    let text = text.trim_end_matches('\r').chars();
    let plain = |char: char| {
        if char.is_control() && char != '\t' {
            '\u{fffd}'
        } else {
            char
        }
    };
    let more = if line.len() > end { "…" } else { "" };
    text.map(plain).chain(more.chars()).collect()
}

/// How many lines of this second went to the log.
#[derive(Default)]
struct Rate {
    second: Instant,
    lines: u32,
    dropped: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Line,
    LineAfter { dropped: u64 },
    Nothing,
}

impl Rate {
    fn next(&mut self, now: Instant) -> Said {
        if now.since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.lines = 0;
        }
        if self.lines >= LINES_PER_SECOND_MAX {
            self.dropped += 1;
            return Said::Nothing;
        }
        self.lines += 1;
        match std::mem::take(&mut self.dropped) {
            0 => Said::Line,
            dropped => Said::LineAfter { dropped },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_bytes_were() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"one\ntw"), ["one"]);
        assert_eq!(lines.feed(b"o\r\n\n\nthree"), ["two"]);
        assert_eq!(lines.rest().as_deref(), Some("three"));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_line_without_end_is_cut_and_costs_no_memory() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert!(lines.feed(&[b'x'; 4_096]).is_empty());
            assert!(lines.line.len() <= LINE_BYTES_MAX + 1);
        }
        let line = lines.rest().expect("there was one");
        assert_eq!(line, "x".repeat(LINE_BYTES_MAX) + "…");
    }

    #[test]
    fn nothing_of_it_reaches_a_terminal_as_a_command() {
        assert_eq!(
            show(b"a\x1b[2J\tb\0\xff"),
            "a\u{fffd}[2J\tb\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn who_talks_too_fast_is_cut_short_and_it_is_said_later() {
        let mut rate = Rate::default();
        let now = Instant::default() + Duration::from_secs(5);
        for _ in 0..LINES_PER_SECOND_MAX {
            assert_eq!(rate.next(now), Said::Line);
        }
        assert_eq!(rate.next(now), Said::Nothing);
        assert_eq!(rate.next(now), Said::Nothing);
        let later = now + Duration::from_secs(1);
        assert_eq!(rate.next(later), Said::LineAfter { dropped: 2 });
        assert_eq!(rate.next(later), Said::Line);
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        let tail = Tail::default();
        (0..100).for_each(|number| tail.push(number.to_string()));
        let lines = tail.lines();
        assert_eq!(lines.len(), TAIL_LINES_MAX);
        assert_eq!(lines.last().map(String::as_str), Some("99"));
    }
}
