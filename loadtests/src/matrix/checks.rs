//! What is done in each cell, and what must come of it.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ostler_client::{
    Client, Endpoint, Error, Filter, Limits, ListKind, Options, Reach, Request, parse, stopper,
    text_member,
};
use ostler_env::Env;
use ostler_protocol::{Raw, Revision};
use tokio::sync::watch;

use super::{
    Seen, door,
    feature::Feature,
    person::{ABLE, Heard, Listener, Person, ROOT},
};

/// One client of one revision at one Server.
pub struct Bench {
    env: Env,
    url: String,
    revision: Revision,
}

/// What a Server counts of its tool `wait`.
#[derive(Debug)]
struct Waits {
    begun: u32,
    cancelled: u32,
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what comes by itself.
const LOOK: Duration = Duration::from_millis(250);
const COUNTER: &str = "matrix://counter";
const BIG: usize = 1 << 20;

impl Bench {
    pub fn new(env: &Env, edge: &str, server: &str, revision: Revision) -> Bench {
        let (path, _) = door(revision);
        Bench {
            env: env.clone(),
            url: format!("{edge}/default/{server}/{path}"),
            revision,
        }
    }

    /// Waits until the Server is there with all it has.
    pub async fn wait_for_server(&self) -> anyhow::Result<()> {
        let limit = self.env.now() + PATIENCE;
        loop {
            let listed = self.list().await;
            if listed.is_ok() || self.env.now() >= limit {
                return listed.with_context(|| format!("{} has not come up", self.url));
            }
            self.env.sleep(LOOK).await;
        }
    }

    pub async fn check(&self, feature: Feature) -> Seen {
        let limit = self.env.now() + PATIENCE;
        match self.env.until(limit, Box::pin(self.look(feature))).await {
            None => Seen::Wrong(format!("nothing came of it in {PATIENCE:?}")),
            Some(Ok(seen)) => seen,
            Some(Err(why)) => Seen::Wrong(format!("{why:#}")),
        }
    }

