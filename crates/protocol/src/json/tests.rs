use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::{Value, json};

use super::*;

fn parse(text: &str) -> Result<Raw, JsonError> {
    Raw::parse(Bytes::copy_from_slice(text.as_bytes()), 64)
}

fn syntax_reason(bytes: &[u8]) -> &'static str {
    match Raw::parse(Bytes::copy_from_slice(bytes), 64) {
        Err(JsonError::Syntax { reason, .. }) => reason,
        other => panic!("{} gave {other:?}", bytes.escape_ascii()),
    }
}

#[test]
fn values_pass_as_they_are() {
    for text in [
        "{}",
        "[]",
        "null",
        "true",
        "false",
        "\"\"",
        "0",
        "-0",
        "-0.0e+10",
        "1e999",
        "9007199254740993",
        "123456789012345678901234567890.000",
        r#""\u0000\ud83d\ude00\/\b""#,
        r#"{"b":1.50,"a":[1E2,{"":null}]}"#,
        "\"\u{FEFF}é世\u{10FFFF}\"",
    ] {
        assert_eq!(parse(text).expect(text).as_str(), text);
    }
}

#[test]
fn white_space_around_a_value_is_dropped_and_inside_it_stays() {
    assert_eq!(parse(" \r\n[1, 2]\t\n").unwrap().as_str(), "[1, 2]");
}

