//! A file of facts: appended, and synced before anybody acts on them.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use anyhow::Context;
use ostler_env::Env;
use tokio::sync::oneshot;

use super::fact::{Entry, Fact};

/// Lines that may wait for the disk; about 300 bytes each.
const WAITING_MAX: usize = 65_536;
/// Lines of one sync.
const SYNCED_MAX: usize = 1_024;

/// Where facts go. Clones write to the same file.
#[derive(Clone)]
pub struct Ledger {
    env: Env,
    lines: SyncSender<Line>,
}

struct Line {
    text: String,
    synced: Option<oneshot::Sender<()>>,
}

impl Ledger {
    /// Appends to the file at `path`, which other lives of this process may have begun.
    pub fn open(env: &Env, path: &Path) -> anyhow::Result<Self> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let (lines, waiting) = sync_channel(WAITING_MAX);
        // It ends when the last clone is gone; every write that matters was awaited.
        drop(env.spawn_thread("oracle.ledger", move || write_all(file, &waiting)));
        Ok(Self {
            env: env.clone(),
            lines,
        })
    }

    /// Returns when the fact is on the disk.
    pub async fn write(&self, fact: Fact) {
        let (synced, wait) = oneshot::channel();
        self.send(fact, Some(synced));
        wait.await.expect("the ledger can be written");
    }

    /// Writes it soon: for what happens where nobody can wait.
    pub fn note(&self, fact: Fact) {
        self.send(fact, None);
    }

    fn send(&self, fact: Fact, synced: Option<oneshot::Sender<()>>) {
        let at_ms = self.env.wall().0;
        let entry = serde_json::to_string(&Entry { at_ms, fact });
        let text = entry.expect("facts are JSON") + "\n";
        let sent = self.lines.try_send(Line { text, synced });
        assert!(sent.is_ok(), "the disk is too slow for the ledger");
    }
}

/// Syncs what has gathered, again and again.
fn write_all(mut file: File, waiting: &Receiver<Line>) {
    while let Ok(first) = waiting.recv() {
        let more = waiting.try_iter().take(SYNCED_MAX - 1);
        let lines: Vec<Line> = std::iter::once(first).chain(more).collect();
        let text: String = lines.iter().map(|line| line.text.as_str()).collect();
        let written = file.write_all(text.as_bytes());
        written
            .and_then(|()| file.sync_data())
            .expect("the disk takes facts");
        for synced in lines.into_iter().filter_map(|line| line.synced) {
            // Whoever waited may be gone.
            let _ = synced.send(());
        }
    }
}

/// All entries of a file. A last line without its end is that of a process that was killed.
pub fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut reader = BufReader::new(file);
    let (mut entries, mut line) = (Vec::new(), String::new());
    while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
        let entry = serde_json::from_str(&line);
        entries.push(entry.with_context(|| format!("{}: {line}", path.display()))?);
        line.clear();
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn facts_are_read_as_they_were_written_and_a_torn_line_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts");
        let env = Env::system();
        let session = || "s".to_owned();
        let facts = [
            Fact::Opened { session: session() },
            Fact::Gone { session: session() },
        ];
        let ledger = Ledger::open(&env, &path).unwrap();
        ledger.note(facts[0].clone());
        ledger.write(facts[1].clone()).await;
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"{\"at_ms\":1,\"fact\":\"ope").unwrap();
        let read = read(&path).unwrap().into_iter().map(|entry| entry.fact);
        assert_eq!(read.collect::<Vec<_>>(), facts);
    }
}
