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
    check_with(&[], skill, expected);
}

/// The same with templates.
fn check_with(templates: &[&str], skill: Value, expected: &str) {
    let resource = |uri: &str| entry(json!({"uri": uri, "name": "f"}));
    let template = |template: &&str| entry(json!({"uriTemplate": template, "name": "t"}));
    let mut offer = offer_of_tools(&[]);
    let files = ["skill://pdf/SKILL.md", "skill://pdf/scripts/fill.py"];
    offer.resources = files.map(resource).into();
    offer.templates = templates.iter().map(template).collect();
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
async fn a_template_may_serve_files_within_bounds() {
    let other = with("/resources/1", file("skill://pdf/a/b.txt"));
    check_with(&["x://{a}", "skill://pdf/{+path}"], other.clone(), "");
    let missing = "skill://pdf/a/b.txt is not among the resources";
    check_with(&["skill://pdf/{path}"], other, missing);
    let long = "x".repeat(200);
    let files = (0..500).map(|number| file(&format!("skill://pdf/{long}/{number}")));
    let manifest = file("skill://pdf/SKILL.md");
    let many = with("/resources", [manifest].into_iter().chain(files).collect());
    let costly = format!("skill://{}", "{a}".repeat(300));
    let too_many = "the skills of this offer have too many files that only templates serve; \
                    list them as resources, which may be unlisted";
    check_with(&[&costly, "skill://pdf/{+path}"], many.clone(), too_many);
    check_with(&["skill://pdf/{+path}"], many, "");
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

/// Clients write files where their URIs lead.
#[tokio::test]
async fn a_file_is_a_plain_path_below_its_skill() {
    for outside in ["skill://pdf//x", "skill://pdf/x/", "skill://pdf/x//y"] {
        let reason = format!("{outside} is not a file of skill://pdf/");
        check(with("/resources/1/uri", json!(outside)), &reason);
    }
    let no_path =
        |uri: &str| format!("{uri} must be a plain path, without dot segments, query and fragment");
    for strange in [
        "skill://pdf/../x",
        "skill://pdf/a/./x",
        "skill://pdf/%2e%2e/x",
        "skill://pdf/a%2fx",
        "skill://pdf/x?y",
        "skill://pdf/x#y",
    ] {
        check(with("/resources/1/uri", json!(strange)), &no_path(strange));
    }
    let uri = "skill://x?/pdf/SKILL.md";
    check(with("/uri", json!(uri)), &no_path(uri));
    let both = [
        "skill://pdf/SKILL.md",
        "skill://pdf/scripts/fill.py",
        "skill://pdf/scripts-2",
        "skill://pdf/scripts",
    ];
    let reason = "skill://pdf/scripts is a file and a directory";
    check(with("/resources", both.map(file).to_vec().into()), reason);
}
