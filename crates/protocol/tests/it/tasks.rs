//! Tasks of the modern extension.

use std::time::Duration;

use ostler_protocol::{
    Raw,
    call::{Failure, Question, QuestionKind},
    notify, reply,
    task::{self, TaskState, TaskView},
};
use ostler_types::Timestamp;
use serde_json::Value;

use crate::golden::{MODERN, Sheet, id, shaped};

fn view(state: TaskState) -> TaskView {
    TaskView {
        id: "task-1".into(),
        state,
        status_message: Some("3 of 4".into()),
        created_at: Timestamp(1_785_229_503_007),
        updated_at: Timestamp(1_785_229_504_000),
        ttl: Some(Duration::from_secs(60)),
        poll_interval: Some(Duration::from_millis(500)),
    }
}

fn states() -> Vec<(&'static str, TaskState)> {
    let result = |text| TaskState::Completed(Raw::from_static(text));
    let question = Question {
        key: "confirm".into(),
        kind: QuestionKind::ElicitForm,
        params: Raw::from_static(
            r#"{"mode":"form","message":"Sure?","requestedSchema":{"type":"object","properties":{"confirm":{"type":"boolean"}},"required":["confirm"]}}"#,
        ),
    };
    let protocol = Failure::Protocol {
        code: -31999,
        message: "no".into(),
        data: Some(Raw::from_static("[1]")),
    };
    vec![
        ("working", TaskState::Working),
        ("waiting", TaskState::InputRequired(vec![question])),
        (
            "done",
            result(r#"{"content":[{"type":"text","text":"x"}]}"#),
        ),
        (
            "done with isError",
            result(
                r#"{"content":[],"isError":true,"_meta":{"io.modelcontextprotocol/related-task":{}}}"#,
            ),
        ),
        ("done with a bad result", result(r#"{"content":{}}"#)),
        ("failed", TaskState::Failed(protocol)),
        ("cancelled", TaskState::Cancelled),
    ]
}

#[test]
fn a_handle_is_flat_and_carries_no_payload() {
    let mut sheet = Sheet::default();
    for (name, state) in states() {
        let message = shaped(MODERN, |shape| task::created(shape, &id(), &view(state)));
        sheet.task_result(name, "CreateTaskResult", &message);
        let value: Value = serde_json::from_slice(&message).expect("JSON");
        for absent in ["task", "result", "error", "inputRequests", "requestState"] {
            assert!(value["result"].get(absent).is_none(), "{name} has {absent}");
        }
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn a_task_shows_its_whole_state_to_get_and_listen() {
    let mut sheet = Sheet::default();
    for (name, state) in states() {
        let view = view(state);
        shaped(MODERN, |shape| {
            let get = task::get(shape, &id(), &view);
            sheet.task_result(name, "GetTaskResult", &get);
            let told = notify::task_status(shape, &id(), &view);
            sheet.task_message(name, "TaskStatusNotification", &told);
        });
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
    let message = shaped(MODERN, |shape| task::get(shape, &id(), &view));
    sheet.task_result("for ever", "GetTaskResult", &message);
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn update_and_cancel_are_acknowledged_with_nothing_but_the_type() {
    let mut sheet = Sheet::default();
    let ack = shaped(MODERN, |shape| reply::empty(shape, &id()));
    sheet.task_result("update", "UpdateTaskResult", &ack);
    sheet.task_result("cancel", "CancelTaskResult", &ack);
    insta::assert_snapshot!(sheet.text());
}
