//! What clients ask of tools, and what may come of it.

use serde_json::{Value, json};

use super::{Client, is_passing};
use crate::sim::history::Told;

/// What a client asks a tool to do.
#[derive(Debug, Clone)]
pub struct Errand {
    pub tool: &'static str,
    pub token: String,
    steps: u64,
    ms: u64,
    asks: u64,
    pad: u64,
    /// It was sent when nothing was broken any more.
    calm: bool,
}

impl Errand {
    pub fn arguments(&self) -> Value {
        json!({"token": self.token, "steps": self.steps, "ms": self.ms, "asks": self.asks,
               "pad": self.pad})
    }

    /// Whether this is the text of its result.
    fn is_result(&self, text: &str) -> bool {
        let words = std::iter::repeat_n(format!(" word-{}", self.token), self.asks as usize);
        let said: String = words.collect();
        let pad = "x".repeat(self.pad as usize);
        text == format!("done {}{said} {pad}", self.token)
    }

    /// How its client answers a question.
    pub fn answer(&self) -> Value {
        let word = format!("word-{}", self.token);
        json!({"action": "accept", "content": {"word": word}})
    }
}

impl Client {
    pub fn errand(&self, tool: &'static str, asks: u64) -> Errand {
        let dice = &self.dice;
        let pad = match dice.chance(5) {
            true => dice.between(60_000, 200_000),
            false => dice.below(20),
        };
        let errand = Errand {
            tool,
            token: self.token(),
            steps: dice.below(5),
            ms: dice.pick(&[1, 20, 200, 900, 3_000]),
            asks,
            pad,
            calm: self.is_calm(),
        };
        self.history.sent(&errand.token, tool);
        self.note(format_args!("sends {} {}", errand.tool, errand.token));
        errand
    }

    /// The end of a call, as the response says it.
    pub fn ended(&self, errand: &Errand, response: &Value) -> Told {
        let told = told(response);
        if let Told::Text(text) = &told
            && !errand.is_result(text)
        {
            self.violation(format_args!("a wrong result of {}: {text}", errand.token));
        }
        if errand.calm && matches!(told, Told::Error { .. }) {
            self.violation(format_args!(
                "{} fails for no reason: {told:?}",
                errand.token
            ));
        }
        let short = match &told {
            Told::Text(text) => Told::Text(text.chars().take(60).collect()),
            other => other.clone(),
        };
        self.history.told(&self.who.name, &errand.token, &short);
        told
    }

    /// Nobody will tell how it ends: it is not known whether it was ever taken.
    pub fn unknown(&self, errand: &Errand) {
        self.history.given_up(&errand.token);
        self.note(format_args!("does not know of {}", errand.token));
        if errand.calm {
            self.violation(format_args!("{} is lost for no reason", errand.token));
        }
    }

    /// What is refused did not begin.
    pub fn refused(&self, errand: &Errand, status: u16, body: &Value) {
        let token = &errand.token;
        self.note(format_args!("{token} is refused: {status} {body}"));
        if is_passing(status) {
            let code = body["error"]["code"].as_i64();
            self.history.refused(token, code.unwrap_or_default());
        }
        if errand.calm || !is_passing(status) {
            self.violation(format_args!(
                "{token} is refused for no reason: {status} {body}"
            ));
        }
    }
}

/// How a call ended, from its response or the result of its task.
pub fn told(response: &Value) -> Told {
    if let Some(code) = response["error"]["code"].as_i64() {
        let executed = response["error"]["data"]["executed"].as_str();
        return Told::Error {
            code,
            executed: executed.map(str::to_owned),
        };
    }
    let result = &response["result"];
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    match result["isError"] == true {
        true => Told::ToolError(text.to_owned()),
        false => Told::Text(text.to_owned()),
    }
}

/// The platform had no means at the moment: nothing is said of the call.
pub fn is_refusal(told: &Told) -> bool {
    matches!(told, Told::Error { code, .. } if [-31007, -31008, -31011, -31002].contains(code))
}
