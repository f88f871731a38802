//! Those who hear of changes: on the standalone stream of a session, and by listening.

use std::time::Duration;

use ostler_testkit::{Event, Live, Modern};
use serde_json::{Value, json};

use super::{
    legacy::{Heard, Line},
    modern,
    world::World,
};
use crate::oracle::fact::{Fact, ReadEnd, Tool};

const UPDATED: &str = "notifications/resources/updated";
/// How long news may take, the death of a node included.
const NEWS_MAX: Duration = Duration::from_secs(30);

/// A session that subscribes hears of the change that comes after, whoever dies in between.
pub async fn subscribed(line: &Line) {
    let world = &line.world;
    let uri = format!("oracle://{}", world.name());
    let taken = line.ask("resources/subscribe", json!({"uri": uri})).await;
    if !taken["result"].is_object() {
        return world.missing(format!("a subscription: {taken}")).await;
    }
    let mut news = Standalone {
        line,
        name: format!("{}/{}", line.session.id, world.name()),
        first: None,
        last: None,
        live: None,
    };
    news.open().await;
    touch_on(line, &uri).await;
    let until = || world.env().now() + NEWS_MAX;
    if world.env().until(until(), news.hear(&uri)).await.is_none() {
        world.missing(format!("news of {uri}")).await;
    }
    if world.env().until(until(), news.again()).await.is_none() {
        world.missing(format!("news of {uri}, told again")).await;
    }
    let left = line.ask("resources/unsubscribe", json!({"uri": uri})).await;
    if !left["result"].is_object() {
        world
            .missing(format!("the end of a subscription: {left}"))
            .await;
    }
}

/// Changes the resource, once that it was done for sure.
async fn touch_on(line: &Line, uri: &str) {
    let world = &line.world;
    loop {
        let call = world.name();
        world.sent(&call, Tool::Touch).await;
        let request = line.request(&call, Tool::Touch, &json!({"uri": uri}), None);
        match line.converse(&call, Some(&call), request).await {
            Heard::Response(message) => {
                world.told(&call, &message).await;
                if message["result"].is_object() {
                    return;
                }
            }
            Heard::Refused(why) => world.write(Fact::Refused { call, why }).await,
            Heard::Broken => world.write(Fact::Broken { call }).await,
        }
        world.pause().await;
    }
}

/// The stream of a session for what belongs to no request, taken up again where it broke.
struct Standalone<'a> {
    line: &'a Line,
    name: String,
    /// The ids of the first and the last event that were read.
    first: Option<String>,
    last: Option<String>,
    live: Option<(u64, Live)>,
}

impl Standalone<'_> {
    async fn open(&mut self) {
        let world = &self.line.world;
        let live = match &self.last {
            Some(after) => self.line.resume(&self.name, after).await,
            None => {
                let live = world.open_patiently(&self.line.session.get()).await;
                (live.head().status == 200).then_some(live)
            }
        };
        let Some(live) = live else {
            return;
        };
        let read = world.number();
        let reading = Fact::Reading {
            read,
            stream: self.name.clone(),
            after: self.last.clone(),
        };
        world.write(reading).await;
        self.live = Some((read, live));
    }

    /// Reads until it is told that `uri` changed.
    async fn hear(&mut self, uri: &str) {
        self.read(|event| !event.data.is_empty() && is_updated(&event.json(), uri))
            .await;
    }

    /// Reads once more what it has read, from the first event up to the last.
    async fn again(&mut self) {
        if self.first == self.last {
            return;
        }
        let last = std::mem::replace(&mut self.last, self.first.clone());
        self.read(|event| event.id == last).await;
    }

    /// Reads until the event that is looked for, however often the stream breaks.
    async fn read(&mut self, is_it: impl Fn(&Event) -> bool) {
        let world = self.line.world.clone();
        loop {
            let Some((read, live)) = &mut self.live else {
                world.pause().await;
                self.open().await;
                continue;
            };
            let read = *read;
            let event = live.next_event().await;
            let is_it = event.as_ref().is_some_and(&is_it);
            if let Some(event) = event {
                if let Some(id) = event.id {
                    self.first.get_or_insert_with(|| id.clone());
                    self.last = Some(id.clone());
                    let text = event.data;
                    world.write(Fact::Event { read, id, text }).await;
                }
                if !is_it {
                    continue;
                }
            }
            // A stream that ends here may go on: whether events are missing, its next reader shows.
            let end = ReadEnd::Cut;
            world.write(Fact::ReadOver { read, end }).await;
            self.live = None;
            if is_it {
                return;
            }
        }
    }
}

fn is_updated(message: &Value, uri: &str) -> bool {
    message["method"] == UPDATED && message["params"]["uri"] == uri
}

/// A listen that stands hears of what changes after it was acknowledged.
pub async fn listening(world: &World) {
    let uri = format!("oracle://{}", world.name());
    let until = world.env().now() + NEWS_MAX;
    let heard = async {
        // Whatever breaks: who listens anew looks anew, and hears of later changes only.
        while !heard_once(world, &uri).await {
            world.pause().await;
        }
    };
    if world.env().until(until, heard).await.is_none() {
        world.missing(format!("news of {uri} by a listen")).await;
    }
}

async fn heard_once(world: &World, uri: &str) -> bool {
    let filter = json!({"resourceSubscriptions": [uri]});
    let Some(mut live) = open(world, filter).await else {
        return false;
    };
    if !modern::plain(world, Tool::Touch, json!({"uri": uri})).await {
        return false;
    }
    while let Some(event) = live.next_event().await {
        if is_updated(&event.json(), uri) {
            return true;
        }
    }
    false
}

/// A listen that was acknowledged.
pub async fn open(world: &World, filter: Value) -> Option<Live> {
    let listen = Modern::new("subscriptions/listen", json!({"notifications": filter}));
    let request = listen.id("L").to(world.door());
    let mut live = world.once(&request).await?;
    if live.head().status != 200 {
        return None;
    }
    let first = live.next_event().await?.json();
    (first["method"] == "notifications/subscriptions/acknowledged").then_some(live)
}
