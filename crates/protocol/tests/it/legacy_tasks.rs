//! Tasks in the dialect of 2025-11-25.

use std::time::Duration;

use ostler_protocol::{
    Raw, ask,
    call::{Failure, Log, LogLevel, Outcome, Progress, Question, QuestionKind},
    notify, reply,
    task::{TaskState, TaskView, legacy},
};
use ostler_types::{CallKind, Timestamp};

use crate::golden::{LEGACY, Sheet, id, shaped};

const TASK: &str = "task-1";

fn view(state: TaskState) -> TaskView {
    TaskView {
        id: TASK.into(),
        state,
        status_message: Some("3 of 4".into()),
        created_at: Timestamp(1_785_229_503_007),
        updated_at: Timestamp(1_785_229_504_000),
        ttl: Some(Duration::from_secs(60)),
        poll_interval: Some(Duration::from_millis(500)),
    }
}

fn question() -> Question {
    Question {
        key: "confirm".into(),
        kind: QuestionKind::ElicitForm,
        params: Raw::from_static(
            r#"{"message":"Sure?","requestedSchema":{"type":"object","properties":{"confirm":{"type":"boolean"}}}}"#,
        ),
    }
}

fn states() -> Vec<(&'static str, TaskState)> {
    let result = |text| TaskState::Completed(Raw::from_static(text));
    vec![
        ("working", TaskState::Working),
        ("waiting", TaskState::InputRequired(vec![question()])),
        (
            "done",
            result(r#"{"content":[{"type":"text","text":"x"}]}"#),
        ),
        (
            "done with isError",
            result(r#"{"content":[{"type":"text","text":"it broke"}],"isError":true}"#),
        ),
        ("failed", TaskState::Failed(Failure::Deadline)),
        ("timed out", TaskState::Failed(Failure::TimedOut)),
        ("cancelled", TaskState::Cancelled),
    ]
}

#[test]
fn a_handle_is_nested_and_always_working() {
    let mut sheet = Sheet::default();
    for (name, state) in states() {
        let message = shaped(LEGACY, |shape| legacy::created(shape, &id(), &view(state)));
        sheet.result(name, LEGACY, "CreateTaskResult", &message);
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn a_task_shows_its_status_and_never_its_result() {
    let mut sheet = Sheet::default();
    for (name, state) in states() {
        let view = view(state);
        let get = shaped(LEGACY, |shape| legacy::get(shape, &id(), &view));
        sheet.result(name, LEGACY, "GetTaskResult", &get);
        sheet.result(name, LEGACY, "CancelTaskResult", &get);
        let told = legacy::status(&view);
        sheet.message(name, LEGACY, "TaskStatusNotification", &told);
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn a_task_kept_for_ever_has_a_ttl_of_null() {
    let mut sheet = Sheet::default();
    let view = TaskView {
        ttl: None,
        poll_interval: None,
        status_message: None,
        ..view(TaskState::Working)
    };
    let message = shaped(LEGACY, |shape| legacy::get(shape, &id(), &view));
    sheet.result("for ever", LEGACY, "GetTaskResult", &message);
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn the_result_of_a_task_is_that_of_its_call_and_names_the_task() {
    let mut sheet = Sheet::default();
    let outcome = |outcome: Outcome| {
        let message = shaped(LEGACY, |shape| {
            reply::outcome(shape, &id(), CallKind::Tool, "t", &outcome)
        });
        legacy::relate(&message, TASK)
    };
    for (name, result) in [
        ("plain", r#"{"content":[{"type":"text","text":"x"}]}"#),
        ("with meta", r#"{"content":[],"_meta":{"com.acme/a":1}}"#),
        ("with isError", r#"{"content":[],"isError":true}"#),
        (
            "forged",
            r#"{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"other"}}}"#,
        ),
    ] {
        let message = outcome(Ok(Raw::from_static(result)));
        sheet.result(name, LEGACY, "CallToolResult", &message);
        sheet.result(name, LEGACY, "GetTaskPayloadResult", &message);
    }
    let timed_out = outcome(Err(Failure::TimedOut));
    sheet.result("timed out", LEGACY, "CallToolResult", &timed_out);
    let failed = outcome(Err(Failure::Deadline));
    sheet.message("failed", LEGACY, "JSONRPCErrorResponse", &failed);
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn what_is_said_on_the_way_names_the_task() {
    let mut sheet = Sheet::default();
    let mut add = |name, definition, message| {
        let related = legacy::relate(&message, TASK);
        sheet.message(name, LEGACY, definition, &related);
    };
    add(
        "asked",
        "ElicitRequest",
        ask::to_request(LEGACY, "srv-1-1", || "e-1".to_owned(), &question()),
    );
    let roots = Question {
        key: "roots".into(),
        kind: QuestionKind::Roots,
        params: Raw::from_static("{}"),
    };
    add(
        "roots",
        "ListRootsRequest",
        ask::to_request(LEGACY, "srv-1-2", || "e-2".to_owned(), &roots),
    );
    let withdrawn = notify::cancelled("srv-1-1", Some("the request ended"));
    add("withdrawn", "CancelledNotification", withdrawn);
    let progress = Progress {
        progress: 1.0,
        total: Some(2.0),
        message: Some("half".into()),
    };
    let progress = notify::progress(&Raw::from_static("\"p\""), &progress, LEGACY);
    add("progress", "ProgressNotification", progress);
    let log = Log {
        level: LogLevel::Info,
        logger: None,
        data: Raw::from_static("{}"),
    };
    add("log", "LoggingMessageNotification", notify::log(&log));
    insta::assert_snapshot!(sheet.text());
}
