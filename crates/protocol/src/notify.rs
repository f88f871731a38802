//! Notifications, ready to send. On a listen stream each carries the id of its subscription,
//! byte for byte as the client wrote it [L-3].

use bytes::Bytes;

use crate::{
    call::{Log, Progress},
    id::RequestId,
    inbound::{ListKind, ListenFilter},
    json::Raw,
    reply::Shape,
    revision::Revision,
    task::TaskView,
    write::{Writer, notification},
};

/// The `_meta` key that ties a message to a listen.
pub(crate) const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";

/// Progress of a request, under the token the client gave it [P-7]. The numbers must be
/// finite; [`Relay`](crate::relay::Relay) sees to it.
pub fn progress(token: &Raw, progress: &Progress, revision: Revision) -> Bytes {
    let message = progress.message.as_deref();
    let bytes = 96 + token.as_str().len() + message.map_or(0, str::len);
    notification("notifications/progress", bytes, |writer| {
        writer.raw_member("progressToken", token.as_str());
        writer.name("progress");
        writer.float(progress.progress);
        if let Some(total) = progress.total {
            writer.name("total");
            writer.float(total);
        }
        if let Some(message) = message.filter(|_| revision.has_progress_message()) {
            writer.string_member("message", message);
        }
    })
}

/// A log message of a call [P-6].
pub fn log(log: &Log) -> Bytes {
    let data = log.data.as_str();
    notification("notifications/message", 64 + data.len(), |writer| {
        writer.string_member("level", log.level.as_str());
        if let Some(logger) = &log.logger {
            writer.string_member("logger", logger);
        }
        writer.raw_member("data", data);
    })
}

/// A list changed [LC-1]. Resources, their templates and skills share one notification.
pub fn list_changed(kind: ListKind, subscription: Option<&RequestId>) -> Bytes {
    let method = match kind {
        ListKind::Tools => "notifications/tools/list_changed",
        ListKind::Prompts => "notifications/prompts/list_changed",
        ListKind::Resources | ListKind::Templates | ListKind::Skills => {
            "notifications/resources/list_changed"
        }
    };
    notification(method, 96, |writer| subscription_meta(writer, subscription))
}

/// A resource the client watches changed.
pub fn resource_updated(uri: &str, subscription: Option<&RequestId>) -> Bytes {
    notification(
        "notifications/resources/updated",
        96 + uri.len(),
        |writer| {
            writer.string_member("uri", uri);
            subscription_meta(writer, subscription);
        },
    )
}

/// The first message of a listen: what of its filter is honored [L-2].
pub fn acknowledged(subscription: &RequestId, honored: &ListenFilter) -> Bytes {
    notification("notifications/subscriptions/acknowledged", 256, |writer| {
        writer.object_member("notifications", |writer| write_filter(writer, honored));
        subscription_meta(writer, Some(subscription));
    })
}

/// The whole state of a task, to a listen that follows it [TK-13].
pub fn task_status(shape: &Shape<'_>, subscription: &RequestId, task: &TaskView) -> Bytes {
    notification("notifications/tasks", 512, |writer| {
        task.write_detailed(writer, shape);
        subscription_meta(writer, Some(subscription));
    })
}

/// We no longer wait for the client's answer to this request of ours [S2C-5]. Legacy only:
/// over HTTP the newest revision has no such message towards clients [MS-6].
pub fn cancelled(server_request_id: &str, reason: Option<&str>) -> Bytes {
    notification("notifications/cancelled", 64, |writer| {
        writer.string_member("requestId", server_request_id);
        if let Some(reason) = reason {
            writer.string_member("reason", reason);
        }
    })
}

/// What the page of a URL elicitation was for is done [SP-5]; nothing for a revision that tells
/// it by the result alone.
pub fn elicitation_complete(revision: Revision, elicitation_id: &str) -> Option<Bytes> {
    let message = || {
        notification("notifications/elicitation/complete", 64, |writer| {
            writer.string_member("elicitationId", elicitation_id);
        })
    };
    revision.has_elicitation_ids().then(message)
}

fn write_filter(writer: &mut Writer, filter: &ListenFilter) {
    let lists = [
        ("toolsListChanged", filter.tools),
        ("promptsListChanged", filter.prompts),
        ("resourcesListChanged", filter.resources),
    ];
    for (name, _) in lists.into_iter().filter(|(_, wanted)| *wanted) {
        writer.bool_member(name, true);
    }
    if !filter.uris.is_empty() {
        writer.strings_member("resourceSubscriptions", &filter.uris);
    }
    if let Some(tasks) = &filter.tasks {
        writer.strings_member("taskIds", tasks);
    }
}

fn subscription_meta(writer: &mut Writer, subscription: Option<&RequestId>) {
    let Some(id) = subscription else { return };
    writer.object_member("_meta", |writer| {
        writer.raw_member(SUBSCRIPTION_KEY, id.as_raw());
    });
}
