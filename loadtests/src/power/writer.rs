//! Commits as fast as it can, and notes what was acknowledged where the power stays on.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use ostler_env::Env;
use ostler_store::{Config, Store};
use tokio::io::AsyncReadExt;

use super::ledger::{KEYS, Ledger, note};

#[derive(clap::Args)]
pub struct Arguments {
    /// The store's directory.
    #[arg(long)]
    store: PathBuf,
    /// The file to note in.
    #[arg(long)]
    notes: PathBuf,
    #[arg(long)]
    seed: u64,
    #[command(flatten)]
    engine: Engine,
}

/// What keeps the rows.
#[derive(clap::Args, Clone, Copy)]
pub struct Engine {
    #[arg(long, default_value = "sled")]
    engine: Name,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Name {
    Sled,
    Fjall,
}

impl Engine {
    pub fn config(self, path: &Path) -> Config {
        let config = match self.engine {
            Name::Sled => Config::sled(path),
            Name::Fjall => Config::fjall(path),
        };
        Config {
            // So that the power goes during a rewrite too, at open and while it runs.
            rewrite_from_bytes: 8 << 20,
            ..config
        }
    }

    pub fn as_arguments(self) -> [&'static str; 2] {
        match self.engine {
            Name::Sled => ["--engine", "sled"],
            Name::Fjall => ["--engine", "fjall"],
        }
    }
}

/// Commits under way at once: they share group commits.
pub const HANDS: u64 = 4;
const REWRITE_EVERY: Duration = Duration::from_millis(500);

pub async fn run(env: &Env, arguments: Arguments) -> anyhow::Result<()> {
    let config = arguments.engine.config(&arguments.store);
    let store = Store::open(&config, env)?;
    let mut ledger = Ledger::new(arguments.seed);
    ledger.read(&arguments.notes)?;
    let notes = OpenOptions::new().append(true).open(&arguments.notes);
    let notes = Arc::new(notes.context("opening the notes")?);
    let ledger = Arc::new(ledger);
    let hands: Vec<_> = (0..HANDS)
        .map(|hand| {
            let work = write(
                env.clone(),
                store.clone(),
                ledger.clone(),
                notes.clone(),
                hand,
            );
            env.spawn("loadtests.hand", work)
        })
        .collect();
    let rewriter = env.spawn("loadtests.rewriter", rewrite(env.clone(), store.clone()));
    let mut input = tokio::io::stdin();
    // Its end, or an error, says that nobody is there any more.
    drop(input.read(&mut [0]).await);
    drop((hands, rewriter));
    std::process::exit(0)
}

async fn rewrite(env: Env, store: Store) {
    loop {
        env.sleep(REWRITE_EVERY).await;
        if store.compact().await.is_err() {
            return;
        }
    }
}

/// Brings its keys from version to version until a commit fails.
async fn write(env: Env, store: Store, ledger: Arc<Ledger>, notes: Arc<File>, hand: u64) {
    for step in 1.. {
        for key in (0..KEYS).filter(|key| key % HANDS == hand) {
            let version = ledger.stored(key) + step;
            let batch = ledger.batch(&env, key, version);
            if store.commit(batch).await.is_err() {
                return;
            }
            // One write, so that no two notes mix. This disk has power.
            if notes
                .as_ref()
                .write_all(note(key, version).as_bytes())
                .is_err()
            {
                return;
            }
        }
    }
}
