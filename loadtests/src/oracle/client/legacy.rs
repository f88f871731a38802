//! Clients of the legacy era: sessions, and streams that are taken up again where they broke.

use std::collections::BTreeSet;

use ostler_testkit::{Event, Live, Request, Session};
use serde_json::{Value, json};

use super::world::{PastStream, World, is_busy, remember, said};
use crate::oracle::fact::{Fact, Handle, ReadEnd, Tool};

/// An open session.
pub struct Line {
    pub world: World,
    pub session: Session,
}

/// What became of a request.
pub enum Heard {
    /// Its outcome, also a refusal that helps nobody.
    Response(Value),
    /// It was not taken for the moment, or its stream is gone.
    Refused(String),
    /// The connection broke, and there is nothing to come back with.
    Broken,
}

/// A stream as it is read: it may take several connections.
struct Stream<'a> {
    name: &'a str,
    /// Whose handle its first event is.
    call: Option<&'a str>,
    ids: Vec<String>,
    /// Questions that the node knows the answer to.
    answered: BTreeSet<String>,
}

impl Line {
    /// Opens a session. A node that died before it said so may have stored another one.
    pub async fn open(world: &World, version: &'static str) -> Self {
        let can = json!({"elicitation": {}});
        let request = Session::initialize_as(version, world.door(), can);
        let (id, initialized) = loop {
            let response = world.patiently(&request).await;
            if let Some(id) = response.header("mcp-session-id") {
                break (id.to_owned(), response.json()["result"].clone());
            }
            world.missing(format!("a session: {response:?}")).await;
        };
        let session = Session {
            door: world.door().clone(),
            id: id.clone(),
            initialized,
            version,
        };
        let opened = Fact::Opened {
            session: id.clone(),
        };
        world.write(opened).await;
        world.past().lock().sessions.insert(id, session.clone());
        let line = Self {
            world: world.clone(),
            session,
        };
        let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized", "params": {}});
        line.post(&told).await;
        line
    }

    /// Ends the session: from the moment this is told, nobody may find it.
    pub async fn end(self) {
        let Self { world, session } = self;
        let id = || session.id.clone();
        {
            let mut past = world.past().lock();
            past.sessions.remove(&session.id);
            past.streams
                .retain(|stream| stream.session.id != session.id);
        }
        world.write(Fact::Deleting { session: id() }).await;
        let response = world.patiently(&session.end()).await;
        match response.status {
            // The second attempt of one that was done already.
            204 | 404 => world.write(Fact::Deleted { session: id() }).await,
            _ => {
                world
                    .missing(format!("the end of {session:?}: {response:?}"))
                    .await
            }
        }
        remember(&mut world.past().lock().deleted, session);
    }

    /// One call to its end; whether the client had something to come back with.
    pub async fn call(&self, tool: Tool, arguments: Value) -> bool {
        let call = self.world.name();
        self.world.sent(&call, tool).await;
        let request = self.request(&call, tool, &arguments, None);
        let heard = self.converse(&call, Some(&call), request).await;
        self.close(call, heard).await
    }

    /// `tools/call` with progress, as a task or not.
    pub fn request(
        &self,
        call: &str,
        tool: Tool,
        arguments: &Value,
        task: Option<Value>,
    ) -> Request {
        let mut arguments = arguments.clone();
        arguments["call"] = call.into();
        let mut params = json!({"name": tool.name(), "arguments": arguments,
            "_meta": {"progressToken": call}});
        if let Some(task) = task {
            params["task"] = task;
        }
        self.session.request(call, "tools/call", params)
    }

    async fn close(&self, call: String, heard: Heard) -> bool {
        match heard {
            Heard::Response(message) => self.world.told(&call, &message).await,
            Heard::Refused(why) => self.world.write(Fact::Refused { call, why }).await,
            Heard::Broken => {
                self.world.write(Fact::Broken { call }).await;
                return false;
            }
        }
        true
    }

    /// Sends a request once and hears all there is until its response, however often the node
    /// dies, as long as there is an event to come back with.
    pub async fn converse(&self, name: &str, call: Option<&str>, request: Request) -> Heard {
        let Some(live) = self.world.once(&request).await else {
            return Heard::Broken;
        };
        if live.head().is_stream() {
            let stream = Stream {
                name,
                call,
                ids: Vec::new(),
                answered: BTreeSet::new(),
            };
            return self.follow(live, stream).await;
        }
        let Some(response) = live.finish_whole().await else {
            return Heard::Broken;
        };
        self.mark(response.status).await;
        match is_busy(response.status) {
            true => Heard::Refused(format!("{} {}", response.status, response.text())),
            false => Heard::Response(said(&response)),
        }
    }

