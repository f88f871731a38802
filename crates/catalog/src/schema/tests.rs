use serde_json::json;

use super::*;

fn compile(schema: Value) -> Result<Schema, String> {
    Schema::compile(&schema, &Pool::new(&Env::seeded(1)))
}

fn raw(value: Value) -> Raw {
    Raw::from_value(&value)
}

/// What a value that breaks the schema is told.
fn check(schema: Value, value: Value, expected: Result<(), &str>) {
    let result = compile(schema).unwrap().check(&raw(value));
    match (&result, expected) {
        (Ok(()), Ok(())) => {}
        (Err(found), Err(part)) => assert!(found.contains(part), "{found:?}"),
        _ => panic!("{result:?} instead of {expected:?}"),
    }
}

#[tokio::test]
async fn both_dialects_are_known() {
    let v2020 = json!({"prefixItems": [{"type": "string"}]});
    check(v2020.clone(), json!([1]), Err("/0: 1 is not of type"));
    let mut v7 = json!({"items": [{"type": "string"}]});
    for spelling in [
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft-07/schema",
    ] {
        v7["$schema"] = json!(spelling);
        check(v7.clone(), json!([1]), Err("/0: 1 is not of type"));
    }
    check(v2020, json!(["a", 1]), Ok(()));
}

#[tokio::test]
async fn other_dialects_and_broken_schemas_are_refused_with_a_reason() {
    let table = [
        (
            json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
            "not supported",
        ),
        (json!({"$schema": 1}), "not supported"),
        (json!({"type": "objekt"}), "objekt"),
        (json!({"properties": {"a": {"pattern": "("}}}), "pattern"),
        (json!({"minLength": -1}), "minimum"),
    ];
    for (schema, reason) in table {
        let refused = compile(schema).unwrap_err();
        assert!(
            refused.contains(reason),
            "{refused:?} should contain {reason:?}"
        );
    }
}

#[tokio::test]
async fn patterns_with_look_around_work_within_bounds() {
    let email = json!({"pattern": r"^(?!\.)(?!.*\.\.)[a-z.]+@[a-z]+$"});
    check(email.clone(), json!("a.b@c"), Ok(()));
    check(email, json!("a..b@c"), Err("does not match"));
    let hostile = json!({"pattern": r"^(?=(a+)+b)(a+)+$"});
    let result = compile(hostile)
        .unwrap()
        .check(&raw(json!("a".repeat(5_000))));
    assert!(result.is_err());
}

#[tokio::test]
async fn a_message_for_logs_holds_no_value() {
    let schema = compile(json!({"properties": {"a": {"type": "string"}}})).unwrap();
    let value = raw(json!({"a": 4711}));
    assert!(schema.check(&value).unwrap_err().contains("4711"));
    let masked = schema.check_without_values(&value).unwrap_err();
    assert!(
        masked.starts_with("/a: ") && !masked.contains("4711"),
        "{masked}"
    );
}

#[tokio::test]
async fn messages_are_short() {
    let schema = compile(json!({"type": "integer"})).unwrap();
    let message = schema.check(&raw(json!("x".repeat(100_000)))).unwrap_err();
    assert!(message.len() < 2_000);
}

#[tokio::test]
async fn a_large_value_is_checked_in_the_pool_and_leaves_nothing_running() {
    let env = Env::seeded(1);
    let item = json!({"type": "array", "items": {"type": "integer"}});
    let schema = Schema::compile(&item, &Pool::new(&env)).unwrap();
    let large: Vec<u32> = (0..200_000).collect();
    let large = raw(json!(large));
    assert!(!schema.is_cheap(&large) && schema.is_cheap(&raw(json!([1]))));
    assert_eq!(schema.check_anywhere(&large).await, Ok(()));
    let mut wrong = vec![json!(1); 100_000];
    wrong.push(json!("x"));
    let refused = schema.check_anywhere(&raw(json!(wrong))).await;
    assert!(refused.unwrap_err().starts_with("/100000: "));
    assert_eq!(env.tasks_alive(), 0);
}
