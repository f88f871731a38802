use super::*;

fn parse(text: &str) -> Result<Raw, JsonError> {
    Raw::parse(Bytes::copy_from_slice(text.as_bytes()), 64)
}

#[test]
fn members_are_slices_of_the_body() {
    let raw = parse(r#" {"a" : 1.50 , "b":{"c":[1,"]}"]}} "#).unwrap();
    let members: Vec<_> = raw
        .members()
        .map(|(n, v)| (n.into_owned(), v.to_string()))
        .collect();
    assert_eq!(
        members,
        [
            ("a".into(), "1.50".into()),
            ("b".into(), r#"{"c":[1,"]}"]}"#.into())
        ]
    );
}
