use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::Value;

use super::*;

/// Rebuilds a tree by walking, to compare with the one of serde_json.
fn tree(text: &str) -> Value {
    match kind_of(text) {
        Kind::Object => {
            let members = members(text).map(|(name, value)| (name.into_owned(), tree(value)));
            Value::Object(members.collect())
        }
        Kind::Array => Value::Array(items(text).map(tree).collect()),
        Kind::String => Value::String(unquote(text).into_owned()),
        Kind::Number | Kind::Bool | Kind::Null => serde_json::from_str(text).expect("a scalar"),
    }
}

fn check(text: &str) {
    let expected: Value = serde_json::from_str(text).expect("valid JSON");
    assert_eq!(tree(text.trim()), expected, "{text}");
}

#[test]
fn a_walk_reads_what_a_parser_reads() {
    for text in [
        "{}",
        "[]",
        "{ }",
        r#"{"a":1,"b":[1,2,{"c":"}]\"\\"}],"d":null}"#,
        r#" { "a" : [ ] , "b" : { } , "\u0063" : "\ud83d\ude00" } "#,
        r#"[1.0e5,true,false,null,"",[[]],{"":{}}]"#,
    ] {
        check(text);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(".*", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn config() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: None,
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_walk_agrees_with_a_parser_on_any_json(value in any_json()) {
        check(&value.to_string());
    }

    #[test]
    fn a_walk_over_anything_ends(text in ".{0,80}") {
        let mut walk = Walk::of(&text);
        walk.enter();
        for _ in 0..200 {
            let _ = walk.next_name();
            let _ = walk.skip();
        }
    }
}
