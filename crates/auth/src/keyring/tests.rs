use std::{fs, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;

fn ring_of(lines: &[String]) -> KeyRing {
    KeyRing::parse(&lines.join("\n")).unwrap()
}

fn line(byte: u8) -> String {
    base64url::encode(&[byte; KEY_BYTES])
}

/// The text of why a key ring is refused.
fn refusal(text: &str) -> String {
    KeyRing::parse(text).unwrap_err().to_string()
}

#[test]
fn a_ring_is_created_once_with_mode_0600() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("new/keyring");
    let env = Env::seeded(1);
    let first = KeyRing::open_or_create(&path, &env).unwrap();
    let token = first.seal(Purpose::RequestState, b"", b"x", &env);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = KeyRing::open_or_create(&path, &Env::seeded(2)).unwrap();
    assert_eq!(
        again.open(Purpose::RequestState, b"", &token).unwrap(),
        b"x"
    );
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn the_newest_key_seals_and_all_keys_open() {
    let env = Env::seeded(1);
    let old = ring_of(&[line(1)]);
    let both = ring_of(&["# a comment".into(), line(1), String::new(), line(2)]);
    let new = ring_of(&[line(2)]);
    let open = |ring: &KeyRing, token: &str| ring.open(Purpose::Cursor, b"a", token);
    let by_old = old.seal(Purpose::Cursor, b"a", b"plain", &env);
    let by_both = both.seal(Purpose::Cursor, b"a", b"plain", &env);
    assert_eq!(open(&both, &by_old).unwrap(), b"plain");
    assert_eq!(open(&new, &by_both).unwrap(), b"plain");
    assert_eq!(open(&new, &by_old), Err(BadToken));
    assert_eq!(open(&old, &by_both), Err(BadToken));
}

#[test]
fn a_mac_of_an_old_key_is_still_good() {
    let parts: &[&[u8]] = &[b"a", b"b"];
    let mac = ring_of(&[line(1)]).mac(Purpose::EventId, parts);
    let both = ring_of(&[line(1), line(2)]);
    assert!(both.verify(Purpose::EventId, parts, &mac));
    assert!(!ring_of(&[line(2)]).verify(Purpose::EventId, parts, &mac));
}

#[test]
fn a_mac_holds_for_its_purpose_and_its_parts_only() {
    let ring = ring_of(&[line(1)]);
    let mac = ring.mac(Purpose::EventId, &[b"ab", b"c"]);
    assert!(ring.verify(Purpose::EventId, &[b"ab", b"c"], &mac));
    assert!(ring.verify(Purpose::EventId, &[b"ab", b"c"], &mac[..8]));
    assert!(!ring.verify(Purpose::Cursor, &[b"ab", b"c"], &mac));
    assert!(!ring.verify(Purpose::EventId, &[b"a", b"bc"], &mac));
    assert!(!ring.verify(Purpose::EventId, &[b"abc"], &mac));
    for short in [&mac[..0], &mac[..7]] {
        assert!(!ring.verify(Purpose::EventId, &[b"ab", b"c"], short));
    }
}

#[test]
fn a_token_opens_for_its_purpose_and_place_only() {
    let env = Env::seeded(1);
    let ring = ring_of(&[line(1)]);
    let token = ring.seal(Purpose::RequestState, b"tenant a", b"plain", &env);
    let open = |purpose, aad: &[u8]| ring.open(purpose, aad, &token);
    assert_eq!(open(Purpose::RequestState, b"tenant a").unwrap(), b"plain");
    assert_eq!(open(Purpose::RequestState, b"tenant b"), Err(BadToken));
    assert_eq!(open(Purpose::Cursor, b"tenant a"), Err(BadToken));
}

#[test]
fn a_token_changed_anywhere_does_not_open() {
    let env = Env::seeded(1);
    let ring = ring_of(&[line(1)]);
    let token = ring.seal(Purpose::RequestState, b"", b"some plain text", &env);
    for at in 0..token.len() {
        let mut forged = token.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        let opened = ring.open(Purpose::RequestState, b"", &forged);
        assert_eq!(opened, Err(BadToken), "byte {at}");
    }
    for len in 0..token.len() {
        let opened = ring.open(Purpose::RequestState, b"", &token[..len]);
        assert_eq!(opened, Err(BadToken), "length {len}");
    }
    for tail in ["=", "A", "AAAA", "\n", " "] {
        let opened = ring.open(Purpose::RequestState, b"", &format!("{token}{tail}"));
        assert_eq!(opened, Err(BadToken), "tail {tail:?}");
    }
}

#[test]
fn two_seals_of_one_text_differ() {
    let env = Env::seeded(1);
    let ring = KeyRing::ephemeral(&env);
    let seal = || ring.seal(Purpose::RequestState, b"", b"same", &env);
    assert_ne!(seal(), seal());
}

#[test]
fn a_bad_file_is_refused_with_its_line() {
    assert!(refusal("# nothing\n").contains("holds no key"));
    let text = format!("{}\nnot a key\n", line(1));
    assert!(refusal(&text).starts_with("line 2"));
    let text = format!("{0}\n{0}\n", line(1));
    assert!(refusal(&text).starts_with("line 2"));
    let many: Vec<String> = (0..17).map(line).collect();
    assert!(refusal(&many.join("\n")).contains("more than 16"));
}

#[test]
fn keys_are_not_in_the_debug_form() {
    assert_eq!(format!("{:?}", ring_of(&[line(1)])), "KeyRing(1 keys)");
}
