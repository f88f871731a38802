//! Questions to the client.

use std::time::Duration;

use ostler_rpc::worker_v1::{self as wire, to_worker::Frame};
use ostler_worker::{
    Ask, AskError, Ctx, Elicited, Sample, Server, Stranger, ToolError, Visit, Visitors,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::hub::{Hub, answer, call_id};

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

async fn greet(ctx: Ctx) -> Result<String, ToolError> {
    let asked = ctx.elicit_as::<Name>("who", "Who?").await?;
    Ok(asked
        .accepted()
        .map_or("nobody".to_owned(), |form| form.name))
}

async fn joined(ctx: Ctx) -> Result<String, ToolError> {
    let sample = Sample::new("hi", 5);
    let (roots, sampled) = tokio::join!(ctx.roots("r"), ctx.sample("s", &sample));
    Ok(format!("{} {}", roots?.len(), sampled?.text()))
}

async fn all(ctx: Ctx) -> Result<String, ToolError> {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let answers = ctx
        .ask_all([Ask::form("f", "?", schema), Ask::roots("r")])
        .await;
    let form: Elicited<Value> = answers.form("f")?;
    Ok(format!("{} {}", form.action(), answers.roots("r")?.len()))
}

async fn spawned(ctx: Ctx) -> Result<String, ToolError> {
    let inner = ctx.clone();
    let asked = crate::hub::spawn(async move { inner.roots("r").await });
    Ok(asked.await?.map(|roots| roots.len().to_string())?)
}

async fn twice(ctx: Ctx) -> Result<String, ToolError> {
    ctx.roots("r").await?;
    ctx.become_task();
    Ok(ctx.roots("r").await?.len().to_string())
}

async fn bad(ctx: Ctx) -> Result<(), AskError> {
    let nested = json!({"type": "object", "properties": {"a": {"type": "object"}}});
    ctx.elicit("k", "?", nested).await.map(drop)
}

fn server() -> Server {
    Server::new("test", "1")
        .tool("greet", "", greet)
        .tool("joined", "", joined)
        .tool("all", "", all)
        .tool("spawned", "", spawned)
        .tool("twice", "", twice)
        .tool("bad", "", bad)
        .tool("visit", "", visit)
}

const FORM: &str = r#"who QUESTION_KIND_ELICIT_FORM {"message":"Who?","mode":"form","requestedSchema":{"properties":{"name":{"type":"string"}},"required":["name"],"type":"object"}}"#;

/// Plays a script: what the worker says, and what it is answered.
async fn check(tool: &str, script: &[(&str, &[(&str, Value)])]) {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, tool, json!({})).await;
    for (said, answers) in script {
        assert_eq!(link.said().await, *said);
        for (key, value) in *answers {
            link.answer(1, key, value.clone()).await;
        }
    }
}

