//! What holds for sled only.

use std::fs;

use ostler_env::Env;
use tempfile::TempDir;

use crate::world::{Engine, key, put};

#[tokio::test]
async fn long_payloads_stay_out_of_sleds_side_files() {
    let env = Env::seeded(1);
    let dir = TempDir::new().unwrap();
    let store = Engine::Sled.must_open(dir.path(), &env);
    for n in 0..6 {
        store.commit(put(n % 3, 4 << 20)).await.unwrap();
        store.commit(put(n % 3, 1 << 20)).await.unwrap();
    }
    let blobs = dir.path().join("sled").join("blobs");
    assert_eq!(fs::read_dir(&blobs).unwrap().count(), 0);
    store.close().await;
    let store = Engine::Sled.must_open(dir.path(), &env);
    for n in 0..3 {
        let found = store.get(&key(n)).await.unwrap().unwrap();
        assert_eq!(found.payload.len(), 1 << 20);
    }
    assert_eq!(fs::read_dir(&blobs).unwrap().count(), 0);
    store.close().await;
}
