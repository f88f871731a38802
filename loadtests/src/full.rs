//! A running node whose disk fills up: what needs the disk is refused and says so, what does not
//! need it goes on, and all is well again soon after there is space, without a restart.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use ostler_env::Env;
use ostler_testkit::{Door, Script, Session, TestNode, m_ok};
use serde_json::json;
use tempfile::TempDir;

use crate::disk::Disk;

#[derive(clap::Args)]
pub struct Arguments {}

const DISK_BYTES: u64 = 160 << 20;
const ROOM_BYTES: u64 = 22 << 20;
const SESSIONS_MAX: usize = 9_000;
/// Promised: back so soon after there is space.
const BACK: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

pub async fn run(env: &Env, _: Arguments) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let disk = Disk::make(folder.path(), DISK_BYTES)?;
    let mounted = disk.mount()?;
    let node =
        TestNode::stored_with(|config| config.store.path = mounted.path().join("data")).await;
    let _worker = node.worker(&Script::new()).await;
    let acknowledged = fill_and_free(env, &node, &mounted.path().join("ballast")).await;
    // Whatever came of it: a node that is dropped as it runs panics, and hides why.
    let killed = node.kill().await;
    let acknowledged = acknowledged?;
    let node = killed.restart().await;
    let checked = are_there(&acknowledged).await;
    node.end().await;
    checked
}

async fn are_there(acknowledged: &[Session]) -> anyhow::Result<()> {
    for session in acknowledged {
        let told = session.ask(2, "ping", json!({})).await;
        ensure!(told.status == 200, "a session is lost: {told:?}");
    }
    let count = acknowledged.len();
    println!("all {count} sessions are there after a kill");
    Ok(())
}

/// What is promised while the disk is full and after; gives the sessions that were acknowledged.
async fn fill_and_free(env: &Env, node: &TestNode, ballast: &Path) -> anyhow::Result<Vec<Session>> {
    let before = Session::open(&node.door(), json!({})).await;
    // One that sleeps needs the disk to wake; this one has somebody who listens.
    let _live = before.listen().await;
    let ready = node.readiness();

    fill(ballast)?;
    let mut sessions = open_until_full(&node.door()).await?;
    println!("full; {} sessions were opened on the way", sessions.len());
    let told = ready.send(&ready.request("GET")).await;
    ensure!(told.status == 503, "ready with a full disk: {told:?}");
    ensure!(told.text().contains("no space left"), "{told:?}");
    let started = env.now();
    m_ok().result(&node.door()).await;
    println!("a modern call took {:?}", env.now().since(started));
    before.result(1, "ping", json!({})).await;

    fs::remove_file(ballast)?;
    let freed = env.now();
    // Nobody sends work to a node that is not ready: it must find out by itself.
    while ready.send(&ready.request("GET")).await.status != 200 {
        let waited = env.now().since(freed);
        ensure!(
            waited < BACK,
            "still not ready {waited:?} after there was space"
        );
        env.sleep(LOOK).await;
    }
    println!("ready {:?} after there was space", env.now().since(freed));
    sessions.push(before.id.clone());
    sessions.push(Session::open(&node.door(), json!({})).await.id);

    let session = |id| Session {
        id,
        ..before.clone()
    };
    Ok(sessions.into_iter().map(session).collect())
}

/// Fills the disk but for a little more than the store wants to be free.
fn fill(ballast: &Path) -> anyhow::Result<()> {
    let mut file = File::create(ballast)?;
    let chunk = vec![1; 1 << 20];
    while file.write_all(&chunk).is_ok() {}
    let len = file.metadata()?.len();
    Ok(file.set_len(len.saturating_sub(ROOM_BYTES))?)
}

/// The ids of the sessions that were opened before the first was refused.
async fn open_until_full(door: &Door) -> anyhow::Result<Vec<String>> {
    let mut opened = Vec::new();
    while opened.len() < SESSIONS_MAX {
        let response = door.send(&Session::initialize(door, json!({}))).await;
        if response.status != 200 {
            let told = (response.status, response.code());
            ensure!(told == (503, -31011), "{response:?}");
            return Ok(opened);
        }
        let id = response.header("mcp-session-id");
        opened.push(id.context("a session has an id")?.to_owned());
    }
    bail!("{SESSIONS_MAX} sessions found room on a full disk")
}
