//! What each key holds at each version, which writer and checker compute alike, and the notes of
//! what was acknowledged.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::Duration,
};

use anyhow::Context;
use ostler_env::Env;
use ostler_store::{Batch, Key, Owner, Record, Store, Table};
use ostler_types::{Shard, TenantId};

use super::writer::HANDS;

pub const KEYS: u64 = 64;

/// The version of every key that is known to be stored; 0: never written.
pub struct Ledger {
    seed: u64,
    stored: Vec<u64>,
}

/// What a store holds, against the ledger.
#[derive(Default)]
pub struct Compared {
    pub lost: Vec<String>,
    /// Keys one version ahead: their commit was under way.
    pub kept_unasked: u64,
}

impl Compared {
    /// Of the keys that are ahead, those that no hand can have had under way: each has one commit.
    pub fn unmade(&self) -> u64 {
        self.kept_unasked.saturating_sub(HANDS)
    }
}

impl Ledger {
    pub fn new(seed: u64) -> Ledger {
        Ledger {
            seed,
            stored: vec![0; KEYS as usize],
        }
    }

    pub fn stored(&self, key: u64) -> u64 {
        self.stored[key as usize]
    }

    /// Begins notes with what is stored already.
    pub fn write(&self, notes: &Path) -> anyhow::Result<()> {
        let mut file = File::create(notes)?;
        for (key, version) in (0..).zip(&self.stored) {
            file.write_all(note(key, *version).as_bytes())?;
        }
        Ok(())
    }

    /// Takes what was noted since; how many notes were new.
    pub fn read(&mut self, notes: &Path) -> anyhow::Result<u64> {
        let text = fs::read_to_string(notes).context("reading what was acknowledged")?;
        let mut new = 0;
        for line in text.lines() {
            let (key, version) = line.split_once(' ').context("a note is two numbers")?;
            let (key, version): (usize, u64) = (key.parse()?, version.parse()?);
            new += u64::from(version > self.stored[key]);
            self.stored[key] = version.max(self.stored[key]);
        }
        Ok(new)
    }

    /// A key holds what was acknowledged last, or what was under way when the power went.
    pub async fn compare(&mut self, store: &Store) -> anyhow::Result<Compared> {
        let mut compared = Compared::default();
        for key in 0..KEYS {
            let acknowledged = self.stored(key);
            if self.holds(store, key, acknowledged + 1).await? {
                self.stored[key as usize] += 1;
                compared.kept_unasked += 1;
            } else if !self.holds(store, key, acknowledged).await? {
                let found = store.get(&place(Table::Tasks, key)).await?;
                let found = found.map(|record| (record.epoch, record.payload.len()));
                compared.lost.push(format!(
                    "key {key}: version {acknowledged} was acknowledged, found {found:?}"
                ));
            }
        }
        Ok(compared)
    }

    /// Whether both rows of a key are those of this version: batches are whole.
    async fn holds(&self, store: &Store, key: u64, version: u64) -> anyhow::Result<bool> {
        let long = store.get(&place(Table::Tasks, key)).await?;
        let short = store.get(&place(Table::Events, key)).await?;
        Ok(match is_absent(version) {
            true => long.is_none() && short.is_none(),
            false => {
                long.is_some_and(|found| found == self.long(key, version))
                    && short.is_some_and(|found| found == record(version, vec![0; 100]))
            }
        })
    }

    /// What brings a key to a version.
    pub fn batch(&self, env: &Env, key: u64, version: u64) -> Batch {
        let mut batch = Batch::new();
        let (long, short) = (place(Table::Tasks, key), place(Table::Events, key));
        if is_absent(version) {
            batch.delete(long);
            batch.delete(short);
        } else {
            let deadline = env.wall() + Duration::from_secs(3_600);
            batch.put(long, self.long(key, version), Some(deadline));
            batch.put(short, record(version, vec![0; 100]), None);
        }
        batch
    }

    /// From 1 KiB to 4 MiB, each power of two as often as any other.
    fn long(&self, key: u64, version: u64) -> Record {
        let random = mix(self.seed ^ mix(key << 40 ^ version));
        let len = (1_024_u64 << (random % 12)) + (random >> 8) % 1_024;
        let len = if random.is_multiple_of(97) {
            4 << 20
        } else {
            len as usize
        };
        let pattern = random.to_be_bytes().repeat(len / 8 + 1);
        record(version, pattern[..len].to_vec())
    }
}

/// One line of the notes.
pub fn note(key: u64, version: u64) -> String {
    format!("{key} {version}\n")
}

/// Never two versions in a row, so a key's state tells its version.
fn is_absent(version: u64) -> bool {
    version.is_multiple_of(8)
}

fn place(table: Table, key: u64) -> Key {
    Key::new(table, Shard(0), &tenant()).u64(key)
}

fn record(version: u64, payload: Vec<u8>) -> Record {
    Record {
        kind: 1,
        version: 1,
        epoch: version,
        owner: Owner {
            tenant: tenant(),
            principal: [7; 32],
        },
        payload: payload.into(),
    }
}

fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a label")
}

/// A number that looks random and follows from its argument (splitmix64).
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bring(store: &Store, env: &Env, ledger: &Ledger, key: u64, version: u64) {
        let batch = ledger.batch(env, key, version);
        store.commit(batch).await.expect("it commits");
    }

    /// The checker must be able to fail.
    #[tokio::test]
    async fn what_is_lost_old_or_half_is_told_from_what_was_under_way() {
        let env = Env::seeded(1);
        let store = Store::open(&ostler_store::Config::memory(), &env).unwrap();
        let mut ledger = Ledger::new(7);
        ledger.stored[1..6].copy_from_slice(&[2, 2, 2, 7, 2]);
        bring(&store, &env, &ledger, 1, 2).await;
        bring(&store, &env, &ledger, 2, 3).await;
        bring(&store, &env, &ledger, 3, 1).await;
        // Key 4 was deleted by the commit under way; of key 5 half a batch is there.
        bring(&store, &env, &ledger, 5, 2).await;
        let mut half = Batch::new();
        half.delete(place(Table::Events, 5));
        store.commit(half).await.unwrap();
        let compared = ledger.compare(&store).await.unwrap();
        assert_eq!((compared.kept_unasked, compared.unmade()), (2, 0));
        let lost: Vec<_> = compared.lost.iter().map(|lost| &lost[..6]).collect();
        assert_eq!(lost, ["key 3:", "key 5:"]);
        assert_eq!(ledger.stored[..6], [0, 2, 3, 2, 8, 2]);
    }
    #[tokio::test]
    async fn more_commits_than_were_under_way_are_found() {
        let env = Env::seeded(1);
        let store = Store::open(&ostler_store::Config::memory(), &env).unwrap();
        let mut ledger = Ledger::new(7);
        for key in 0..=HANDS {
            bring(&store, &env, &ledger, key, 1).await;
        }
        let compared = ledger.compare(&store).await.unwrap();
        assert_eq!(compared.unmade(), 1);
    }
}
