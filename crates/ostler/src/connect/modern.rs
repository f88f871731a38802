//! A modern request: everything it needs is in it, and in the headers that repeat a part of it.

use bytes::Bytes;
use ostler_client::{Error, Reply, RpcError, Verb, code, mirrors, object, text_member};
use ostler_protocol::{Raw, RequestId, sse::decode::Frame};

use super::{
    exchange::{Request, body},
    message::{self, Kind, Message},
    session::nowhere,
    shared::{Shared, received},
    stream::{self, Reading, is_message},
    trouble::{self, text},
};

/// Pages of a list of tools that are read to learn one tool's headers.
const PAGES_MAX: usize = 100;
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

pub async fn run(shared: &Shared, request: &Request, revision: &str) -> Result<(), Error> {
    if request.method == "subscriptions/listen" {
        return listen(shared, request, revision).await;
    }
    let mut attempts = 0;
    let mut has_learned = false;
    loop {
        match once(shared, request, revision).await {
            // Headers are missing that a list would have told of ([HDR-11]).
            Err(Error::Rpc(error)) if is_mismatch(&error) && !has_learned => {
                has_learned = true;
                if let Err(why) = learn(shared, request, revision).await {
                    tracing::warn!(error = text(&why), "the headers of a tool are not known");
                    // It did not run, which only the remote's own answer says.
                    return Err(Error::Rpc(error));
                }
            }
            Err(error)
                if shared
                    .tries_again(&error, &request.method, &mut attempts)
                    .await => {}
            ended => return ended.map_err(nowhere),
        }
    }
}

fn is_mismatch(error: &RpcError) -> bool {
    error.code == code::HEADER_MISMATCH
}

async fn once(shared: &Shared, request: &Request, revision: &str) -> Result<(), Error> {
    let reply = post(shared, &request.message, &request.method, revision).await?;
    match reply.is_stream() {
        true => {
            let mut reading = Reading::new(shared, None, Some(&request.id));
            reading.carry(reply.events()).await
        }
        false => body(shared, None, request, reply).await,
    }
}

async fn post(
    shared: &Shared,
    message: &Message,
    method: &str,
    revision: &str,
) -> Result<Reply, Error> {
    let params = message.params();
    let arguments = match method {
        "tools/call" => shared.schemas.mirrors(&params),
        _ => Vec::new(),
    };
    let fixed = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", revision),
    ];
    let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let repeated = mirrors(method, &params).into_iter().chain(arguments);
    let headers: Vec<_> = fixed.into_iter().chain(repeated).collect();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let body: Bytes = message.raw.bytes().clone();
    let reply = shared.http.send(Verb::Post, &headers, body).await?;
    match reply.status() {
        200 => Ok(reply),
        _ => Err(reply.refusal().await),
    }
}

/// Lists the tools for ourselves, as the host would.
async fn learn(shared: &Shared, request: &Request, revision: &str) -> Result<(), Error> {
    let meta = request.message.params().get("_meta").unwrap_or_default();
    let meta = object(meta.members().filter(|(name, _)| name != "progressToken"));
    let mut cursor: Option<String> = None;
    for page in 0..PAGES_MAX {
        // Not one of the host's, which counts its own.
        let id = RequestId::from_token(&format!("\"ostler-tools-{page}\""));
        let id = id.expect("a string is an id");
        let at = cursor
            .as_deref()
            .map(|cursor| ("cursor", Raw::from_text(cursor)));
        let params = object([("_meta", meta.clone())].into_iter().chain(at));
        let method = "tools/list";
        let message = Message {
            raw: message::request(&id, method, params),
            kind: Kind::Request {
                id,
                method: method.to_owned(),
            },
        };
        let reply = post(shared, &message, method, revision).await?;
        let response = stream::response(shared, reply).await?;
        let result = stream::result(&response)?;
        // What a host is shown of it is of no interest here.
        drop(shared.schemas.learn(response));
        cursor = text_member(&result, "nextCursor");
        if cursor.is_none() {
            break;
        }
    }
    Ok(())
}

/// A listen stays open until the host closes it: one that ended at the remote is opened again.
async fn listen(shared: &Shared, request: &Request, revision: &str) -> Result<(), Error> {
    let limits = &shared.limits;
    let (mut attempts, mut failures) = (0, 0);
    let mut is_known = false;
    loop {
        let began = shared.env.now();
        match heard(shared, request, revision, &mut is_known).await {
            Ok(()) if !shared.flights.is_open(&request.id) => return Ok(()),
            Ok(()) | Err(Error::Broken { .. }) if is_known => {}
            Err(error) if is_known && may_come_back(&error) => {}
            Err(error)
                if shared
                    .tries_again(&error, &request.method, &mut attempts)
                    .await =>
            {
                continue;
            }
            Err(error) => return Err(nowhere(error)),
            Ok(()) => return Err(stream::no_answer()),
        }
        if shared.env.now().since(began) >= limits.retry_max {
            failures = 0;
        }
        if failures >= limits.resumptions_max {
            return Err(stream::lost("the listen could not be opened again"));
        }
        shared.env.sleep(limits.pause(None, failures)).await;
        failures += 1;
    }
}

fn may_come_back(error: &Error) -> bool {
    trouble::may_repeat(error, true)
}

/// One response to a listen. `is_known`: the host was told that it listens.
async fn heard(
    shared: &Shared,
    request: &Request,
    revision: &str,
    is_known: &mut bool,
) -> Result<(), Error> {
    let reply = post(shared, &request.message, &request.method, revision).await?;
    if !reply.is_stream() {
        return body(shared, None, request, reply).await;
    }
    let mut events = reply.events();
    while let Some(frame) = events.next_frame().await? {
        let Frame::Event(event) = frame else { continue };
        if !is_message(&event) {
            continue;
        }
        for message in received(event.data)? {
            match &message.kind {
                // It ends at the remote, as when that drains ([L-6]); the host still listens.
                Kind::Response { .. } if message.raw.get("result").is_some() && *is_known => {
                    return Ok(());
                }
                Kind::Notification { method } if is_acknowledgment(method) && *is_known => {
                    tell_of_changes(shared, &request.id, &message).await;
                }
                Kind::Notification { method } => {
                    *is_known |= is_acknowledgment(method);
                    shared.deliver_one(message, None).await;
                }
                Kind::Request { .. } | Kind::Response { .. } => {
                    shared.deliver_one(message, Some(&request.id)).await;
                }
            }
        }
    }
    Ok(())
}

fn is_acknowledgment(method: &str) -> bool {
    method == "notifications/subscriptions/acknowledged"
}

/// What changed while nobody listened is not told ([L-9]), so all may have changed that is listened
/// for again.
async fn tell_of_changes(shared: &Shared, id: &RequestId, acknowledged: &Message) {
    let honored = acknowledged
        .params()
        .get("notifications")
        .unwrap_or_default();
    let meta = || ("_meta", object([(SUBSCRIPTION, id.to_raw())]));
    for (wanted, method) in [
        ("toolsListChanged", "notifications/tools/list_changed"),
        ("promptsListChanged", "notifications/prompts/list_changed"),
        (
            "resourcesListChanged",
            "notifications/resources/list_changed",
        ),
    ] {
        if honored.get(wanted).and_then(|raw| raw.boolean()) == Some(true) {
            let change = message::notification(method, object([meta()]));
            shared.out.write(change).await;
        }
    }
    let uris = honored.get("resourceSubscriptions").unwrap_or_default();
    for uri in uris.elements() {
        let params = object([("uri", uri), meta()]);
        let change = message::notification("notifications/resources/updated", params);
        shared.out.write(change).await;
    }
}
