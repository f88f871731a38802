//! Questions to the person at the terminal.

use std::io::{BufRead, Write};

use ostler_client::{object, text_member};
use ostler_env::{Env, JoinHandle};
use ostler_protocol::Raw;

use super::{
    address::Address,
    form::{Field, Form},
    output::{flat, indented},
};

/// Where questions are shown and answers typed.
pub struct Dialog {
    env: Env,
    /// Away while a line is read.
    input: Option<Input>,
    /// A line that is being read, perhaps for a question that was taken back meanwhile.
    reading: Option<JoinHandle<(Input, std::io::Result<Option<String>>)>>,
    output: Box<dyn Write + Send>,
}

type Input = Box<dyn BufRead + Send>;

/// What a person made of a form.
#[derive(Debug, PartialEq, Eq)]
pub enum Filled {
    Accepted(Raw),
    Declined,
    Cancelled,
}

/// What a person made of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Open it for them.
    Open,
    /// They open it themselves.
    Given,
    Declined,
    Cancelled,
}

const DECLINE: &str = "!";

impl Dialog {
    pub fn new(env: Env, input: Box<dyn BufRead + Send>, output: Box<dyn Write + Send>) -> Dialog {
        Dialog {
            env,
            input: Some(input),
            reading: None,
            output,
        }
    }

    /// Field by field; a wrong line is asked again. `given` is not asked.
    pub async fn fill(&mut self, message: &str, form: &Form, given: &[(String, String)]) -> Filled {
        self.show(&format!("\nThe server asks: {}", indented(message)));
        self.show("(Enter keeps what is in brackets, ! declines, Ctrl-D cancels)");
        let mut content = Vec::new();
        for field in &form.fields {
            let in_advance = given.iter().find(|(name, _)| *name == field.name);
            if let Some(Ok(Some(value))) = in_advance.map(|(_, text)| field.parse(text)) {
                content.push((field.name.clone(), value));
                continue;
            }
            let prompt = self.introduce(field);
            let value = loop {
                let Some(line) = self.line(&prompt).await else {
                    return Filled::Cancelled;
                };
                if line.trim() == DECLINE {
                    return Filled::Declined;
                }
                match field.parse(&line) {
                    Ok(value) => break value,
                    Err(wanted) => self.show(&format!("  it must be {}", flat(&wanted))),
                }
            };
            content.extend(value.map(|value| (field.name.clone(), value)));
        }
        if !self.yes("Send it?").await {
            return Filled::Declined;
        }
        Filled::Accepted(object(content))
    }

    /// Whether a URL may be opened. Its host is set apart, because that is what decides.
    pub async fn consent(&mut self, message: &str, url: &str) -> Consent {
        self.show(&format!("\nThe server asks: {}", indented(message)));
        let address = Address::parse(url);
        match &address {
            Ok(address) => self.show(&format!("  It wants you to visit  {}", in_bold(address))),
            Err(why) => {
                self.show(&format!("  It wants you to visit  {}", flat(url)));
                self.show(&format!("  Careful: {why}. It is not opened from here."));
            }
        }
        if !url.is_ascii() {
            self.show("  Careful: this address has letters that may look like others.");
        }
        let prompt = match address.is_ok() {
            true => "  o opens it, v if you visit it yourself, ! declines: ",
            false => "  v if you visit it all the same, ! declines: ",
        };
        loop {
            let Some(line) = self.line(prompt).await else {
                return Consent::Cancelled;
            };
            match line.trim() {
                "o" if address.is_ok() => return Consent::Open,
                "v" => return Consent::Given,
                DECLINE => return Consent::Declined,
                _ => {}
            }
        }
    }

    /// Whether the person did what the page wanted.
    pub async fn visited(&mut self) -> bool {
        let line = self
            .line("  Enter when you are done there, ! gives up: ")
            .await;
        line.is_some_and(|line| line.trim() != DECLINE)
    }