fn text(text: &str) -> String {
    format!(r#"outcome 1 {{"content":[{{"type":"text","text":"{text}"}}]}}"#)
}

const ROOTS: &str = "r QUESTION_KIND_ROOTS {}";

fn no_roots() -> Value {
    json!({"roots": []})
}

#[tokio::test(start_paused = true)]
async fn a_form_is_asked_and_answered() {
    let ann = json!({"action": "accept", "content": {"name": "Ann"}});
    let ask = format!("ask 1 {FORM}");
    check(
        "greet",
        &[
            ("started 1", &[]),
            (&ask, &[("who", ann)]),
            (&text("Ann"), &[]),
        ],
    )
    .await;
    let declined = json!({"action": "decline"});
    check(
        "greet",
        &[
            ("started 1", &[]),
            (&ask, &[("who", declined)]),
            (&text("nobody"), &[]),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn questions_of_one_step_travel_together() {
    let sampled =
        json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "ho"}});
    let ask = format!(
        r#"ask 1 {ROOTS} | s QUESTION_KIND_SAMPLE {{"maxTokens":5,"messages":[{{"content":{{"text":"hi","type":"text"}},"role":"user"}}]}}"#
    );
    check(
        "joined",
        &[
            ("started 1", &[]),
            (&ask, &[("s", sampled), ("r", no_roots())]),
            (&text("0 ho"), &[]),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_list_of_questions_gives_an_answer_to_each() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "all", json!({})).await;
    assert_eq!(link.said().await, "started 1");
    let ask = link.said().await;
    assert!(ask.contains("f QUESTION_KIND_ELICIT_FORM"), "{ask}");
    assert!(ask.contains(ROOTS), "{ask}");
    link.answer(1, "f", json!({"action": "cancel"})).await;
    link.answer(1, "r", no_roots()).await;
    assert_eq!(link.said().await, text("cancel 0"));
}

#[tokio::test(start_paused = true)]
async fn a_task_of_the_handler_may_ask_too() {
    let ask = format!("ask 1 {ROOTS}");
    check(
        "spawned",
        &[
            ("started 1", &[]),
            (&ask, &[("r", no_roots())]),
            (&text("0"), &[]),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_key_used_twice_gets_a_number() {
    let first = format!("ask 1 {ROOTS}");
    check(
        "twice",
        &[
            ("started 1", &[]),
            (&first, &[("r", no_roots())]),
            ("task 1", &[]),
            ("ask 1 r-2 QUESTION_KIND_ROOTS {}", &[("r-2", no_roots())]),
            (&text("0"), &[]),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_with_the_call_is_not_asked_for() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    let ann = json!({"action": "accept", "content": {"name": "Ann"}});
    link.call_with(1, "greet", json!({}), |call| {
        call.answers = vec![answer("who", ann), answer("other", json!({}))];
    })
    .await;
    assert_eq!(link.said().await, text("Ann"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_asked_for() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    let unfit = json!({"action": "accept", "content": {"name": 7}});
    link.call_with(1, "greet", json!({}), |call| {
        call.answers = vec![answer("who", unfit)];
    })
    .await;
    assert_eq!(link.said().await, "started 1");
    assert_eq!(link.said().await, format!("ask 1 {FORM}"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_answer_is_named_by_what_it_lacks() {
    check_failure(
        wire::AnswerFailure::Unsupported,
        "outcome 1 FAILURE_KIND_NEEDS_CAPABILITY ",
    )
    .await;
    check_failure(
        wire::AnswerFailure::TimedOut,
        r#"outcome 1 {"content":[{"type":"text","text":"nobody answered in time"}],"isError":true}"#,
    )
    .await;
}

async fn check_failure(failure: wire::AnswerFailure, wanted: &str) {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "greet", json!({})).await;
    assert_eq!(link.said().await, "started 1");
    assert!(link.said().await.starts_with("ask 1"));
    let answer = wire::Answer {
        key: "who".into(),
        answer: Some(wire::answer::Answer::Failure(failure.into())),
    };
    let call = Some(call_id(1));
    let answers = vec![answer];
    link.send(Frame::Answers(wire::Answers { call, answers }))
        .await;
    assert_eq!(link.said().await, wanted);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_may_not_be_asked_fails_in_the_worker() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "bad", json!({})).await;
    let said = link.said().await;
    assert!(said.contains("this cannot be asked"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_the_wait_for_an_answer() {
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server())).await;
    link.call(1, "greet", json!({})).await;
    assert_eq!(link.said().await, "started 1");
    assert!(link.said().await.starts_with("ask 1"));
    let (call, reason) = (Some(call_id(1)), String::new());
    link.send(Frame::Cancel(wire::Cancel { call, reason }))
        .await;
    assert_eq!(link.said().await, "outcome 1 FAILURE_KIND_CANCELLED ");
}

async fn visit(ctx: Ctx) -> Result<String, ToolError> {
    let visit =
        Visit::new("sign-in", "Sign in", "https://x.example/s").patience(Duration::from_secs(10));
    // The page is done after a quarter of a minute.
    let page = ctx.sleep(Duration::from_secs(15));
    Ok(ctx.visit(&visit, page).await?.action().to_owned())
}

fn asked(key: &str) -> String {
    let params = r#"{"message":"Sign in","mode":"url","url":"https://x.example/s"}"#;
    format!("ask 1 {key} QUESTION_KIND_ELICIT_URL {params}")
}

/// [SP-5]
#[tokio::test(start_paused = true)]
async fn a_visit_is_asked_for_again_until_the_page_is_done_and_then_told() {
    let consent = || json!({"action": "accept"});
    let first: &[(&str, Value)] = &[("sign-in", consent())];
    let again: &[(&str, Value)] = &[("sign-in-2", consent())];
    check(
        "visit",
        &[
            ("started 1", &[]),
            (&asked("sign-in"), first),
            (&asked("sign-in-2"), again),
            ("visited 1 sign-in", &[]),
            ("visited 1 sign-in-2", &[]),
            (&text("accept"), &[]),
        ],
    )
    .await;
}

/// Whoever went is done, and need not say that they would go again.
#[tokio::test(start_paused = true)]
async fn a_page_that_is_done_ends_the_visit_while_the_user_is_asked_again() {
    let first: &[(&str, Value)] = &[("sign-in", json!({"action": "accept"}))];
    check(
        "visit",
        &[
            ("started 1", &[]),
            (&asked("sign-in"), first),
            (&asked("sign-in-2"), &[]),
            ("visited 1 sign-in", &[]),
            (&text("accept"), &[]),
        ],
    )
    .await;
}

/// Unless the page was done before.
#[tokio::test(start_paused = true)]
async fn who_does_not_want_to_go_again_ends_the_visit() {
    let first: &[(&str, Value)] = &[("sign-in", json!({"action": "accept"}))];
    let again: &[(&str, Value)] = &[("sign-in-2", json!({"action": "cancel"}))];
    check(
        "visit",
        &[
            ("started 1", &[]),
            (&asked("sign-in"), first),
            (&asked("sign-in-2"), again),
            (&text("cancel"), &[]),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_sent_to_a_page_for_ever() {
    let mut hub = Hub::new();
    let never = |ctx: Ctx| async move {
        let visit = Visit::new("sign-in", "Sign in", "https://x.example/s");
        let visited = ctx.visit(&visit, std::future::pending::<()>()).await;
        format!("{visited:?}")
    };
    let server = Server::new("test", "1").tool("never", "", never);
    let (_running, mut link) = hub.start(hub.worker(server)).await;
    link.call(1, "never", json!({})).await;
    assert_eq!(link.said().await, "started 1");
    for round in 1..=Visit::ROUNDS_MAX {
        let key = match round {
            1 => "sign-in".to_owned(),
            _ => format!("sign-in-{round}"),
        };
        assert_eq!(link.said().await, asked(&key));
        link.answer(1, &key, json!({"action": "accept"})).await;
    }
    assert_eq!(link.said().await, text("Err(TimedOut)"));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_want_to_go_is_not_waited_for() {
    let declined: &[(&str, Value)] = &[("sign-in", json!({"action": "decline"}))];
    check(
        "visit",
        &[
            ("started 1", &[]),
            (&asked("sign-in"), declined),
            (&text("decline"), &[]),
        ],
    )
    .await;
}

/// The pages of this test are visited by its own hand.
async fn link(ctx: Ctx, visitors: Visitors<&'static str>) -> Result<String, ToolError> {
    let invitation = visitors.invite(&ctx);
    let url = format!("https://x.example/?state={}", invitation.state());
    let visit = Visit::new("link", "Link", &url);
    let linked = ctx.visit(&visit, invitation).await?;
    Ok(linked.accepted().unwrap_or("nothing").to_owned())
}

/// [SP-4]
#[tokio::test(start_paused = true)]
async fn only_who_was_invited_is_admitted_and_once() {
    let visitors = Visitors::new();
    let inside = visitors.clone();
    let server =
        Server::new("test", "1").tool("link", "", move |ctx: Ctx| link(ctx, inside.clone()));
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server)).await;
    let ann = wire::CallerAssertion {
        subject: "ann".to_owned(),
        ..wire::CallerAssertion::default()
    };
    link.call_with(1, "link", json!({}), |call| call.caller = Some(ann))
        .await;
    assert_eq!(link.said().await, "started 1");
    let asked = link.said().await;
    let state = asked
        .split("state=")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let state = state.expect("a state in the URL");
    assert_eq!(state.len(), 22, "128 bits");
    let admit = |state: &str, user: &str| {
        visitors.admit(state, |invited| invited.subject == user, "an account")
    };
    assert_eq!(admit("made-up", "ann"), Err(Stranger));
    assert_eq!(admit(state, "mallory"), Err(Stranger));
    assert_eq!(admit(state, "ann"), Ok(()));
    assert_eq!(admit(state, "ann"), Err(Stranger));
    link.answer(1, "link", json!({"action": "accept"})).await;
    assert_eq!(link.said().await, "visited 1 link");
    assert_eq!(link.said().await, text("an account"));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_go_is_no_longer_expected() {
    let visitors = Visitors::new();
    let inside = visitors.clone();
    let server =
        Server::new("test", "1").tool("link", "", move |ctx: Ctx| link(ctx, inside.clone()));
    let mut hub = Hub::new();
    let (_running, mut link) = hub.start(hub.worker(server)).await;
    link.call(1, "link", json!({})).await;
    assert_eq!(link.said().await, "started 1");
    let asked = link.said().await;
    let state = asked
        .split("state=")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    link.answer(1, "link", json!({"action": "decline"})).await;
    assert_eq!(link.said().await, text("nothing"));
    let late = visitors.admit(state.expect("a state"), |_| true, "an account");
    assert_eq!(late, Err(Stranger));
}
