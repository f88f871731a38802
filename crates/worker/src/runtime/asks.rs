//! The open questions of one call. Pure but for the reply ports.

use std::collections::HashMap;

use ostler_protocol::{
    ask::check_answer,
    call::{Answer, AnswerFailure, Question},
    facet::Capability,
    json::Raw,
};
use tokio::sync::oneshot;

use crate::error::AskError;

pub(crate) type Answered = Result<Raw, AskError>;

#[derive(Default)]
pub(crate) struct Asks {
    /// Answers that came with the call, by key.
    known: HashMap<String, Answer>,
    /// The keys that were used, and the last number that each was given out with.
    used: HashMap<String, u32>,
    open: Vec<Open>,
}

struct Open {
    question: Question,
    needs: Capability,
    reply: oneshot::Sender<Answered>,
    /// It has been sent, on some link.
    told: bool,
}

impl Open {
    fn answer(self, answer: Answer) {
        let value = answer.value.map_err(|failure| match failure {
            AnswerFailure::Unsupported => AskError::Unsupported(self.needs),
            AnswerFailure::Refused => AskError::Refused,
            AnswerFailure::TimedOut => AskError::TimedOut,
            AnswerFailure::Invalid => {
                AskError::Invalid("the client's answer breaks the schema".to_owned())
            }
        });
        // Err: the handler no longer waits for it.
        let _ = self.reply.send(value);
    }
}

impl Asks {
    pub fn new(known: Vec<Answer>) -> Self {
        let known = known.into_iter().map(|a| (a.key.clone(), a)).collect();
        Self {
            known,
            ..Self::default()
        }
    }

    /// Opens a question, and says the key it goes under. One whose answer came with the call is
    /// answered at once, if the answer fits; otherwise the client is asked as if there were none
    /// [MR-12].
    pub fn open(
        &mut self,
        mut question: Question,
        needs: Capability,
    ) -> (String, oneshot::Receiver<Answered>) {
        question.key = self.unused_key(question.key);
        let key = question.key.clone();
        let (reply, answered) = oneshot::channel();
        let open = Open {
            question,
            needs,
            reply,
            told: false,
        };
        match self.known_answer(&open.question) {
            Some(answer) => open.answer(answer),
            None => {
                self.open.retain(|open| !open.reply.is_closed());
                self.open.push(open);
            }
        }
        (key, answered)
    }

    /// Keys are never used twice in one call [TK-6], and the same run gives the same keys. A
    /// number counts up until it is free, for an author may have used that key too.
    fn unused_key(&mut self, key: String) -> String {
        let mut number = self.used.get(&key).copied().unwrap_or(0);
        let unused = loop {
            number += 1;
            let numbered = match number {
                1 => key.clone(),
                n => format!("{key}-{n}"),
            };
            if !self.used.contains_key(&numbered) {
                break numbered;
            }
        };
        self.used.insert(key, number);
        self.used.entry(unused.clone()).or_insert(1);
        unused
    }

    fn known_answer(&mut self, question: &Question) -> Option<Answer> {
        let answer = self.known.remove(&question.key)?;
        let fits = match &answer.value {
            Ok(value) => check_answer(question, value).is_ok(),
            Err(_) => true,
        };
        fits.then_some(answer)
    }

    /// Questions that were not sent yet; they travel together.
    pub fn take_untold(&mut self) -> Vec<Question> {
        let untold = self.open.iter_mut().filter(|open| !open.told);
        let untold = untold.filter(|open| !open.reply.is_closed());
        untold.map(Open::tell).collect()
    }

    /// All open questions, for a new link.
    pub fn take_all(&mut self) -> Vec<Question> {
        self.open.retain(|open| !open.reply.is_closed());
        self.open.iter_mut().map(Open::tell).collect()
    }

    /// The first answer to a key counts; others are ignored.
    pub fn answer(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            let place = self.open.iter().position(|o| o.question.key == answer.key);
            if let Some(place) = place {
                self.open.swap_remove(place).answer(answer);
            }
        }
    }

    /// Nobody will answer any more.
    pub fn fail_all(&mut self) {
        for open in self.open.drain(..) {
            let _ = open.reply.send(Err(AskError::Cancelled));
        }
    }
}

impl Open {
    fn tell(&mut self) -> Question {
        self.told = true;
        self.question.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_given_out_twice_and_the_same_run_gives_the_same_keys() {
        let wanted = ["a", "a-2", "a", "a", "a-2", "b", "a-3", "a-2-2"];
        let given = || {
            let mut asks = Asks::new(Vec::new());
            wanted.map(|key| asks.unused_key(key.to_owned()))
        };
        let expected = ["a", "a-2", "a-3", "a-4", "a-2-2", "b", "a-3-2", "a-2-2-2"];
        assert_eq!(given(), expected);
        assert_eq!(given(), given());
    }
}