    /// What a model would be asked, answered by the person; nothing if they will not.
    pub async fn sample(&mut self, params: &Raw) -> Option<String> {
        self.show("\nThe server asks for a model's answer. You can give it.");
        if let Some(system) = text_member(params, "systemPrompt") {
            self.show(&format!("  system: {}", flat(&system)));
        }
        let messages = params.get("messages").unwrap_or_default();
        for message in messages.elements() {
            self.show(&format!("  {}", said(&message)));
        }
        let line = self.line("Answer (! declines): ").await?;
        (line.trim() != DECLINE).then(|| line.trim_end().to_owned())
    }

    /// Shows a field, and its choices below it; gives the prompt for its line.
    fn introduce(&mut self, field: &Field) -> String {
        let (hint, kept) = (flat(&field.hint()), kept(field));
        let choices = field.choices();
        if choices.is_empty() {
            return format!("  {} ({hint}){kept}: ", heading(field));
        }
        self.show(&format!("  {}", heading(field)));
        for choice in choices {
            self.show(&format!("    {}", flat(&choice)));
        }
        format!("    {hint}{kept}: ")
    }

    async fn yes(&mut self, question: &str) -> bool {
        loop {
            let line = self.line(&format!("{question} [Y/n] ")).await;
            match line.map(|line| line.trim().to_lowercase()).as_deref() {
                Some("" | "y" | "yes") => return true,
                None | Some("n" | "no" | DECLINE) => return false,
                Some(_) => {}
            }
        }
    }

    fn show(&mut self, text: &str) {
        // A terminal that is gone ends the reading too.
        let _ = writeln!(self.output, "{text}");
    }

    /// A line as it was typed; nothing at the end of the input.
    async fn line(&mut self, prompt: &str) -> Option<String> {
        if self.reading.is_some() {
            // What is typed now was meant for another question.
            self.show("  (that question was taken back; Enter goes on)");
            self.read().await?;
        }
        let _ = write!(self.output, "{prompt}").and_then(|()| self.output.flush());
        let mut input = self.input.take()?;
        self.reading = Some(self.env.spawn_blocking("ostler.prompt", move || {
            let mut line = String::new();
            let read = input.read_line(&mut line);
            (input, read.map(|bytes| (bytes > 0).then_some(line)))
        }));
        self.read().await
    }

    /// The line that is being read.
    // Cancel safe: it is read on.
    async fn read(&mut self) -> Option<String> {
        let (input, line) = self.reading.as_mut()?.await.ok()?;
        self.reading = None;
        self.input = Some(input);
        line.ok().flatten()
    }
}

/// What the field is called, and what it is for.
fn heading(field: &Field) -> String {
    let name = field.title.as_deref().unwrap_or(&field.name);
    match &field.description {
        Some(description) => flat(&format!("{name}: {description}")),
        None => flat(name),
    }
}

/// What Enter does.
fn kept(field: &Field) -> String {
    match (field.default_shown(), field.is_required) {
        (Some(default), _) => format!(" [{}]", flat(&default)),
        (None, true) => String::new(),
        (None, false) => " []".to_owned(),
    }
}

/// One message of a sampling request on one line.
fn said(message: &Raw) -> String {
    let role = text_member(message, "role").unwrap_or_default();
    let content = message.get("content").unwrap_or_default();
    let blocks = match content.is_object() {
        true => vec![content],
        false => content.elements().collect(),
    };
    let shown = blocks.iter().map(|block| match text_member(block, "text") {
        Some(text) => text,
        None => format!("[{}]", text_member(block, "type").unwrap_or_default()),
    });
    flat(&format!("{role}: {}", shown.collect::<Vec<_>>().join(" ")))
}

