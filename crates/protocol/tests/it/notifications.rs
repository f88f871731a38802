//! Notifications.

use ostler_protocol::{
    Raw, RequestId,
    call::{Log, LogLevel, Progress},
    inbound::{ListKind, ListenFilter},
    notify,
};

use crate::golden::{BOTH, LEGACY, MODERN, Sheet};

/// [SP-5]
#[test]
fn the_end_of_a_visit_is_told_where_visits_have_ids() {
    let told = notify::elicitation_complete(LEGACY, "e-1").expect("it has ids");
    let definition = "ElicitationCompleteNotification";
    Sheet::default().message("complete", LEGACY, definition, &told);
    let text = r#"{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e-1"}}"#;
    assert_eq!(told, text);
    assert_eq!(notify::elicitation_complete(MODERN, "e-1"), None);
}

#[test]
fn progress_and_logs_follow_their_request() {
    let mut sheet = Sheet::default();
    for revision in BOTH {
        let token = Raw::from_static("\"tok\"");
        let mut progress = Progress {
            progress: 50.0,
            total: Some(100.0),
            message: Some("half\nway".into()),
        };
        let message = notify::progress(&token, &progress, revision);
        sheet.message("progress", revision, "ProgressNotification", &message);
        progress = Progress {
            progress: 0.25,
            total: None,
            message: None,
        };
        let message = notify::progress(&Raw::from_static("0"), &progress, revision);
        sheet.message("progress, bare", revision, "ProgressNotification", &message);
        for (logger, data) in [
            (None, "\"x\""),
            (Some("db"), r#"{"n":12345678901234567890}"#),
        ] {
            let log = Log {
                level: LogLevel::Warning,
                logger: logger.map(str::to_owned),
                data: Raw::from_static(data),
            };
            let message = notify::log(&log);
            sheet.message("log", revision, "LoggingMessageNotification", &message);
        }
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn changes_carry_the_id_of_their_listen() {
    let mut sheet = Sheet::default();
    let lists = [
        (ListKind::Tools, "ToolListChangedNotification"),
        (ListKind::Prompts, "PromptListChangedNotification"),
        (ListKind::Resources, "ResourceListChangedNotification"),
        (ListKind::Templates, "ResourceListChangedNotification"),
    ];
    for (revision, token) in [(LEGACY, None), (MODERN, Some("0")), (MODERN, Some("\"\""))] {
        let id = token.map(|token| RequestId::from_token(token).expect("an id"));
        for (kind, definition) in lists {
            let message = notify::list_changed(kind, id.as_ref());
            sheet.message("list changed", revision, definition, &message);
        }
        let message = notify::resource_updated("test://a", id.as_ref());
        sheet.message("updated", revision, "ResourceUpdatedNotification", &message);
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn a_listen_is_acknowledged_with_what_is_honored() {
    let mut sheet = Sheet::default();
    let definition = "SubscriptionsAcknowledgedNotification";
    let id = RequestId::from_token("\"listen\"").expect("an id");
    let all = ListenFilter {
        tools: true,
        prompts: true,
        resources: true,
        uris: vec!["test://a".into(), "test://b".into()],
        tasks: Some(vec!["t1".into()]),
    };
    for (name, filter) in [("everything", all), ("nothing", ListenFilter::default())] {
        let message = notify::acknowledged(&id, &filter);
        sheet.message(name, MODERN, definition, &message);
    }
    insta::assert_snapshot!(sheet.text());
}

#[test]
fn we_cancel_requests_of_ours_by_their_id() {
    let mut sheet = Sheet::default();
    for reason in [None, Some("nobody answered")] {
        let message = notify::cancelled("s1", reason);
        sheet.message("cancelled", LEGACY, "CancelledNotification", &message);
    }
    insta::assert_snapshot!(sheet.text());
}
