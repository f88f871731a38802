use ostler_types::Secret;
use serde_json::json;

use super::*;
use crate::openapi::{
    path::PathTemplate,
    style::{Explode, Style},
};

fn parameter(name: &str, place: Place) -> Parameter {
    let style = match place {
        Place::Path | Place::Header => Style::Simple,
        Place::Query | Place::Cookie => Style::Form,
    };
    Parameter {
        name: name.to_owned(),
        argument: name.to_owned(),
        place,
        style,
        explode: Explode::Yes,
        is_required: place == Place::Path,
    }
}

fn operation(form: BodyForm) -> Operation {
    let media_type = match form {
        BodyForm::Json => "application/json",
        BodyForm::Form => "application/x-www-form-urlencoded",
        BodyForm::Text => "text/plain",
    };
    Operation {
        verb: Verb::Post,
        path: PathTemplate::parse("/pets/{id}/toys").unwrap(),
        parameters: vec![
            parameter("id", Place::Path),
            parameter("tags", Place::Query),
            parameter("X-Trace", Place::Header),
            parameter("theme", Place::Cookie),
        ],
        body: Some(Body {
            argument: "body".to_owned(),
            media_type: media_type.to_owned(),
            form,
            is_required: false,
        }),
        is_structured: false,
    }
}

fn sent(
    form: BodyForm,
    arguments: Value,
    credential: Option<&Credential>,
) -> Result<Outgoing, String> {
    build(&operation(form), &arguments.to_string().into(), credential)
}

fn check_refused(arguments: Value, why: &str) {
    let refused = sent(BodyForm::Json, arguments, None).expect_err(why);
    assert!(refused.contains(why), "{refused}");
}

#[test]
fn each_argument_goes_to_its_place() {
    let arguments = json!({"id": "a/b", "tags": ["x y", "z&"], "X-Trace": [1, 2], "theme": "dark;a",
                           "body": {"name": "Rex"}});
    let outgoing = sent(BodyForm::Json, arguments, None).unwrap();
    assert_eq!(outgoing.target, "/pets/a%2Fb/toys?tags=x%20y&tags=z%26");
    assert_eq!(outgoing.cookies, ["theme=dark%3Ba"]);
    let headers: Vec<_> = outgoing
        .headers
        .iter()
        .map(|(k, v)| format!("{k}: {v}"))
        .collect();
    let expected = [
        "accept: application/json, */*;q=0.5",
        "X-Trace: 1,2",
        "content-type: application/json",
    ];
    assert_eq!(headers, expected);
    assert_eq!(outgoing.body, r#"{"name":"Rex"}"#);
}

#[test]
fn a_body_has_the_form_that_its_media_type_says() {
    let body = |form, body: Value| {
        let outgoing = sent(form, json!({"id": 1, "body": body}), None);
        outgoing.map(|outgoing| String::from_utf8(outgoing.body.to_vec()).unwrap())
    };
    assert_eq!(body(BodyForm::Json, json!(null)).as_deref(), Ok("null"));
    assert_eq!(
        body(
            BodyForm::Form,
            json!({"a": "x y", "b": [1, 2], "c": {"d": true}})
        )
        .as_deref(),
        Ok("a=x%20y&b=1&b=2&c%5Bd%5D=true")
    );
    assert_eq!(body(BodyForm::Text, json!("hello")).as_deref(), Ok("hello"));
    assert!(body(BodyForm::Text, json!(1)).is_err());
    assert!(body(BodyForm::Form, json!([1])).is_err());
    assert!(body(BodyForm::Form, json!({"a": {"b": {"c": 1}}})).is_err());
}

#[test]
fn numbers_of_a_body_keep_every_digit() {
    let arguments = r#"{"id": 1, "body": {"n": 123456789012345678901234567890.10}}"#;
    let outgoing = build(&operation(BodyForm::Json), &arguments.into(), None).unwrap();
    assert_eq!(outgoing.body, r#"{"n": 123456789012345678901234567890.10}"#);
}

#[test]
fn wrong_arguments_are_named() {
    check_refused(json!({}), "\"id\" is missing");
    check_refused(json!({"id": null}), "\"id\" is missing");
    check_refused(json!({"id": 1, "idd": 2}), "no argument \"idd\"");
    check_refused(json!({"id": ".."}), "dots");
    check_refused(json!({"id": [[1]]}), "\"id\" is nested");
    check_refused(
        json!({"id": 1, "X-Trace": "a\r\nHost: evil"}),
        "\"X-Trace\" has characters",
    );
    check_refused(json!([]), "no object");
}

#[test]
fn a_credential_goes_where_it_belongs_and_no_argument_sets_it() {
    let key = |place| Credential::Key {
        place,
        name: "api key".to_owned(),
        key: Secret::new("s3cret&"),
    };
    let joined = |credential: &Credential| {
        let mut outgoing = sent(BodyForm::Json, json!({"id": 1}), Some(credential)).unwrap();
        credential.join(&mut outgoing);
        format!(
            "{} {:?} {:?}",
            outgoing.target, outgoing.cookies, outgoing.headers
        )
    };
    assert!(joined(&key(KeyPlace::Query)).contains("/toys?api%20key=s3cret%26"));
    assert!(joined(&key(KeyPlace::Cookie)).contains("api%20key=s3cret%26"));
    assert!(joined(&key(KeyPlace::Header)).contains(r#"("api key", "s3cret&")"#));
    let bearer = Credential::Bearer(Secret::new("t"));
    assert!(joined(&bearer).contains(r#"("authorization", "Bearer t")"#));
    let basic = Credential::Basic {
        user: "u".to_owned(),
        password: Secret::new("p"),
    };
    assert!(joined(&basic).contains(r#"("authorization", "Basic dTpw")"#));
    assert!(!format!("{basic:?} {:?}", key(KeyPlace::Query)).contains("s3cret"));

    let arguments = json!({"id": 1, "tags": {"API key": "mine"}});
    let refused = sent(BodyForm::Json, arguments, Some(&key(KeyPlace::Query)));
    assert!(refused.unwrap_err().contains("credential"));
}
