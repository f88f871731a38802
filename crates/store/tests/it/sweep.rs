//! Damage to the files of a stopped store, everywhere: it opens or is moved aside, what it still
//! gives is what was written, and of what is gone something is told.

use std::{fs, path::Path};

use ostler_env::Env;
use ostler_store::{OpenError, Store};
use tempfile::TempDir;

use crate::world::{ENGINES, Engine, copy_tree, key, put, record};

const RECORDS: u64 = 24;

fn len(n: u64) -> usize {
    if n.is_multiple_of(8) { 20_000 } else { 200 }
}

/// A stopped store, and the file its records are in.
struct Stopped {
    engine: Engine,
    dir: TempDir,
    file: Vec<u8>,
    /// How much of the file is used.
    used: usize,
}

/// How many stores of a sweep ended how.
#[derive(Debug, Default)]
struct Ends {
    /// All records are there.
    whole: usize,
    /// Some are gone, and the store says so.
    told: usize,
    /// Some are gone as if they had never been.
    silent: usize,
    moved_aside: usize,
}

/// Places that a sweep visits. fjall's file is long, and it says itself what does not verify.
fn places(engine: Engine) -> usize {
    match engine {
        Engine::Sled => 120,
        Engine::Fjall => 12,
    }
}

impl Stopped {
    async fn new(engine: Engine) -> Stopped {
        let env = Env::seeded(1);
        let dir = TempDir::new().unwrap();
        let store = engine.must_open(dir.path(), &env);
        for n in 0..RECORDS {
            store.commit(put(n, len(n))).await.unwrap();
        }
        store.close().await;
        let file = fs::read(engine.data_file(dir.path())).unwrap();
        let used = file.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        Stopped {
            engine,
            dir,
            file,
            used,
        }
    }

    /// Opens a copy with that as its file.
    async fn open_with(&self, file: &[u8], what: &str, ends: &mut Ends) {
        let (env, dir) = (Env::seeded(1), TempDir::new().unwrap());
        copy_tree(self.dir.path(), dir.path());
        fs::write(self.engine.data_file(dir.path()), file).unwrap();
        match self.engine.open(dir.path(), &env) {
            Ok(store) => self.look(store, &env, what, ends).await,
            Err(OpenError::Quarantined { .. }) => {
                ends.moved_aside += 1;
                self.next_start_works(dir.path(), &env).await;
            }
            Err(why) => panic!("{:?}, {what}: {why}", self.engine),
        }
    }

    async fn next_start_works(&self, path: &Path, env: &Env) {
        self.engine.must_open(path, env).close().await;
    }

    async fn look(&self, store: Store, env: &Env, what: &str, ends: &mut Ends) {
        let (mut whole, mut told) = (true, false);
        for n in 0..RECORDS {
            match store.get(&key(n)).await {
                Ok(Some(found)) => assert!(found == record(n, len(n)), "{what}: a wrong record"),
                Ok(None) => whole = false,
                Err(_) => (whole, told) = (false, true),
            }
        }
        store.close().await;
        for name in ["corrupt_records", "damaged_blocks"] {
            let name = format!("ostler_store_{name}_total");
            told |= env.metrics().value(&name, &[]) > Some(0.0);
        }
        match (whole, told) {
            (true, _) => ends.whole += 1,
            (false, true) => ends.told += 1,
            (false, false) => ends.silent += 1,
        }
    }
}

#[tokio::test]
async fn an_undamaged_store_is_not_called_damaged() {
    for engine in ENGINES {
        let stopped = Stopped::new(engine).await;
        let env = Env::seeded(1);
        for _ in 0..2 {
            engine.must_open(stopped.dir.path(), &env).close().await;
        }
        // What was killed has no seal, and is as it is.
        drop(fs::remove_file(stopped.dir.path().join("seal")));
        engine.must_open(stopped.dir.path(), &env).close().await;
        let damaged = env
            .metrics()
            .value("ostler_store_damaged_blocks_total", &[]);
        assert_eq!(damaged, Some(0.0), "{engine:?}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_any_range_is_told_and_gives_no_wrong_record() {
    for engine in ENGINES {
        let stopped = Stopped::new(engine).await;
        let mut ends = Ends::default();
        for at in (0..stopped.used).step_by(stopped.used / places(engine)) {
            let mut file = stopped.file.clone();
            file[at] ^= 1 << (at % 8);
            let what = format!("bit at {at}");
            stopped.open_with(&file, &what, &mut ends).await;
        }
        assert_eq!(ends.silent, 0, "{engine:?}: {ends:?}");
        assert!(ends.told + ends.moved_aside > 0, "{engine:?}: {ends:?}");
    }
}

#[tokio::test]
async fn a_torn_tail_is_told_and_costs_only_the_tail() {
    for engine in ENGINES {
        let stopped = Stopped::new(engine).await;
        let mut ends = Ends::default();
        for torn in [1, 2, 64, 511, 512, 2_048, 4_095, 4_096] {
            let what = format!("{torn} bytes cut off");
            let file = &stopped.file[..stopped.used - torn];
            stopped.open_with(file, &what, &mut ends).await;
        }
        assert_eq!(ends.silent, 0, "{engine:?}: {ends:?}");
    }
}

#[tokio::test]
async fn a_zeroed_page_is_told() {
    for engine in ENGINES {
        let stopped = Stopped::new(engine).await;
        let mut ends = Ends::default();
        let step = usize::max(4_096, stopped.used / places(engine));
        for start in (0..stopped.used).step_by(step) {
            let mut file = stopped.file.clone();
            let end = file.len().min(start + 4_096);
            file[start..end].fill(0);
            let what = format!("zeroed from {start}");
            stopped.open_with(&file, &what, &mut ends).await;
        }
        assert_eq!(ends.silent, 0, "{engine:?}: {ends:?}");
        assert!(ends.told + ends.moved_aside > 0, "{engine:?}: {ends:?}");
    }
}

#[tokio::test]
async fn a_damaged_seal_is_told_and_stops_nothing() {
    for engine in ENGINES {
        let stopped = Stopped::new(engine).await;
        let seal = stopped.dir.path().join("seal");
        let sealed = fs::read(&seal).unwrap();
        for damage in [b"".as_slice(), b"\n", b"\xff\xfe", b"db 7 00000000\n"] {
            let env = Env::seeded(1);
            fs::write(&seal, [&sealed, damage].concat()).unwrap();
            let store = engine.must_open(stopped.dir.path(), &env);
            for n in 0..RECORDS {
                assert_eq!(store.get(&key(n)).await.unwrap(), Some(record(n, len(n))));
            }
            store.close().await;
            let told = env
                .metrics()
                .value("ostler_store_damaged_blocks_total", &[]);
            assert_eq!(
                told > Some(0.0),
                !damage.is_empty(),
                "{engine:?} {damage:?}"
            );
        }
    }
}