    async fn look(&self, feature: Feature) -> anyhow::Result<Seen> {
        match feature {
            Feature::List => self.list().await?,
            Feature::Call => self.says("echo", r#"{"text":"hi"}"#, "hi").await?,
            Feature::Structured => self.structured().await?,
            Feature::Failing => self.failing().await?,
            Feature::Progress => self.progress().await?,
            Feature::Log => self.log().await?,
            Feature::Form => return self.asks("ask", "elicitation/create", "hello ada").await,
            Feature::Url => return self.asks("visit", "elicitation/create", "agreed").await,
            Feature::Sample => {
                let method = "sampling/createMessage";
                return self.asks("think", method, "the model said: pong").await;
            }
            Feature::Roots => return self.asks("where", "roots/list", ROOT).await,
            Feature::ListChanged => self.list_changed().await?,
            Feature::ResourceUpdated => self.resource_updated().await?,
            Feature::Cancel => self.cancel().await?,
            Feature::LongCall => self.says("slow", "{}", "done").await?,
            Feature::Completion => self.completion().await?,
            Feature::BigResult => self.big().await?,
        }
        Ok(Seen::Works)
    }

    // ---- the features ------------------------------------------------------------------

    async fn list(&self) -> anyhow::Result<()> {
        let client = self.connect().await?;
        let mut person = Person::default();
        let mut names = Vec::new();
        for kind in ListKind::ALL {
            for entry in client.list(kind, &mut person).await? {
                names.push(text_member(&entry, "name").unwrap_or_default());
            }
        }
        for name in ["echo", "big", "greet", "counter", "item"] {
            ensure!(
                names.iter().any(|n| n == name),
                "{name} is not in {names:?}"
            );
        }
        let uri = "matrix://item/7".to_owned();
        let read = client.run(&Request::Read { uri }, &mut person).await?;
        ensure!(read.as_str().contains("item 7"), "read: {}", read.as_str());
        let name = "greet".to_owned();
        let arguments = raw(r#"{"who":"ada"}"#);
        let request = Request::Get { name, arguments };
        let prompt = client.run(&request, &mut person).await?;
        ensure!(
            prompt.as_str().contains("Greet ada."),
            "prompt: {}",
            prompt.as_str()
        );
        client.close().await;
        Ok(())
    }

    async fn structured(&self) -> anyhow::Result<()> {
        let (result, _) = self.call("sum", r#"{"a":2,"b":3}"#).await?;
        let content = result.get("structuredContent");
        // Before 2025-06-18 there is no such member: the text says the same.
        let Some(content) = content else {
            ensure!(
                self.revision < Revision::V2025_06_18,
                "no structured content"
            );
            let text = text(&result);
            ensure!(text.contains("\"sum\":5"), "the text is {text}");
            return Ok(());
        };
        ensure!(
            self.revision >= Revision::V2025_06_18,
            "content before its time"
        );
        let sum = content.get("sum").and_then(|sum| sum.to::<f64>().ok());
        ensure!(sum == Some(5.0), "the sum is {sum:?}");
        Ok(())
    }

    async fn failing(&self) -> anyhow::Result<()> {
        let (result, _) = self.call("fail", "{}").await?;
        ensure!(is_error(&result), "no error: {}", result.as_str());
        ensure!(
            text(&result) == "it failed on purpose",
            "{}",
            result.as_str()
        );
        Ok(())
    }

    async fn progress(&self) -> anyhow::Result<()> {
        let (_, person) = self.call("steps", "{}").await?;
        let steps: Vec<_> = person
            .progress
            .iter()
            .map(|(progress, _)| *progress)
            .collect();
        ensure!(steps == [1.0, 2.0], "the steps are {steps:?}");
        // Messages came with 2025-03-26.
        let has_messages = person.progress.iter().all(|(_, message)| message.is_some());
        ensure!(
            has_messages || self.revision < Revision::V2025_03_26,
            "no messages"
        );
        Ok(())
    }

    async fn log(&self) -> anyhow::Result<()> {
        let (_, person) = self.call("say", "{}").await?;
        let logs = &person.logs;
        ensure!(
            logs.iter().any(|log| log.contains("hello")),
            "the logs are {logs:?}"
        );
        Ok(())
    }

    /// A tool that asks: it works, or says that this client cannot be asked.
    async fn asks(&self, tool: &str, method: &str, expected: &str) -> anyhow::Result<Seen> {
        let client = self.connect().await?;
        let mut person = Person::default();
        let called = client.run(&call(tool, "{}"), &mut person).await;
        client.close().await;
        let said = match called {
            Ok(result) if !is_error(&result) => text(&result),
            Ok(result) if person.asked.is_empty() => {
                // What is missing is named, so that whoever reads it knows why.
                let why = text(&result);
                ensure!(
                    why.to_lowercase().contains("elicit"),
                    "refused with {why:?}"
                );
                return Ok(Seen::Refused);
            }
            Ok(result) => bail!("asked {:?}, then {}", person.asked, result.as_str()),
            Err(error) => return Err(error.into()),
        };
        ensure!(said == expected, "it said {said:?}");
        ensure!(person.asked == [method], "asked {:?}", person.asked);
        Ok(Seen::Works)
    }

    async fn list_changed(&self) -> anyhow::Result<()> {
        let heard = self.listen(Filter::default(), "grow", Heard::ToolsChanged);
        heard.await?;
        let client = self.connect().await?;
        let mut person = Person::default();
        let limit = self.env.now() + PATIENCE;
        loop {
            let tools = client.list(ListKind::Tools, &mut person).await?;
            let is_grown = tools.iter().any(|tool| tool.as_str().contains("\"grown\""));
            if is_grown {
                break;
            }
            ensure!(self.env.now() < limit, "the new tool is in no list");
            self.env.sleep(LOOK).await;
        }
        let shrunk = client.run(&call("grow", "{}"), &mut person).await?;
        client.close().await;
        ensure!(text(&shrunk) == "shrunk", "{}", shrunk.as_str());
        Ok(())
    }

    async fn resource_updated(&self) -> anyhow::Result<()> {
        let uris = vec![COUNTER.to_owned()];
        self.listen(Filter { uris }, "touch", Heard::CounterUpdated)
            .await
    }

    /// Listens, calls a tool that changes something, and waits until that is heard. Whoever asks
    /// an upstream to tell of a resource may still be at it: so the counter is touched again.
    async fn listen(&self, filter: Filter, tool: &str, expected: Heard) -> anyhow::Result<()> {
        let (stopper, stop) = stopper();
        let (heard, mut hearing) = watch::channel(Heard::Nothing);
        let options = Options {
            stop,
            ..self.options()
        };
        let listening = async {
            let client = Client::connect(self.env.clone(), &self.endpoint(), options).await?;
            let mut listener = Listener { heard, stopper };
            match client.listen(watch::channel(filter).1, &mut listener).await {
                Ok(()) | Err(Error::Stopped) => anyhow::Ok(()),
                Err(error) => Err(error.into()),
            }
        };
        let changing = async {
            hearing.wait_for(|heard| *heard != Heard::Nothing).await?;
            let is_heard = |heard: &Heard| *heard == expected;
            let patience = match tool {
                "touch" => 4 * LOOK,
                // Done twice, it undoes itself.
                _ => PATIENCE,
            };
            loop {
                self.call(tool, "{}").await?;
                let limit = self.env.now() + patience;
                let heard = self.env.until(limit, hearing.wait_for(is_heard)).await;
                if heard.is_some() {
                    return Ok(());
                }
                ensure!(tool == "touch", "nothing was heard of {tool}");
            }
        };
        let (listened, changed) = tokio::join!(Box::pin(listening), Box::pin(changing));
        listened.and(changed)
    }

    async fn cancel(&self) -> anyhow::Result<()> {
        let before = self.waits().await?;
        let (stopper, stop) = stopper();
        let options = Options {
            stop,
            ..self.options()
        };
        let client = Client::connect(self.env.clone(), &self.endpoint(), options).await?;
        let mut person = Person::default();
        let request = call("wait", "{}");
        let waiting = client.run(&request, &mut person);
        let stopping = async {
            // Before the function runs, cancelling it would tell nothing about it.
            let begun = self.until_waits(|waits| waits.begun > before.begun).await;
            stopper.stop();
            begun
        };
        let (ended, begun) = tokio::join!(Box::pin(waiting), Box::pin(stopping));
        begun.context("the wait has not begun")?;
        ensure!(ended.is_err(), "a cancelled call has a result");
        let is_cancelled = |waits: &Waits| waits.cancelled > before.cancelled;
        let cancelled = self.until_waits(is_cancelled).await;
        cancelled.context("the worker heard of no cancel")
    }

    async fn until_waits(&self, is_so: impl Fn(&Waits) -> bool) -> anyhow::Result<()> {
        let limit = self.env.now() + PATIENCE;
        loop {
            let waits = self.waits().await?;
            if is_so(&waits) {
                return Ok(());
            }
            ensure!(self.env.now() < limit, "it counts {waits:?}");
            self.env.sleep(LOOK).await;
        }
    }

    async fn waits(&self) -> anyhow::Result<Waits> {
        let (result, _) = self.call("waits", "{}").await?;
        let counts = text(&result);
        let counts = counts.split_once(' ').context("two numbers")?;
        Ok(Waits {
            begun: counts.0.parse()?,
            cancelled: counts.1.parse()?,
        })
    }

    async fn completion(&self) -> anyhow::Result<()> {
        let client = self.connect().await?;
        let request = Request::Complete {
            reference: raw(r#"{"type":"ref/prompt","name":"greet"}"#),
            argument: "who".to_owned(),
            value: "a".to_owned(),
            settled: Raw::empty_object(),
        };
        let completed = client.run(&request, &mut Person::default()).await?;
        client.close().await;
        let completion = completed.get("completion").unwrap_or_default();
        let values = completion.get("values").unwrap_or_default();
        let values: Vec<String> = values.to().context("the values are no texts")?;
        ensure!(values == ["ada", "alan"], "{}", completed.as_str());
        Ok(())
    }

    async fn big(&self) -> anyhow::Result<()> {
        let arguments = format!(r#"{{"bytes":{BIG}}}"#);
        let (result, _) = self.call("big", &arguments).await?;
        ensure!(text(&result).len() == BIG, "{} bytes", text(&result).len());
        Ok(())
    }

    // ---- what they share ---------------------------------------------------------------

    async fn says(&self, tool: &str, arguments: &str, expected: &str) -> anyhow::Result<()> {
        let (result, _) = self.call(tool, arguments).await?;
        ensure!(text(&result) == expected, "{}", result.as_str());
        Ok(())
    }

    async fn call(&self, tool: &str, arguments: &str) -> anyhow::Result<(Raw, Person)> {
        let client = self.connect().await?;
        let mut person = Person::default();
        let result = client.run(&call(tool, arguments), &mut person).await;
        client.close().await;
        Ok((result?, person))
    }

    async fn connect(&self) -> anyhow::Result<Client> {
        let client = Client::connect(self.env.clone(), &self.endpoint(), self.options()).await?;
        let spoken = client.facts().revision;
        ensure!(spoken == self.revision, "it speaks {}", spoken.as_str());
        Ok(client)
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint {
            url: self.url.clone(),
            token: None,
            headers: Vec::new(),
            reach: Reach::Anywhere,
        }
    }

    fn options(&self) -> Options {
        let (_, choice) = door(self.revision);
        Options {
            choice,
            abilities: ABLE,
            log_level: Some("debug".to_owned()),
            limits: Limits::default(),
            stop: stopper().1,
        }
    }
}

fn call(name: &str, arguments: &str) -> Request {
    Request::Call {
        name: name.to_owned(),
        arguments: raw(arguments),
        tool: None,
    }
}

fn raw(text: &str) -> Raw {
    parse(text).expect("it is JSON")
}

/// All text of a result.
fn text(result: &Raw) -> String {
    let content = result.get("content").unwrap_or_default();
    let texts = content
        .elements()
        .filter_map(|item| text_member(&item, "text"));
    texts.collect()
}

fn is_error(result: &Raw) -> bool {
    result.get("isError").and_then(|flag| flag.boolean()) == Some(true)
}
