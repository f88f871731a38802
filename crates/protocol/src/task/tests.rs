use super::*;

fn check(outcome: Outcome, expected: TaskStatus) {
    assert_eq!(TaskState::of_outcome(outcome).status(), expected);
}

#[test]
fn an_outcome_decides_how_a_task_ends() {
    let result = |text| Ok(Raw::from_static(text));
    check(result(r#"{"content":[]}"#), TaskStatus::Completed);
    let is_error = result(r#"{"content":[],"isError":true}"#);
    check(is_error, TaskStatus::Completed);
    check(result("{}"), TaskStatus::Failed);
    check(Err(Failure::Deadline), TaskStatus::Failed);
    check(Err(Failure::Cancelled), TaskStatus::Cancelled);
}

#[test]
fn an_ended_task_will_not_change() {
    for (status, is_terminal) in [
        (TaskStatus::Working, false),
        (TaskStatus::InputRequired, false),
        (TaskStatus::Completed, true),
        (TaskStatus::Failed, true),
        (TaskStatus::Cancelled, true),
    ] {
        assert_eq!(status.is_terminal(), is_terminal, "{}", status.as_str());
    }
}
