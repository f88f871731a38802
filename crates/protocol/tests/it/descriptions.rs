//! How a Server describes itself.

use ostler_protocol::{
    Raw,
    reply::{self, ServerCapabilities, Shape},
};

use crate::golden::{LEGACY, MODERN, Sheet, id, shaped};

pub const ALL: ServerCapabilities = ServerCapabilities {
    tools: true,
    prompts: true,
    resources: true,
    subscribe: true,
    logging: true,
    completions: true,
    tasks: true,
    apps: false,
    skills: false,
    skill_directories: false,
};

#[test]
fn discovery_declares_what_is_served() {
    let mut sheet = Sheet::default();
    shaped(MODERN, |shape| {
        let all = reply::discover(shape, &id(), ALL, Some("Ask \"nicely\"."));
        sheet.result("everything", MODERN, "DiscoverResult", &all);
        let none = reply::discover(shape, &id(), ServerCapabilities::default(), None);
        sheet.result("nothing", MODERN, "DiscoverResult", &none);
    });
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn initialize_declares_tasks_in_its_own_way_and_no_extensions() {
    let mut sheet = Sheet::default();
    shaped(LEGACY, |shape| {
        let all = reply::initialize(shape, &id(), ALL, Some("Ask \"nicely\"."));
        sheet.result("everything", LEGACY, "InitializeResult", &all);
        let without = ServerCapabilities {
            tools: true,
            ..ServerCapabilities::default()
        };
        let tools = reply::initialize(shape, &id(), without, None);
        sheet.result("tools only", LEGACY, "InitializeResult", &tools);
    });
    let server_info = Raw::from_static(
        r#"{"name":"i","version":"1","icons":[{"src":"https://x.example/i.png"}],"websiteUrl":"https://x.example/","description":"d"}"#,
    );
    let shape = Shape {
        revision: LEGACY,
        server_info: &server_info,
    };
    let message = reply::initialize(&shape, &id(), ServerCapabilities::default(), None);
    sheet.result("full description", LEGACY, "InitializeResult", &message);
    insta::assert_snapshot!(sheet.text());
}
