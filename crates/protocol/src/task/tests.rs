use super::*;

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
