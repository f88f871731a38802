use proptest::prelude::*;

use super::*;

/// What a client understands of one event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    id: Option<String>,
    retry: Option<u32>,
    data: Vec<String>,
    comments: usize,
}

/// Parses a stream as clients do (HTML Living Standard, 9.2.6), one entry per blank line.
fn parse(stream: &[u8]) -> Vec<Seen> {
    let text = String::from_utf8_lossy(stream).replace("\r\n", "\n");
    let mut seen = Vec::new();
    let mut now = Seen::default();
    for line in text.split(['\n', '\r']) {
        if line.is_empty() {
            seen.push(std::mem::take(&mut now));
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => now.comments += 1,
            "id" => now.id = Some(value.into()),
            "retry" => now.retry = value.parse().ok(),
            "data" => now.data.push(value.into()),
            other => panic!("unexpected field {other:?}"),
        }
    }
    seen.pop(); // what follows the last blank line
    seen.retain(|seen| *seen != Seen::default());
    seen
}

fn check(frame: &[u8], expected: Seen) {
    assert_eq!(parse(frame), [expected]);
}

#[test]
fn an_event_is_one_line_of_data() {
    assert_eq!(
        event(Some("s1.4"), b"{\"a\":1}"),
        "id: s1.4\ndata: {\"a\":1}\n\n"
    );
    assert_eq!(event(None, b"{}"), "data: {}\n\n");
}

#[test]
fn a_priming_event_has_an_id_and_empty_data() {
    let data = vec![String::new()];
    let expected = Seen {
        id: Some("a.0".into()),
        retry: Some(500),
        data,
        comments: 0,
    };
    check(&priming("a.0", Some(500)), expected);
    assert_eq!(priming("a.0", None), "id: a.0\ndata: \n\n");
}

#[test]
fn a_keep_alive_is_only_a_comment() {
    let expected = Seen {
        comments: 1,
        ..Seen::default()
    };
    check(KEEP_ALIVE, expected);
}

#[test]
fn a_retry_carries_no_data() {
    let expected = Seen {
        retry: Some(1000),
        ..Seen::default()
    };
    check(&retry(1000), expected);
}

#[test]
#[should_panic(expected = "an event id is minted by us")]
fn an_id_with_a_line_break_is_never_framed() {
    event(Some("1\ndata: forged"), b"{}");
}

proptest! {
    #[test]
    fn no_data_can_forge_a_field(data in "\\PC*|[\\x00-\\x7f]*") {
        let line = data.replace(['\n', '\r'], " ");
        // A client takes one leading space off the value, and that one is ours.
        let expected = Seen { id: Some("i".into()), data: vec![line], ..Seen::default() };
        check(&event(Some("i"), data.as_bytes()), expected);
    }

    #[test]
    fn frames_put_together_are_read_apart(datas in prop::collection::vec("[^\r\n]{0,30}", 1..8)) {
        let mut stream = Vec::new();
        for (at, data) in datas.iter().enumerate() {
            stream.extend_from_slice(&event(Some(&format!("e.{at}")), data.as_bytes()));
            stream.extend_from_slice(KEEP_ALIVE);
        }
        let seen: Vec<_> = parse(&stream).into_iter().filter(|seen| seen.comments == 0).collect();
        prop_assert_eq!(seen.len(), datas.len());
        for (at, (seen, data)) in seen.iter().zip(&datas).enumerate() {
            prop_assert_eq!(&seen.data[..], std::slice::from_ref(data));
            prop_assert_eq!(&seen.id, &Some(format!("e.{at}")));
        }
    }

    #[test]
    fn only_our_alphabet_makes_an_id(id in "\\PC{0,12}") {
        let ours = !id.is_empty()
            && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        prop_assert_eq!(is_event_id(&id), ours);
    }
}
