//! What the doctor found, said at once.

use ostler_protocol::Raw;

use crate::client::{
    exit::Exit,
    output::{Output, flat},
};

/// Findings as they come, and the worst of them.
pub struct Report {
    output: Output,
    counts: [usize; 4],
    exit: Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    Warn,
    Fail,
    Skip,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
            Verdict::Skip => "skip",
        }
    }

    fn color(self) -> &'static str {
        match self {
            Verdict::Ok => "\x1b[32m",
            Verdict::Warn => "\x1b[33m",
            Verdict::Fail => "\x1b[31m",
            Verdict::Skip => "\x1b[2m",
        }
    }
}

impl Report {
    pub fn new(output: Output) -> Report {
        Report {
            output,
            counts: [0; 4],
            exit: Exit::Done,
        }
    }

    pub fn ok(&mut self, step: &str, said: impl AsRef<str>) {
        self.add(step, Verdict::Ok, said.as_ref(), None);
    }

    pub fn warn(&mut self, step: &str, said: impl AsRef<str>, advice: &str) {
        self.add(step, Verdict::Warn, said.as_ref(), Some(advice));
    }

    pub fn skip(&mut self, step: &str, said: impl AsRef<str>) {
        self.add(step, Verdict::Skip, said.as_ref(), None);
    }

    /// The first failure decides the exit status.
    pub fn fail(&mut self, step: &str, exit: Exit, said: impl AsRef<str>, advice: &str) {
        self.add(step, Verdict::Fail, said.as_ref(), Some(advice));
        if self.exit == Exit::Done {
            self.exit = exit;
        }
    }

    pub fn finish(self) -> Exit {
        let [ok, warn, fail, skip] = self.counts;
        match self.output.is_json() {
            true => {
                let count = |count: usize| Raw::from_value(&count.into());
                let counts = [("ok", ok), ("warn", warn), ("fail", fail), ("skip", skip)];
                self.output
                    .event("summary", counts.map(|(name, n)| (name, count(n))));
            }
            false => self.output.out(&format!(
                "\n{ok} ok, {warn} to look at, {fail} failed, {skip} skipped"
            )),
        }
        self.exit
    }

    fn add(&mut self, step: &str, verdict: Verdict, said: &str, advice: Option<&str>) {
        self.counts[verdict as usize] += 1;
        match self.output.is_json() {
            true => self.output.event(
                "step",
                [
                    ("step", Raw::from_text(step)),
                    ("verdict", Raw::from_text(verdict.word())),
                    ("said", Raw::from_text(said)),
                    (
                        "advice",
                        advice.map_or(Raw::from_static("null"), Raw::from_text),
                    ),
                ],
            ),
            false => self.say(step, verdict, said, advice),
        }
    }

    fn say(&self, step: &str, verdict: Verdict, said: &str, advice: Option<&str>) {
        let word = format!("{:4}", verdict.word());
        let word = match self.output.out_is_terminal {
            true => format!("{}{word}\x1b[0m", verdict.color()),
            false => word,
        };
        self.output
            .out(&format!("{word}  {step:12}  {}", flat(said)));
        if let Some(advice) = advice {
            self.output
                .out(&format!("                    → {}", flat(advice)));
        }
    }
}
