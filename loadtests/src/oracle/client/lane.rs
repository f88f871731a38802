//! One client after another: each lane tells stories until the end, chosen by its seed.

use std::time::Duration;

use ostler_env::Env;
use serde_json::{Value, json};

use super::{legacy::Line, listen, modern, tasks, world::World};
use crate::oracle::fact::Tool;

/// How long one story may take, any number of deaths included.
const STORY_MAX: Duration = Duration::from_secs(90);
const VERSIONS: [&str; 2] = ["2025-11-25", "2025-06-18"];

pub struct Lane {
    pub world: World,
    pub number: u64,
    /// Draws what happens next.
    pub dice: Env,
    pub line: Option<Line>,
}

#[derive(Debug, Clone, Copy)]
enum Story {
    LegacyPlain,
    LegacyStream,
    LegacyAsk,
    LegacyTask,
    LegacySubscription,
    ModernPlain,
    ModernAbandoned,
    ModernParked,
    ModernTask,
    ModernCancel,
    ModernListen,
}

const STORIES: [Story; 15] = [
    Story::LegacyPlain,
    Story::LegacyStream,
    Story::LegacyStream,
    Story::LegacyAsk,
    Story::LegacyAsk,
    Story::LegacyTask,
    Story::LegacyTask,
    Story::LegacySubscription,
    Story::ModernPlain,
    Story::ModernAbandoned,
    Story::ModernParked,
    Story::ModernParked,
    Story::ModernTask,
    Story::ModernCancel,
    Story::ModernListen,
];

impl Lane {
    pub async fn run(mut self) {
        while !self.world.is_finishing() {
            let story = STORIES[self.draw(STORIES.len() as u64) as usize];
            let world = self.world.clone();
            let until = world.env().now() + STORY_MAX;
            let told = Box::pin(self.tell(story));
            if world.env().until(until, told).await.is_none() {
                let what = format!("the end of {story:?} in lane {}", self.number);
                world.missing(what).await;
                self.line = None;
            }
        }
        if let Some(line) = self.line.take() {
            line.end().await;
        }
    }

    fn draw(&self, below: u64) -> u64 {
        self.dice.random_u64() % below
    }

    fn span(&self, from_ms: u64, to_ms: u64) -> u64 {
        from_ms + self.draw(to_ms - from_ms)
    }

    async fn tell(&mut self, story: Story) {
        match story {
            Story::LegacyPlain
            | Story::LegacyStream
            | Story::LegacyAsk
            | Story::LegacyTask
            | Story::LegacySubscription => self.tell_legacy(story).await,
            Story::ModernPlain => {
                let tool = self.either(Tool::Echo, Tool::Work);
                modern::plain(&self.world, tool, self.work()).await;
            }
            Story::ModernAbandoned => {
                let patience = Duration::from_millis(self.span(200, 3_000));
                modern::abandoned(&self.world, patience).await;
            }
            Story::ModernParked => modern::parked(&self.world, self.work()).await,
            Story::ModernTask => {
                let tool = self.either(Tool::Job, Tool::JobAsks);
                modern::task(&self.world, tool, self.work()).await;
            }
            Story::ModernCancel => modern::cancelled(&self.world).await,
            Story::ModernListen => listen::listening(&self.world).await,
        }
    }

    async fn tell_legacy(&mut self, story: Story) {
        let line = match self.line.take() {
            Some(line) => line,
            None => {
                let version = VERSIONS[self.draw(2) as usize];
                Line::open(&self.world, version).await
            }
        };
        let has_tasks = line.session.version == "2025-11-25";
        let held = match story {
            Story::LegacyPlain => line.call(Tool::Echo, json!({})).await,
            Story::LegacyTask if has_tasks => {
                let tool = self.either(Tool::Job, Tool::JobAsks);
                tasks::story(&line, tool, self.work()).await
            }
            Story::LegacyAsk => line.call(Tool::Ask, self.work()).await,
            Story::LegacySubscription => {
                listen::subscribed(&line).await;
                true
            }
            _ => {
                let tool = self.either(Tool::Work, Tool::WorkAgain);
                line.call(tool, self.work()).await
            }
        };
        // A call that nobody can come back for may wait for answers until its session ends.
        match held && self.draw(8) > 0 {
            true => self.line = Some(line),
            false => line.end().await,
        }
    }

    fn either(&self, one: Tool, other: Tool) -> Tool {
        match self.draw(2) {
            0 => one,
            _ => other,
        }
    }

    fn work(&self) -> Value {
        json!({"ms": self.span(20, 1_500), "steps": self.span(1, 4)})
    }
}
