//! A call of a legacy client, whose stream is resumed until its one final event was read.

use serde_json::{Value, json};

use super::{
    Client, Errand,
    errand::{is_refusal, told},
    is_passing, taken,
};
use crate::{
    http::Request,
    legacy::Session,
    sim::{
        history::Told,
        http::{Answer, EventStream, Whole},
    },
    sse::Event,
};

/// What a client knows of one stream.
pub struct Followed<'a> {
    client: &'a Client,
    session: &'a Session,
    errand: &'a Errand,
    /// The id of the request whose response ends it.
    request: u64,
    /// The ids of its events, in their order.
    seen: Vec<String>,
    progress: f64,
    end: Option<Value>,
    /// Nothing more is read: its client gave it up on purpose, or it cannot be resumed.
    stopped: bool,
    /// It waits for a task, which has its outcome whatever becomes of this request.
    waits: bool,
}

/// What became of a request.
pub enum Ended {
    /// It has its one outcome.
    Told(Told),
    /// Nothing was acknowledged, and nothing came.
    Unknown,
    Refused,
    Cancelled,
}

impl<'a> Followed<'a> {
    pub fn new(client: &'a Client, session: &'a Session, errand: &'a Errand, request: u64) -> Self {
        Self {
            client,
            session,
            errand,
            request,
            seen: Vec::new(),
            progress: 0.0,
            end: None,
            stopped: false,
            waits: false,
        }
    }

    /// A request that waits for the task of its errand.
    pub fn waiting(self) -> Self {
        Self {
            waits: true,
            ..self
        }
    }

    /// Sends the request and follows it to its end.
    pub async fn run(mut self, request: Request) -> Ended {
        match self.client.exchange(&request).await {
            Answer::Broken => return Ended::Unknown,
            Answer::Whole(whole) => return self.whole(&whole),
            Answer::Stream(stream) => self.read(stream).await,
        }
        if !self.seen.is_empty() {
            self.resume().await;
        }
        if self.stopped {
            return Ended::Cancelled;
        }
        let Some(end) = self.end.take() else {
            return Ended::Unknown;
        };
        if self.client.dice.chance(40) {
            self.replay(&end).await;
        }
        self.over(&end)
    }

    fn over(&self, response: &Value) -> Ended {
        match self.waits && is_refusal(&told(response)) {
            true => Ended::Refused,
            false => Ended::Told(self.client.ended(self.errand, response)),
        }
    }

    fn whole(&self, whole: &Whole) -> Ended {
        match whole.status {
            200 => self.over(&whole.body),
            status if self.waits && is_passing(status) => Ended::Refused,
            status => {
                self.client.refused(self.errand, status, &whole.body);
                Ended::Refused
            }
        }
    }

    /// Comes back with the cursor until the response was read.
    async fn resume(&mut self) {
        let client = self.client;
        client
            .insist("the rest of a stream", async || {
                if self.end.is_some() || self.stopped {
                    return Some(());
                }
                let cursor = self.seen.last().map_or("", String::as_str);
                let request = self.session.get().also("Last-Event-ID", cursor);
                match client.exchange(&request).await {
                    Answer::Broken => return None,
                    Answer::Whole(whole) if is_passing(whole.status) => return None,
                    Answer::Whole(whole) => {
                        let Whole { status, body, .. } = whole;
                        let token = &self.errand.token;
                        client.violation(format_args!("cannot resume {token}: {status} {body}"));
                        self.stopped = true;
                    }
                    Answer::Stream(stream) => {
                        client.note(format_args!("resumes {}", self.errand.token));
                        self.read(stream).await;
                    }
                }
                (self.end.is_some() || self.stopped).then_some(())
            })
            .await;
    }

    /// Reads until the response, the stream's end, or until the client hangs up.
    async fn read(&mut self, mut stream: EventStream) {
        let hang_up = match self.client.is_calm() {
            true => u64::MAX,
            false => self.client.dice.pick(&[1, 2, 3, u64::MAX, u64::MAX]),
        };
        let mut count = 0;
        while let Some(event) = stream.next().await {
            self.event(event).await;
            count += 1;
            if self.end.is_some() || self.stopped || count >= hang_up {
                return;
            }
        }
    }

    async fn event(&mut self, event: Event) {
        self.client.saw(&event.data);
        if let Some(id) = event.id.clone() {
            if self.seen.contains(&id) {
                let token = &self.errand.token;
                self.client
                    .violation(format_args!("an event of {token} came twice"));
            }
            self.seen.push(id);
        }
        if event.data.is_empty() {
            return;
        }
        let message = event.json();
        if message["method"].is_string() && !self.seen.is_empty() && !self.waits {
            // It has a stream to come back to.
            self.client.history.streamed(&self.errand.token);
        }
        match message["method"].as_str() {
            Some("elicitation/create") => self.asked(&message).await,
            Some("notifications/progress") => self.progress(&message),
            Some(_) => {}
            None => self.response(message),
        }
    }

    fn response(&mut self, message: Value) {
        if message["id"] != json!(self.request) {
            let token = &self.errand.token;
            self.client
                .violation(format_args!("{token} got another's response: {message}"));
        }
        self.end = Some(message);
    }

    fn progress(&mut self, message: &Value) {
        let progress = message["params"]["progress"].as_f64().unwrap_or_default();
        // One that may run again begins again, and a node that crashed does not know how far it was.
        if progress <= self.progress && self.errand.tool != "again" {
            let token = &self.errand.token;
            self.client
                .violation(format_args!("progress of {token} goes back"));
        }
        self.progress = progress;
    }

    /// Answers, or cancels the call instead.
    async fn asked(&mut self, question: &Value) {
        let client = self.client;
        client.pause(0, 1_500).await;
        if client.dice.chance(10) {
            return self.cancel().await;
        }
        let message =
            json!({"jsonrpc": "2.0", "id": question["id"], "result": self.errand.answer()});
        let request = self.session.post(&message);
        // Who is not sure answers once more; that changes nothing.
        for _ in 0..client.dice.pick(&[1, 1, 1, 2]) {
            let taken = client.insist("an answer taken", async || taken(client, &request).await);
            taken.await;
        }
    }

    async fn cancel(&mut self) {
        let client = self.client;
        client.history.given_up(&self.errand.token);
        client.note(format_args!("cancels {}", self.errand.token));
        let params = json!({"requestId": self.request});
        let message =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
        let request = self.session.post(&message);
        client
            .insist("a cancel taken", async || taken(client, &request).await)
            .await;
        self.stopped = true;
    }

    /// Whoever comes back to the first event is told the others again, up to the final one.
    async fn replay(&self, end: &Value) {
        let Some((first, others)) = self.seen.split_first() else {
            return;
        };
        let (client, token) = (self.client, &self.errand.token);
        let request = self.session.get().also("Last-Event-ID", first);
        client
            .insist("a replay", async || {
                let Answer::Stream(mut stream) = client.exchange(&request).await else {
                    return None;
                };
                let mut others = others.iter();
                while let Some(event) = stream.next().await {
                    if event.id.is_some() && others.next() != event.id.as_ref() {
                        let what = "leaves out or mixes up an event";
                        client.violation(format_args!("a replay of {token} {what}: {event:?}"));
                        return Some(());
                    }
                    let last = match event.data.is_empty() {
                        true => continue,
                        false => event.json(),
                    };
                    if last["method"].is_null() {
                        if last != *end || others.len() > 0 {
                            client.violation(format_args!(
                                "a replay of {token} tells otherwise: {last}, not {end}"
                            ));
                        }
                        return Some(());
                    }
                }
                None
            })
            .await;
    }
}
