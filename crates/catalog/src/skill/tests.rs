use ostler_env::Env;
use serde_json::json;

use super::*;
use crate::{
    catalogs::tests::{entry, offer_of_tools},
    check,
    offer::EntryKind,
    schema::Pool,
};

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn file(uri: &str) -> Value {
    json!({"uri": uri, "digest": DIGEST, "size": 3})
}

fn skill() -> Value {
    json!({
        "uri": "skill://pdf/SKILL.md",
        "frontmatter": {"name": "pdf", "description": "Fills in forms."},
        "resources": [file("skill://pdf/SKILL.md"), file("skill://pdf/scripts/fill.py")],
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut skill = skill();
    *skill.pointer_mut(path).expect("it is there") = value;
    skill
}

/// Why a skill is refused in an offer that serves two files; "" if it is not.
fn check(skill: Value, expected: &str) {
    let resource = |uri: &str| entry(json!({"uri": uri, "name": "f"}));
    let mut offer = offer_of_tools(&[]);
    let files = ["skill://pdf/SKILL.md", "skill://pdf/scripts/fill.py"];
    offer.resources = files.map(resource).into();
    offer.skills = vec![entry(skill.clone())];
    let pool = Pool::new(&Env::seeded(1));
    let mut refusals = Vec::new();
    let checked = check::check(offer, &pool, &mut refusals);
    assert_eq!(
        checked.expect("an offer").skills.len(),
        usize::from(expected.is_empty())
    );
    let refused = refusals.first().map(|refusal| {
        assert_eq!(refusal.kind, EntryKind::Skill);
        refusal.reason.as_str()
    });
    assert_eq!(refused.unwrap_or_default(), expected, "{skill}");
}

#[tokio::test]
async fn a_good_skill_is_taken() {
    check(skill(), "");
    check(with("/resources", json!("dynamic")), "");
}

#[tokio::test]
async fn a_skill_that_clients_would_reject_is_refused_with_a_reason() {
    let name = "frontmatter.name must have 1 to 64 of a-z, 0-9 and single '-' inside";
    for (path, value, reason) in [
        (
            "/uri",
            json!("pdf"),
            "uri does not start with a scheme such as \"file:\"",
        ),
        (
            "/uri",
            json!("skill://doc/SKILL.md"),
            "uri must end with /pdf/SKILL.md",
        ),
        (
            "/uri",
            json!("skill://pdf/skill.md"),
            "uri must end with /pdf/SKILL.md",
        ),
        (
            "/frontmatter",
            json!({"name": "pdf"}),
            "frontmatter must have a name and a description",
        ),
        ("/frontmatter/name", json!("Pdf"), name),
        ("/frontmatter/name", json!("-pdf"), name),
        ("/frontmatter/name", json!("p--df"), name),
        (
            "/resources",
            json!(5),
            "resources must be an array or \"dynamic\"",
        ),
        (
            "/resources",
            json!([file("skill://pdf/scripts/fill.py")]),
            "resources must have skill://pdf/SKILL.md itself",
        ),
        (
            "/resources/1/uri",
            json!("skill://pdf/SKILL.md"),
            "skill://pdf/SKILL.md is there twice",
        ),
        (
            "/resources/1/uri",
            json!("skill://other/x"),
            "skill://other/x is not a file of skill://pdf/",
        ),
        (
            "/resources/1/uri",
            json!("skill://pdf/unserved"),
            "skill://pdf/unserved is not among the resources",
        ),
        (
            "/resources/1/digest",
            json!("sha256:ABC"),
            "the digest of skill://pdf/scripts/fill.py must be sha256: and 64 hex digits",
        ),
        (
            "/resources/1/size",
            json!(-1),
            "the size of skill://pdf/scripts/fill.py is missing",
        ),
        (
            "/resources/1/size",
            json!(FILES_BYTES_MAX),
            "its files are longer than 16777216 bytes",
        ),
    ] {
        check(with(path, value), reason);
    }
}
