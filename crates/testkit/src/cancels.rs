//! Clients that go away in the middle, in every way there is; and what must be left of them: nothing.

use std::{collections::BTreeMap, time::Duration};

use ostler_env::Env;
use serde_json::json;

use crate::{
    http::Door,
    legacy::Session,
    message::{Modern, m_ok},
    wait::LOOK,
    worker::Script,
};

/// One client of a storm. Its tools are those of [`Script`], in this process, so that what happens
/// at the worker is seen by the same clock.
#[derive(Clone)]
pub struct Leaver {
    pub env: Env,
    pub door: Door,
    pub script: Script,
}

/// Ways to go, for each era.
const WAYS: u64 = 6;

impl Leaver {
    /// Whether the node takes calls of the script's worker.
    pub async fn is_served(&self) -> bool {
        m_ok().send(&self.door).await.status == 200
    }

    /// Begins a call of the modern era and goes away; `gate` names it and is used once. From the
    /// cancel to the worker that hears of it; nothing where it is not to hear, or may not.
    pub async fn modern(&self, gate: &str, draw: u64) -> Option<Duration> {
        let door = &self.door;
        let hold = Modern::call("hold", json!({"gate": gate})).to(door);
        match draw % WAYS {
            0 => {
                drop(door.begin(&hold).await);
                None
            }
            1 => {
                let sent = door.begin(&hold).await;
                self.started(gate).await;
                self.cancelled(gate, async { drop(sent) }).await
            }
            2 => {
                let live = door.open(&hold).await;
                self.cancelled(gate, async { drop(live) }).await
            }
            3 => {
                let job = Modern::call("job", json!({"gate": gate})).can_follow(json!({}));
                let task = job.result(door).await["taskId"].clone();
                self.started(gate).await;
                let cancel = Modern::new("tasks/cancel", json!({"taskId": task}));
                let cancel = cancel.can_follow(json!({}));
                self.cancelled(gate, async { drop(cancel.result(door).await) })
                    .await
            }
            4 => {
                let call = Modern::call("ask_then_hold", json!({"gate": gate}));
                let call = call.can(json!({"elicitation": {}}));
                let asked = call.result(door).await;
                let go = json!({"go": {"action": "accept", "content": {"go": true}}});
                let sent = door.begin(&call.retry(&asked, go).to(door)).await;
                self.started(gate).await;
                self.cancelled(gate, async { drop(sent) }).await
            }
            _ => {
                m_ok().result(door).await;
                None
            }
        }
    }

    /// The same in a legacy session, which some of the ways end.
    pub async fn legacy(&self, gate: &str, draw: u64) -> Option<Duration> {
        let session = Session::open(&self.door, json!({})).await;
        let took = self.in_session(&session, gate, draw).await;
        // Most clients say no goodbye; but then a session only sleeps, and takes its time for it.
        session.delete().await;
        took
    }

    async fn in_session(&self, session: &Session, gate: &str, draw: u64) -> Option<Duration> {
        let door = &self.door;
        let hold = session.call(gate, "hold", json!({"gate": gate}));
        let cancel = async || {
            let told = session.notify("notifications/cancelled", json!({"requestId": gate}));
            drop(told.await);
        };
        match draw % WAYS {
            0 => {
                let _sent = door.begin(&hold).await;
                self.started(gate).await;
                self.cancelled(gate, cancel()).await
            }
            1 => {
                let live = door.open(&hold).await;
                let took = self.cancelled(gate, cancel()).await;
                live.finish().await;
                took
            }
            2 => {
                let sent = door.begin(&hold).await;
                self.started(gate).await;
                drop(sent);
                self.cancelled(gate, cancel()).await
            }
            3 => {
                let _sent = door.begin(&hold).await;
                self.started(gate).await;
                self.cancelled(gate, async { drop(session.delete().await) })
                    .await
            }
            4 => {
                let mut live = door.open(&hold).await;
                let priming = live.event().await.and_then(|event| event.id);
                drop(live);
                self.script.open(gate);
                let mut resumed = session.resume(&priming.expect("it is primed")).await;
                assert_eq!(resumed.message().await["id"], gate);
                None
            }
            _ => {
                let sent = door.begin(&hold).await;
                self.started(gate).await;
                drop(sent);
                self.script.open(gate);
                self.script.seen(&format!("passed:{gate}")).await;
                None
            }
        }
    }

    async fn started(&self, gate: &str) {
        self.script.seen(&format!("started:{gate}")).await;
    }

    async fn cancelled(&self, gate: &str, cancel: impl Future<Output = ()>) -> Option<Duration> {
        let from = self.env.now();
        cancel.await;
        self.script.seen(&format!("cancelled:{gate}")).await;
        Some(self.env.now().since(from))
    }
}

/// What a node has open, by name: tasks, calls, room, actors, streams, waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels(BTreeMap<String, f64>);

/// Levels that a node shows as such ...
const GAUGES: &[&str] = &[
    "ostler_env_tasks_alive",
    "ostler_dispatch_calls_running",
    "ostler_dispatch_admitted",
    "ostler_actor_live",
    "ostler_hub_links",
    "ostler_hub_watches",
];
/// ... and pairs of counters whose difference is one.
const PAIRS: &[(&[&str], &str)] = &[
    (
        &[
            "ostler_hub_calls_started_total",
            "ostler_hub_calls_adopted_total",
        ],
        "ostler_hub_calls_ended_total",
    ),
    (
        &["ostler_dispatch_calls_started_total"],
        "ostler_dispatch_calls_ended_total",
    ),
    (
        &["ostler_edge_streams_opened_total"],
        "ostler_edge_streams_ended_total",
    ),
    (&["ostler_task_started_total"], "ostler_task_ended_total"),
    (
        &["ostler_task_waits_started_total"],
        "ostler_task_waits_ended_total",
    ),
];

impl Levels {
    /// Of what `/metrics` shows.
    pub fn of(metrics: &str) -> Self {
        let lines = metrics.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<(&str, f64)> = lines
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(series, value)| Some((series, value.parse().ok()?)))
            .collect();
        let all = |wanted: &str| -> f64 {
            let of = lines.iter().filter(|(series, _)| name(series) == wanted);
            of.map(|(_, value)| value).sum()
        };
        let gauges = lines
            .iter()
            .filter(|(series, _)| GAUGES.contains(&name(series)));
        let mut levels: BTreeMap<String, f64> = gauges
            .map(|(series, value)| ((*series).to_owned(), *value))
            .collect();
        for (begun, ended) in PAIRS {
            let open = begun.iter().map(|begun| all(begun)).sum::<f64>() - all(ended);
            levels.insert((*ended).to_owned(), open);
        }
        // What is not there yet stands at nothing.
        levels.retain(|_, level| *level != 0.0);
        Self(levels)
    }

    /// What is more than before.
    pub fn beyond(&self, before: &Levels) -> Vec<(String, f64)> {
        let more = |(name, level): (&String, &f64)| {
            let before = before.0.get(name).copied().unwrap_or_default();
            (*level > before).then(|| (name.clone(), level - before))
        };
        self.0.iter().filter_map(more).collect()
    }
}

fn name(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}

/// Waits until a node has no more open than before; what stays is a leak.
pub async fn back_to(before: &Levels, patience: Duration, mut now: impl AsyncFnMut() -> Levels) {
    let mut left = Vec::new();
    let looking = async {
        loop {
            left = now().await.beyond(before);
            if left.is_empty() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let back = tokio::time::timeout(patience, looking).await;
    assert!(back.is_ok(), "this leaked: {left:?}");
}
