//! The host behind the commands: shows news, answers asks from the command line or by asking the
//! person.

use std::{
    io::{self, BufReader, IsTerminal},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use ostler_client::{Abilities, Answer, Answering, Ask, Host, Notice, Stopper};
use ostler_env::Env;
use ostler_protocol::Raw;
use tokio::sync::Mutex;

use super::{
    args::{Asks, LogLevel},
    bar::Bar,
    dialog::{Consent, Dialog, Filled},
    exit::Failure,
    form::Form,
    output::{Output, flat},
    tell,
};

/// One command's host.
pub struct Desk {
    output: Output,
    log: LogLevel,
    /// Ends a listen when enough was heard.
    enough: Option<Enough>,
    abilities: Abilities,
    /// Held while a question is answered: a person answers one after the other.
    clerk: Arc<Mutex<Clerk>>,
}

/// Where one question at a time is answered, and progress is shown between them.
struct Clerk {
    env: Env,
    output: Output,
    bar: Bar,
    dialog: Option<Dialog>,
    given: Vec<(String, String)>,
    roots: Vec<String>,
    /// An ask that nobody could answer.
    unanswered: Option<String>,
}

struct Enough {
    left: u64,
    stopper: Stopper,
}

/// How long handing over a page may take.
const OPENING: Duration = Duration::from_secs(2);
/// The name that a person goes by where a model is expected.
const PERSON: &str = "a person at a terminal";

impl Desk {
    pub fn new(env: Env, output: Output, asks: Option<&Asks>) -> Result<Desk, Failure> {
        let is_interactive = asks.is_some() && is_interactive(output);
        let dialog = is_interactive.then(|| {
            let input = Box::new(BufReader::new(io::stdin()));
            Dialog::new(env.clone(), input, Box::new(io::stderr()))
        });
        let asks = asks.cloned().unwrap_or_default();
        let roots: Result<_, _> = asks.roots.iter().map(|root| file_uri(root)).collect();
        let clerk = Clerk {
            env,
            output,
            bar: Bar::new(output),
            dialog,
            given: asks.answers,
            roots: roots?,
            unanswered: None,
        };
        Ok(Desk {
            output,
            log: asks.log,
            enough: None,
            abilities: clerk.abilities(),
            clerk: Arc::new(Mutex::new(clerk)),
        })
    }

    /// Stops a listen after so many changes.
    pub fn stop_after(&mut self, count: u64, stopper: Stopper) {
        self.enough = Some(Enough {
            left: count,
            stopper,
        });
    }

    pub fn has_enough(&self) -> bool {
        self.enough.as_ref().is_some_and(|enough| enough.left == 0)
    }

    pub fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Takes the progress bar away before something else is written. While a person is asked there
    /// is none.
    pub fn clear(&mut self) {
        if let Ok(mut clerk) = self.clerk.try_lock() {
            clerk.bar.clear();
        }
    }

    /// An ask that nobody could answer; known once no question is open.
    pub fn take_unanswered(&mut self) -> Option<String> {
        self.clerk.try_lock().ok()?.unanswered.take()
    }

    fn count(&mut self) {
        if let Some(enough) = &mut self.enough {
            enough.left = enough.left.saturating_sub(1);
            if enough.left == 0 {
                enough.stopper.stop();
            }
        }
    }
}

impl Clerk {
    /// Only what can be answered here, so that nobody is asked in vain: at a terminal everything,
    /// else forms that `--answer` may fill and the roots of `--root`.
    fn abilities(&self) -> Abilities {
        let is_interactive = self.dialog.is_some();
        Abilities {
            form: is_interactive || !self.given.is_empty(),
            url: is_interactive,
            sample: is_interactive,
            sample_tools: false,
            sample_context: false,
            roots: !self.roots.is_empty(),
            ui: false,
        }
    }

    async fn answer(&mut self, ask: Ask) -> Answer {
        self.bar.clear();
        let answer = match &ask {
            Ask::Form {
                message, schema, ..
            } => self.form(message, schema).await,
            Ask::Url { message, url, .. } => self.url(message, url).await,
            Ask::Visited => self.visited().await,
            Ask::Sample { params } => self.sample(params).await,
            Ask::Roots { .. } => Answer::roots(self.roots.iter().map(String::as_str)),
        };
        self.tell_ask(ask.method(), &answer);
        answer
    }

    async fn form(&mut self, message: &str, schema: &Raw) -> Answer {
        let form = Form::read(schema);
        let filled = form.fill(&self.given);
        let problem = match (filled, &mut self.dialog) {
            (Some(Ok(content)), _) => {
                self.tell_sent(message, &content);
                return Answer::accepted(Some(content));
            }
            (_, Some(dialog)) => {
                return match dialog.fill(message, &form, &self.given).await {
                    Filled::Accepted(content) => Answer::accepted(Some(content)),
                    Filled::Declined => Answer::declined(),
                    Filled::Cancelled => Answer::cancelled(),
                };
            }
            (Some(Err(problem)), None) => problem,
            (None, None) => {
                let names: Vec<_> = form
                    .fields
                    .iter()
                    .map(|field| field.name.as_str())
                    .collect();
                format!("give --answer for {}", names.join(", "))
            }
        };
        self.unanswered = Some(format!("the server asked {:?}: {problem}", flat(message)));
        Answer::declined()
    }

    async fn url(&mut self, message: &str, url: &str) -> Answer {
        let Some(dialog) = &mut self.dialog else {
            return Answer::declined();
        };
        match dialog.consent(message, url).await {
            Consent::Open => {
                self.open(url).await;
                Answer::accepted(None)
            }
            Consent::Given => Answer::accepted(None),
            Consent::Declined => Answer::declined(),
            Consent::Cancelled => Answer::cancelled(),
        }
    }

    async fn visited(&mut self) -> Answer {
        let Some(dialog) = &mut self.dialog else {
            return Answer::cancelled();
        };
        match dialog.visited().await {
            true => Answer::accepted(None),
            false => Answer::cancelled(),
        }
    }

    /// Hands a URL to the desktop.
    async fn open(&mut self, url: &str) {
        let opener = if cfg!(target_os = "macos") {
            "open"
        } else {
            "xdg-open"
        };
        let mut command = Command::new(opener);
        command
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = self
            .env
            .spawn_blocking("ostler.open", move || command.status());
        // Some of them run as long as the page does; the server waits for the answer.
        match self.env.until(self.env.now() + OPENING, started).await {
            None => {}
            Some(Ok(Ok(status))) if status.success() => {}
            Some(_) => self
                .output
                .tell("  it could not be opened here; please visit it yourself"),
        }
    }

    async fn sample(&mut self, params: &Raw) -> Answer {
        let Some(dialog) = &mut self.dialog else {
            return Answer::Refused;
        };
        match dialog.sample(params).await {
            Some(text) => Answer::sampled(&text, PERSON),
            None => Answer::Refused,
        }
    }

    /// What nobody typed is said before it goes out.
    fn tell_sent(&self, message: &str, content: &Raw) {
        if !self.output.is_json() {
            let (message, content) = (flat(message), flat(content.as_str()));
            self.output.tell(&format!("[asked] {message}"));
            self.output.tell(&format!("[answered] {content}"));
        }
    }

    fn tell_ask(&self, ask: &'static str, answer: &Answer) {
        if !self.output.is_json() {
            return;
        }
        let answer = match answer {
            Answer::Given(answer) => answer.clone(),
            Answer::Refused => Raw::from_static("null"),
        };
        self.output
            .event("ask", [("method", Raw::from_text(ask)), ("answer", answer)]);
    }
}

impl Host for Desk {
    fn notice(&mut self, notice: Notice) {
        let is_wanted = match &notice {
            Notice::Log { level, .. } => self.log.wants(level),
            _ => true,
        };
        if self.has_enough() || !is_wanted {
            return;
        }
        match self.output.is_json() {
            true => tell::json(self.output, &notice),
            false => match &notice {
                Notice::Progress {
                    progress,
                    total,
                    message,
                } => {
                    if let Ok(mut clerk) = self.clerk.try_lock() {
                        clerk.bar.show(*progress, *total, message.as_deref());
                    }
                }
                other => {
                    self.clear();
                    tell::text(self.output, other);
                }
            },
        }
        if let Notice::Changed(_) | Notice::Updated { .. } = notice {
            self.count();
        }
    }

    fn answer(&mut self, ask: Ask, _key: Option<&str>) -> Answering {
        let clerk = self.clerk.clone();
        Box::pin(async move { clerk.lock().await.answer(ask).await })
    }
}

/// Whether a person is there to answer: both ends of the conversation are a terminal.
pub fn is_interactive(output: Output) -> bool {
    !output.is_json() && output.err_is_terminal && io::stdin().is_terminal()
}

/// A directory as the URI that servers know it by.
fn file_uri(root: &str) -> Result<String, Failure> {
    if root.starts_with("file://") {
        return Ok(root.to_owned());
    }
    let path = Path::new(root).canonicalize();
    let path = path.map_err(|why| Failure::wrong_use(format!("--root {root}: {why}")))?;
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::output::Style;

    fn output() -> Output {
        Output {
            style: Style::Json,
            out_is_terminal: false,
            err_is_terminal: false,
        }
    }

    fn desk(answers: &[(&str, &str)], roots: &[&str]) -> Desk {
        let owned = |(key, value): &(&str, &str)| (key.to_string(), value.to_string());
        let asks = Asks {
            answers: answers.iter().map(owned).collect(),
            roots: roots.iter().map(|root| root.to_string()).collect(),
            ..Asks::default()
        };
        Desk::new(Env::system(), output(), Some(&asks)).unwrap()
    }

    #[test]
    fn only_what_can_be_answered_is_declared() {
        assert_eq!(desk(&[], &[]).abilities(), Abilities::default());
        let given = desk(&[("name", "Ada")], &["/"]).abilities();
        assert!(given.form && given.roots && !given.url && !given.sample);
    }

    #[tokio::test]
    async fn without_a_person_a_form_is_filled_from_the_command_line_or_declined() {
        let mut desk = desk(&[("name", "Ada")], &[]);
        let ask = |schema| Ask::Form {
            message: "who?".to_owned(),
            schema: Raw::from_static(schema),
            params: Raw::empty_object(),
        };
        let known = ask(r#"{"properties":{"name":{"type":"string"}}}"#);
        let expected = Answer::accepted(Some(Raw::from_static(r#"{"name":"Ada"}"#)));
        assert_eq!(desk.answer(known, None).await, expected);
        assert_eq!(desk.take_unanswered(), None);
        let unknown = ask(r#"{"properties":{"color":{"type":"string"}}}"#);
        assert_eq!(desk.answer(unknown, None).await, Answer::declined());
        assert!(
            desk.take_unanswered()
                .is_some_and(|said| said.contains("color"))
        );
        let sample = Ask::Sample {
            params: Raw::empty_object(),
        };
        assert_eq!(desk.answer(sample, None).await, Answer::Refused);
    }

    #[test]
    fn roots_are_absolute_file_uris() {
        assert_eq!(file_uri("/").unwrap(), "file:///");
        assert_eq!(file_uri("file:///a b").unwrap(), "file:///a b");
        assert!(file_uri("/no/such/directory").is_err());
    }
}
