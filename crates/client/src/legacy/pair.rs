//! The two endpoints of 2024-11-05: messages go to one, everything comes from the other ([A-1]).

use std::sync::Arc;

use bytes::Bytes;
use ostler_protocol::sse::decode::Frame;
use tokio::task::JoinHandle;

use super::line::Line;
use crate::{
    error::{Error, protocol},
    events::EventStream,
    http::{Http, Verb},
    news::Messages,
    pace::Goodbyes,
    switch::Switch,
};

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Pair {
    pub stream: Http,
    pub(super) messages: Http,
    pub(super) goodbyes: Goodbyes,
    _reading: Arc<Reading>,
}

/// The task that reads the stream; it ends with the last that could send.
struct Reading(JoinHandle<()>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens the stream and waits for where to send messages, all in its time: what is no MCP server
/// may answer a GET never.
pub(super) async fn open(http: Http, goodbyes: Goodbyes) -> Result<Line, Error> {
    let pace = http.pace.clone();
    let until = pace.env.now() + pace.limits.endpoint_max;
    match pace.env.until(until, begin(http, goodbyes)).await {
        Some(opened) => opened,
        None => protocol("the stream names no endpoint in time"),
    }
}

async fn begin(http: Http, goodbyes: Goodbyes) -> Result<Line, Error> {
    let headers = [("accept", "text/event-stream".to_owned())];
    let reply = http.send(Verb::Get, &headers, Bytes::new()).await?;
    if reply.status() != 200 {
        return Err(reply.refusal().await);
    }
    if !reply.is_stream() {
        return protocol("a GET is answered by something other than a stream");
    }
    let mut events = reply.events();
    let messages = http.at(&endpoint(&mut events).await?)?;
    let switch = Switch::new(&http.pace);
    let ways = (messages.clone(), goodbyes.clone());
    let reading = read(Messages::new(events), switch.clone(), ways);
    let pair = Pair {
        _reading: Arc::new(Reading(http.pace.env.spawn("client.pair", reading))),
        stream: http,
        messages,
        goodbyes,
    };
    Ok(Line::pair(pair, switch))
}

/// The only one that reads. What the switch answers is answered without the revision, which is
/// not known yet when it starts; a stream of this kind needs none.
async fn read(mut stream: Messages, switch: Switch, (messages, goodbyes): (Http, Goodbyes)) {
    let reason = loop {
        let message = match stream.next_message().await {
            Ok(Some(message)) => message,
            Ok(None) => break "the stream ended".to_owned(),
            Err(Error::Broken { reason }) => break reason,
            Err(why) => break why.to_string(),
        };
        for said in switch.hear(message) {
            let messages = messages.clone();
            goodbyes.run(async move {
                let headers = [("content-type", "application/json".to_owned())];
                // The server waits for it, or not.
                let _ = messages.send(Verb::Post, &headers, said).await;
            });
        }
    };
    switch.fail(&reason);
}

/// Where messages go: the first event of the stream.
async fn endpoint(events: &mut EventStream) -> Result<String, Error> {
    let first = loop {
        match events.next_frame().await? {
            None => return protocol("the stream ended without an endpoint event"),
            Some(Frame::Comment) => {}
            Some(Frame::Event(event)) => break event,
        }
    };
    let reference = std::str::from_utf8(&first.data).unwrap_or_default();
    match first.name.as_deref() {
        Some("endpoint") if !reference.is_empty() => Ok(reference.to_owned()),
        _ => protocol("the stream does not begin with an endpoint event"),
    }
}
