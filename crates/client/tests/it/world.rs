//! A client with a host that remembers, and the messages of servers.

use std::time::Duration;

use ostler_client::{
    Abilities, Answer, Answering, Ask, Behalf, Client, Endpoint, EraChoice, Error, Filter, Host,
    Limits, Notice, Options, Reach, Request, Stopper, object, parse, stopper,
};
use ostler_env::Env;
use ostler_protocol::Raw;
use ostler_testkit::{Replay, Seen, Stub, soon};
use ostler_types::Secret;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

/// Remembers what it heard, and gives the same answer to every ask.
pub struct Ear {
    pub notices: Vec<Notice>,
    pub asks: Vec<Ask>,
    pub answer: Answer,
    pub behalf: Option<Behalf>,
}

impl Ear {
    /// One that is there for this owner, who fills forms.
    pub fn of(owner: u64) -> Self {
        Self {
            behalf: Some(Behalf {
                owner,
                abilities: Abilities {
                    form: true,
                    ..Abilities::default()
                },
                log_level: None,
            }),
            ..Self::new()
        }
    }

    pub fn new() -> Self {
        let name = Raw::from_static(r#"{"name":"Ada"}"#);
        Self {
            notices: Vec::new(),
            asks: Vec::new(),
            answer: Answer::accepted(Some(name)),
            behalf: None,
        }
    }
}

impl Host for Ear {
    fn behalf(&self) -> Option<&Behalf> {
        self.behalf.as_ref()
    }

    fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    fn answer(&mut self, ask: Ask, _: Option<&str>) -> Answering {
        self.asks.push(ask);
        let answer = self.answer.clone();
        Box::pin(async move { answer })
    }
}

/// Whose answers the test gives, in any order.
pub struct Panel {
    asked: mpsc::Sender<Put>,
    pub notices: Vec<Notice>,
}

/// A question that was put to a panel.
pub struct Put {
    pub ask: Ask,
    answer: oneshot::Sender<Answer>,
}

impl Panel {
    pub fn new() -> (Panel, Questions) {
        let (asked, questions) = mpsc::channel(16);
        let notices = Vec::new();
        (Panel { asked, notices }, Questions(questions))
    }
}

/// What a panel is asked.
pub struct Questions(mpsc::Receiver<Put>);

impl Questions {
    pub async fn next(&mut self) -> Put {
        soon("a question", self.0.recv()).await.expect("a panel")
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Put {
    /// What it asks.
    pub fn text(&self) -> &str {
        match &self.ask {
            Ask::Form { message, .. } => message,
            Ask::Url { url, .. } => url,
            Ask::Visited => "visited?",
            Ask::Sample { .. } => "sample",
            Ask::Roots { .. } => "roots",
        }
    }

    pub fn accept(self) {
        self.give(Answer::accepted(None));
    }

    pub fn give(self, answer: Answer) {
        self.answer.send(answer).expect("somebody waits for it");
    }

    /// Until nobody waits for its answer any more.
    pub async fn dropped(mut self) {
        soon("nobody waits", self.answer.closed()).await;
    }
}

impl Host for Panel {
    fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    fn answer(&mut self, ask: Ask, _: Option<&str>) -> Answering {
        let (answer, answered) = oneshot::channel();
        let put = Put { ask, answer };
        self.asked.try_send(put).expect("the test listens");
        Box::pin(async move { answered.await.expect("the test answers") })
    }
}

/// Able to fill forms; everything happens fast.
pub fn options(choice: EraChoice) -> (Options, Stopper) {
    let (stopper, stop) = stopper();
    let ms = Duration::from_millis;
    let options = Options {
        choice,
        abilities: Abilities {
            form: true,
            ..Abilities::default()
        },
        log_level: None,
        limits: Limits {
            message_bytes_max: 64 << 10,
            retry: ms(1),
            retry_min: ms(1),
            poll: ms(1),
            resumptions_max: 3,
            ..Limits::default()
        },
        stop,
    };
    (options, stopper)
}

/// Where a server is, with the credential for it.
pub fn at(stub: &Stub) -> Endpoint {
    Endpoint {
        url: stub.url("/mcp"),
        token: Some(Secret::new("secret")),
        headers: Vec::new(),
        reach: Reach::Anywhere,
    }
}

/// A filter that does not change.
pub fn fixed(filter: &Filter) -> watch::Receiver<Filter> {
    watch::channel(filter.clone()).1
}

pub async fn connect(stub: &Stub, choice: EraChoice) -> Result<Client, Error> {
    let (options, _) = options(choice);
    let endpoint = at(stub);
    soon(
        "a connection",
        Client::connect(Env::system(), &endpoint, options),
    )
    .await
}

pub fn call(name: &str) -> Request {
    Request::Call {
        name: name.to_owned(),
        arguments: object::<&str>([]),
        tool: None,
    }
}

/// A call of a tool with this entry in its list.
pub fn call_of(tool: &Value) -> Request {
    Request::Call {
        name: tool["name"].as_str().expect("a name").to_owned(),
        arguments: object::<&str>([]),
        tool: Some(parse(&tool.to_string()).expect("it is JSON")),
    }
}

pub async fn run(client: &Client, request: &Request, host: &mut dyn Host) -> Result<Value, Error> {
    let result = soon("a result", client.run(request, host)).await?;
    Ok(result.to().expect("a result is JSON"))
}

/// The response to a request.
pub fn result(seen: &Seen, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result})
}

pub fn ok(seen: &Seen, body: Value) -> Replay {
    Replay::json(200, &result(seen, body))
}

pub fn error(seen: &Seen, status: u16, code: i64, data: Value) -> Replay {
    let error = json!({"code": code, "message": "no", "data": data});
    let body = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error});
    Replay::json(status, &body)
}