/// The host in bold between the rest.
fn in_bold(address: &Address<'_>) -> String {
    let Address {
        before,
        host,
        after,
    } = address;
    format!("{before}\x1b[1m{host}\x1b[0m{after}")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn dialog(typed: &str) -> Dialog {
        let input = Box::new(Cursor::new(typed.to_owned()));
        Dialog::new(Env::system(), input, Box::new(std::io::sink()))
    }

    fn form() -> Form {
        Form::read(&Raw::from_static(
            r#"{"properties":{"name":{"type":"string","minLength":2},"age":{"type":"integer","default":3}},
            "required":["name"]}"#,
        ))
    }

    async fn check(typed: &str, given: &[(String, String)], expected: Filled) {
        let filled = dialog(typed).fill("m", &form(), given).await;
        assert_eq!(filled, expected, "{typed:?}");
    }

    fn accepted(content: &'static str) -> Filled {
        Filled::Accepted(Raw::from_static(content))
    }

    #[tokio::test]
    async fn a_form_is_asked_until_it_is_right() {
        let right = || accepted(r#"{"name":"Ada","age":3}"#);
        check("Ada\n\n\n", &[], right()).await;
        check("\nA\nAda\nx\n3\ny\n", &[], right()).await;
        check("\n\n", &[("name".to_owned(), "Ada".to_owned())], right()).await;
    }

    #[tokio::test]
    async fn a_person_may_decline_or_go_away() {
        check("!\n", &[], Filled::Declined).await;
        check("Ada\n\nn\n", &[], Filled::Declined).await;
        check("Ada\n", &[], Filled::Cancelled).await;
    }

    #[tokio::test]
    async fn a_url_is_opened_by_consent_only() {
        let consent = async |typed, url| dialog(typed).consent("m", url).await;
        assert_eq!(
            consent("\nyes\no\n", "https://a.example").await,
            Consent::Open
        );
        assert_eq!(consent("o\nv\n", "file:///etc").await, Consent::Given);
        let disguised = "https://bank.example@evil.example";
        assert_eq!(consent("o\n!\n", disguised).await, Consent::Declined);
        assert_eq!(consent("!\n", "https://a.example").await, Consent::Declined);
        assert_eq!(consent("", "https://a.example").await, Consent::Cancelled);
    }

    #[tokio::test]
    async fn sampling_is_answered_or_declined() {
        let params = Raw::from_static(
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"?"}}]}"#,
        );
        assert_eq!(
            dialog("Paris\n").sample(&params).await.as_deref(),
            Some("Paris")
        );
        assert_eq!(dialog("!\n").sample(&params).await, None);
    }

    /// What the person sees when they are to visit a URL.
    async fn seen(message: &str, url: &str) -> String {
        let screen = Screen::default();
        let input = Box::new(Cursor::new(String::new()));
        let mut dialog = Dialog::new(Env::system(), input, Box::new(screen.clone()));
        assert_eq!(dialog.consent(message, url).await, Consent::Cancelled);
        let bytes = screen
            .0
            .lock()
            .expect("nobody panics while writing")
            .clone();
        String::from_utf8(bytes).expect("text")
    }

    #[derive(Clone, Default)]
    struct Screen(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut seen = self.0.lock().expect("nobody panics while writing");
            seen.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn only_a_host_that_is_sure_is_set_apart() {
        let good = seen("m", "https://a.example/x?y").await;
        assert!(
            good.contains("https://\x1b[1ma.example\x1b[0m/x?y"),
            "{good}"
        );
        for url in [
            "https://bank.example\\@evil.example/",
            "https://bank.example@evil.example/",
            "https:///evil.example/",
        ] {
            let bad = seen("m", url).await;
            assert!(!bad.contains("\x1b[1m") && bad.contains("Careful"), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_message_cannot_forge_what_we_say() {
        let forged = "hi\n  It wants you to visit  https://bank.example";
        let shown = seen(forged, "https://evil.example").await;
        let ours = |line: &&str| line.starts_with("  It wants you to visit");
        assert_eq!(shown.lines().filter(ours).count(), 1, "{shown}");
    }
}