#[test]
fn a_value_without_line_breaks_is_not_copied() {
    let body = Bytes::from_static(br#" {"a": {"b": [1, "x"]}} "#);
    let raw = Raw::parse(body.clone(), 64).unwrap();
    let inner = raw.get("a").unwrap().get("b").unwrap();
    assert_eq!(inner.as_str(), r#"[1, "x"]"#);
    assert!(body.as_ptr_range().contains(&inner.bytes().as_ptr()));
}

#[test]
fn line_breaks_are_compacted_away() {
    let pretty = "{\n  \"a b\": [1.0,\r\n 2, \"x  y\"],\r\t\"c\" : \"\\n\"\n}\n";
    assert_eq!(
        parse(pretty).unwrap().as_str(),
        r#"{"a b":[1.0,2,"x  y"],"c":"\n"}"#
    );
}

#[test]
fn what_is_not_json_is_refused_with_its_reason() {
    for (bytes, reason) in [
        (&b""[..], "unexpected end"),
        (b"   ", "unexpected end"),
        (b"\xEF\xBB\xBF{}", "byte order mark"),
        (b"\"\xFF\"", "invalid UTF-8"),
        (b"\"\xED\xA0\x80\"", "invalid UTF-8"),
        (b"\"\xC0\x80\"", "invalid UTF-8"),
        (b"{} {}", "unexpected bytes after the value"),
        (b"{}\0", "unexpected bytes after the value"),
        (b"NaN", "expected a value"),
        (b"Infinity", "expected a value"),
        (b"nul", "expected a value"),
        (b"0x2A", "unexpected bytes after the value"),
        (b"01", "unexpected bytes after the value"),
        (b"+1", "expected a value"),
        (b"-", "expected a digit"),
        (b"1.", "expected a digit"),
        (b".5", "expected a value"),
        (b"1e", "expected a digit"),
        (b"{/*c*/}", "expected a member name"),
        (b"{'a':1}", "expected a member name"),
        (b"{\"a\" 1}", "expected ':'"),
        (b"{\"a\":1,}", "expected a member name"),
        (b"{\"a\":1", "unexpected end"),
        (b"{\"a\":1]", "expected ',' or the end of the container"),
        (b"[1,]", "expected a value"),
        (b"[1 2]", "expected ',' or the end of the container"),
        (b"[1}", "expected ',' or the end of the container"),
        (b"[", "unexpected end"),
        (b"\"a", "unexpected end in a string"),
        (b"\"a\nb\"", "control character in a string"),
        (b"\"\\x\"", "invalid escape"),
        (b"\"\\u12G4\"", "invalid escape"),
        (b"\"\\u+123\"", "invalid escape"),
        (b"\"\\u12", "invalid escape"),
        (br#""\ud800""#, "lone surrogate"),
        (br#""\udc00""#, "lone surrogate"),
        (br#""\ud800\u0041""#, "lone surrogate"),
        (br#""\ud800x""#, "lone surrogate"),
    ] {
        assert_eq!(syntax_reason(bytes), reason, "{}", bytes.escape_ascii());
    }
}

#[test]
fn duplicates_are_found_at_any_depth_and_in_any_spelling() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"x":[{"y":{"amount":1,"b":2,"amount":3}}]}"#,
        r#"{"":1,"":2}"#,
        r#"{"\/":1,"/":2}"#,
    ] {
        assert!(
            matches!(parse(text), Err(JsonError::Duplicate { .. })),
            "{text}"
        );
    }
    assert!(parse(r#"{"a":{"a":[{"a":1},{"a":1}]},"A":1}"#).is_ok());
}

#[test]
fn duplicates_are_found_in_objects_of_any_size() {
    for size in [2, 12, 13, 14, 1_000] {
        let names: Vec<String> = (0..size).map(|i| format!("\"n{i}\":{i}")).collect();
        let good = format!("{{{}}}", names.join(","));
        assert!(parse(&good).is_ok(), "{size}");
        let bad = format!("{{{},\"n0\":0}}", names.join(","));
        assert_eq!(
            parse(&bad),
            Err(JsonError::Duplicate { name: "n0".into() }),
            "{size}"
        );
    }
}

#[test]
fn depth_is_bounded_without_recursion() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(&nested(64)).is_ok());
    assert_eq!(
        parse(&nested(65)),
        Err(JsonError::TooDeep { depth_max: 64 })
    );
    assert_eq!(
        parse(&"{\"a\":".repeat(1_000_000)),
        Err(JsonError::TooDeep { depth_max: 64 })
    );
    let deep = Bytes::from(nested(1_000_000));
    assert!(Raw::parse(deep, usize::MAX).is_ok());
}

#[test]
fn parts_are_found_by_name_and_in_order() {
    let raw = parse(r#" {"a" : 1.50 , "b":{"c":[1,"]}\""]}, "\u0063":[ ] } "#).unwrap();
    let members: Vec<_> = raw
        .members()
        .map(|(n, v)| (n.into_owned(), v.to_string()))
        .collect();
    let expected = [("a", "1.50"), ("b", r#"{"c":[1,"]}\""]}"#), ("c", "[ ]")];
    assert_eq!(members, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    assert_eq!(raw.get("c").unwrap().elements().count(), 0);
    let elements = parse(r#"[ 1,"a" , [2] ,{}]"#).unwrap();
    let elements: Vec<_> = elements.elements().map(|e| e.to_string()).collect();
    assert_eq!(elements, ["1", "\"a\"", "[2]", "{}"]);
}

#[test]
fn other_kinds_have_no_parts() {
    for text in ["1", "\"{\"", "null", "[]", "{}"] {
        let raw = parse(text).unwrap();
        assert_eq!(
            (raw.members().count(), raw.elements().count()),
            (0, 0),
            "{text}"
        );
    }
}

#[test]
fn a_raw_serializes_as_it_is() {
    let raw = parse(r#"{"n":1.50,"big":12345678901234567890123}"#).unwrap();
    let text = serde_json::to_string(&[raw]).unwrap();
    assert_eq!(text, r#"[{"n":1.50,"big":12345678901234567890123}]"#);
}

#[test]
fn special_bytes_are_found_wherever_they_are() {
    for special in 0..=255_u8 {
        for at in 0..20 {
            for neighbour in [b'a', 0x7F, 0x80, 0xFF, b'!', b'#', b' '] {
                let mut bytes = [neighbour; 20];
                bytes[at] = special;
                let expected = match special {
                    b'"' | b'\\' | 0..=0x1F => at,
                    _ => 20,
                };
                assert_eq!(
                    plain_len(&bytes),
                    expected,
                    "{special} at {at} in {neighbour}"
                );
            }
        }
    }
}

/// JSON as a tree, with member names drawn from few, so that some would collide.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|f| json!(f)),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 14, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..14).prop_map(Value::from),
            prop::collection::btree_map(".{0,3}", inner, 0..14)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Duplicates apart, which `serde_json` accepts.
fn judged_as_by_serde_json(bytes: &[u8]) -> bool {
    let ours = Raw::parse(Bytes::copy_from_slice(bytes), 64);
    match serde_json::from_slice::<Value>(bytes) {
        Ok(_) => matches!(ours, Ok(_) | Err(JsonError::Duplicate { .. })),
        // A number beyond f64 is good JSON; it is never read as one here.
        Err(error) if error.to_string().starts_with("number out of range") => true,
        Err(_) => ours.is_err(),
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 512,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn good_json_stays_the_same_value(value in value(), pretty in any::<bool>()) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        let raw = parse(&text).unwrap();
        prop_assert!(!raw.as_str().contains(['\r', '\n']));
        // Read back by serde_json both times: it may be off by one bit in a float.
        prop_assert_eq!(raw.to::<Value>().unwrap(), serde_json::from_str::<Value>(&text).unwrap());
        let parts: usize = value.as_object().map_or(0, |object| object.len());
        prop_assert_eq!(raw.members().count(), parts);
    }

    #[test]
    fn nothing_panics_and_validity_is_what_serde_json_says(
        text in r#"[{}\[\]:,"\\u0-9a-fdDnulltrueNa.eE+\- \n]{0,24}"#
    ) {
        prop_assert!(judged_as_by_serde_json(text.as_bytes()));
    }

    #[test]
    fn broken_json_is_judged_as_serde_json_does(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = value.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        prop_assert!(judged_as_by_serde_json(&bytes));
    }

    #[test]
    fn any_bytes_at_all_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Raw::parse(Bytes::from(bytes), 4);
    }
}