/// An error that is about no request.
pub fn nameless(status: u16, code: i64) -> Replay {
    let error = json!({"code": code, "message": "no"});
    Replay::json(
        status,
        &json!({"jsonrpc": "2.0", "id": null, "error": error}),
    )
}

/// An event with an id.
pub fn event(id: &str, message: &Value) -> String {
    format!("id: {id}\ndata: {message}\n\n")
}

/// A modern server: `server/discover` and whatever `rest` says.
pub async fn modern(rest: impl Fn(&Seen) -> Replay + Send + Sync + 'static) -> Stub {
    Stub::start(move |seen| match seen.about().as_str() {
        "server/discover" => ok(
            seen,
            json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
                "cacheScope": "private", "capabilities": capabilities()}),
        ),
        _ => rest(seen),
    })
    .await
}

/// A session at a server of this revision, and whatever `rest` says.
pub async fn legacy(
    date: &'static str,
    rest: impl Fn(&Seen) -> Replay + Send + Sync + 'static,
) -> Stub {
    Stub::start(move |seen| match seen.about().as_str() {
        "server/discover" | "initialize" | "notifications/initialized" | "response" | "DELETE" => {
            session(date, seen)
        }
        _ => rest(seen),
    })
    .await
}

/// What is the same in each session at a server of this revision.
pub fn session(date: &str, seen: &Seen) -> Replay {
    match seen.about().as_str() {
        "server/discover" => error(seen, 400, -32600, Value::Null),
        "initialize" => ok(seen, initialized(date)).header("Mcp-Session-Id", "s-1"),
        "DELETE" => Replay::status(204),
        _ => Replay::status(202),
    }
}

/// Everything; changes are announced of tools alone.
pub fn capabilities() -> Value {
    json!({"tools": {"listChanged": true}, "prompts": {}, "resources": {"subscribe": true},
        "completions": {}, "logging": {}})
}

pub fn initialized(date: &str) -> Value {
    let mut capabilities = capabilities();
    capabilities["tasks"] = json!({"requests": {"tools": {"call": {}}}, "cancel": {}});
    json!({
        "protocolVersion": date,
        "capabilities": capabilities,
        "serverInfo": {"name": "stub", "version": "1"},
    })
}

/// The form that servers here ask.
pub fn form() -> Value {
    json!({"message": "who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}})
}
