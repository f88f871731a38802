//! A running node takes a changed configuration as a whole, or not at all.

use std::path::Path;

use ostler_auth::{CredentialKind, NewKey, mint};
use ostler_env::Env;
use ostler_testkit::{Door, Pair, TestNode, m_ok};
use tempfile::TempDir;

const RELOADS: &str = "ostler_node_config_reloads_total";

fn config(key: &NewKey) -> String {
    format!(
        r#"
            [edge]
            listen = "127.0.0.1:0"
            keep_alive_s = 1
            [workers]
            listen = "127.0.0.1:0"
            [admin]
            listen = "127.0.0.1:0"
            [store]
            engine = "memory"
            [[tenant]]
            name = "acme"
            [[tenant.key]]
            id = "{}"
            hash = "{}"
            subject = "ann"
        "#,
        key.id, key.hash
    )
}

/// As editors do it: the file is replaced.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("the folder is ours");
    std::fs::rename(new, path).expect("both are in one folder");
}

/// No worker is linked, so who is let in is told that.
async fn is_let_in(door: &Door) -> bool {
    match m_ok().send(door).await.status {
        401 => false,
        503 => true,
        other => panic!("{other} was not expected"),
    }
}

#[tokio::test]
async fn a_changed_file_is_taken_whole_and_a_bad_one_changes_nothing() {
    let env = Env::seeded(1);
    let [old, new] = [(); 2].map(|()| mint(&env, CredentialKind::Client));
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ostler.toml");
    replace(&path, &config(&old));
    let node = TestNode::of_file(&path).await;
    let [old_door, new_door] = [&old, &new].map(|key| node.door_of("acme", key.shown.expose()));
    assert!(is_let_in(&old_door).await && !is_let_in(&new_door).await);

    replace(&path, &format!("{}\nnonsense = true", config(&new)));
    node.reaches(RELOADS, &[("outcome", "refused")], 1.0).await;
    assert!(is_let_in(&old_door).await && !is_let_in(&new_door).await);

    let mut open = Pair::connect(&old_door).await;
    replace(&path, &config(&new));
    node.reaches(RELOADS, &[("outcome", "taken")], 1.0).await;
    assert!(!is_let_in(&old_door).await && is_let_in(&new_door).await);
    assert_eq!(open.live.event().await, None, "[A-6], [L-10]");
    node.stop().await;
}

#[tokio::test]
async fn a_change_before_the_file_is_watched_is_taken_too() {
    let env = Env::seeded(1);
    let [old, new] = [(); 2].map(|()| mint(&env, CredentialKind::Client));
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ostler.toml");
    replace(&path, &config(&old));
    let node = TestNode::of_file_meanwhile(&path, || replace(&path, &config(&new))).await;
    node.reaches(RELOADS, &[("outcome", "taken")], 1.0).await;
    let door = node.door_of("acme", new.shown.expose());
    assert!(is_let_in(&door).await);
    node.stop().await;
}
