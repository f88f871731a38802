//! What the tests of engines on disk share.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ostler_env::Env;
use ostler_store::{Batch, Config, Key, OpenError, Owner, Record, Store, Table};
use ostler_types::{Shard, TenantId};

/// An engine that keeps files, and what a test must know of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sled,
    Fjall,
}

pub const ENGINES: [Engine; 2] = [Engine::Sled, Engine::Fjall];

impl Engine {
    pub fn config(self, path: &Path) -> Config {
        let config = match self {
            Engine::Sled => Config::sled(path),
            Engine::Fjall => Config::fjall(path),
        };
        Config {
            cache_bytes: 4 << 20,
            ..config
        }
    }

    pub fn open(self, path: &Path, env: &Env) -> Result<Store, OpenError> {
        Store::open(&self.config(path), env)
    }

    pub fn must_open(self, path: &Path, env: &Env) -> Store {
        self.open(path, env)
            .unwrap_or_else(|why| panic!("{self:?}: {why}"))
    }

    pub fn name(self) -> &'static str {
        match self {
            Engine::Sled => "sled",
            Engine::Fjall => "fjall",
        }
    }

    /// The file that a few commits are in.
    pub fn data_file(self, path: &Path) -> PathBuf {
        match self {
            Engine::Sled => path.join("sled").join("db"),
            Engine::Fjall => path.join("fjall").join("0.jnl"),
        }
    }
}

pub fn tenant() -> TenantId {
    TenantId::parse("acme").unwrap()
}

pub fn key(n: u64) -> Key {
    Key::new(Table::Tasks, Shard(1), &tenant()).u64(n)
}

pub fn record(n: u64, len: usize) -> Record {
    Record {
        kind: 1,
        version: 1,
        epoch: 1,
        owner: Owner {
            tenant: tenant(),
            principal: [1; 32],
        },
        payload: vec![n as u8; len].into(),
    }
}

pub fn put(n: u64, len: usize) -> Batch {
    let mut batch = Batch::new();
    batch.put(key(n), record(n, len), None);
    batch
}

/// Stores records of that length under those numbers.
pub async fn fill(store: &Store, numbers: std::ops::Range<u64>, len: usize) {
    let mut batch = Batch::new();
    for n in numbers {
        batch.append(put(n, len));
    }
    store.commit(batch).await.unwrap();
}

pub async fn assert_holds(store: &Store, numbers: std::ops::Range<u64>, len: usize, what: &str) {
    for n in numbers {
        let found = store.get(&key(n)).await.unwrap();
        assert!(found == Some(record(n, len)), "{what}: record {n}");
    }
}

/// Every file below a directory, with its contents.
pub fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => drop(found.insert(path.clone(), fs::read(path).unwrap())),
        }
    }
    found
}

pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// The files and directories right in a store's directory.
pub fn names(path: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    names.sort();
    names
}