    async fn follow(&self, mut live: Live, mut stream: Stream<'_>) -> Heard {
        loop {
            let read = self.begin_read(&stream).await;
            let response = self.read(read, &mut live, &mut stream).await;
            let end = match live.is_whole() {
                true => ReadEnd::Whole,
                false => ReadEnd::Cut,
            };
            self.world.write(Fact::ReadOver { read, end }).await;
            if let Some(response) = response {
                self.remember(stream);
                return Heard::Response(response);
            }
            let Some(after) = stream.ids.last() else {
                return Heard::Broken;
            };
            match self.resume(stream.name, after).await {
                Some(resumed) => live = resumed,
                None => return Heard::Refused("the stream cannot be resumed".to_owned()),
            }
        }
    }

    async fn begin_read(&self, stream: &Stream<'_>) -> u64 {
        let read = self.world.number();
        let reading = Fact::Reading {
            read,
            stream: stream.name.to_owned(),
            after: stream.ids.last().cloned(),
        };
        self.world.write(reading).await;
        read
    }

    /// Reads one connection to its end; gives the response, if it came.
    async fn read(&self, read: u64, live: &mut Live, stream: &mut Stream<'_>) -> Option<Value> {
        let mut response = None;
        while let Some(event) = live.next_event().await {
            self.record(read, &event, stream).await;
            if event.data.is_empty() {
                continue;
            }
            let message = event.json();
            match message["method"].as_str() {
                Some("elicitation/create") => {
                    if stream.answered.insert(message["id"].to_string()) {
                        self.answer(&message).await;
                    }
                }
                Some(_) => {}
                None => response = Some(message),
            }
        }
        response
    }

    async fn record(&self, read: u64, event: &Event, stream: &mut Stream<'_>) {
        let Some(id) = event.id.clone() else {
            return;
        };
        let seen = Fact::Event {
            read,
            id: id.clone(),
            text: event.data.clone(),
        };
        self.world.write(seen).await;
        if let Some(call) = stream.call.filter(|_| stream.ids.is_empty()) {
            let held = Fact::Held {
                call: call.to_owned(),
                handle: Handle::Event,
            };
            self.world.write(held).await;
        }
        stream.ids.push(id);
    }

    /// Says what it was asked, until the node has it.
    pub async fn answer(&self, question: &Value) {
        let said = json!({"said": question["params"]["message"]});
        let result = json!({"action": "accept", "content": said});
        self.post(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result}))
            .await;
    }

    /// What is no request, until the node has it.
    async fn post(&self, message: &Value) {
        let response = self.world.patiently(&self.session.post(message)).await;
        self.mark(response.status).await;
        if response.status != 202 {
            let what = format!("a 202 for {message}: {response:?}");
            self.world.missing(what).await;
        }
    }

    /// A request that may be repeated.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let request = self.session.request(self.world.name(), method, params);
        let response = self.world.patiently(&request).await;
        self.mark(response.status).await;
        said(&response)
    }

    /// The rest of a stream after an event, which the node must know.
    pub async fn resume(&self, name: &str, after: &str) -> Option<Live> {
        let request = self.session.get().also("Last-Event-ID", after);
        let live = self.world.open_patiently(&request).await;
        if live.head().status == 200 {
            return Some(live);
        }
        self.mark(live.head().status).await;
        if live.head().status != 404 {
            let trimmed = Fact::Trimmed {
                stream: name.to_owned(),
                after: after.to_owned(),
            };
            self.world.write(trimmed).await;
        }
        None
    }

    /// A session that is not found.
    async fn mark(&self, status: u16) {
        if status == 404 {
            let session = self.session.id.clone();
            self.world.write(Fact::Gone { session }).await;
        }
    }

    /// For later looks; a stream without ids cannot be read again.
    fn remember(&self, stream: Stream<'_>) {
        if stream.ids.is_empty() {
            return;
        }
        let past = PastStream {
            session: self.session.clone(),
            name: stream.name.to_owned(),
            ids: stream.ids,
        };
        remember(&mut self.world.past().lock().streams, past);
    }
}

/// What one reads of a stream that has ended, from some event on.
pub async fn replay(world: &World, past: &PastStream, after: &str) {
    let line = Line {
        world: world.clone(),
        session: past.session.clone(),
    };
    let mut stream = Stream {
        name: &past.name,
        call: None,
        ids: vec![after.to_owned()],
        answered: BTreeSet::new(),
    };
    let Some(mut live) = line.resume(&past.name, after).await else {
        return;
    };
    let read = line.begin_read(&stream).await;
    while let Some(event) = live.next_event().await {
        line.record(read, &event, &mut stream).await;
    }
    let end = match live.is_whole() {
        true => ReadEnd::Whole,
        false => ReadEnd::Cut,
    };
    world.write(Fact::ReadOver { read, end }).await;
}
