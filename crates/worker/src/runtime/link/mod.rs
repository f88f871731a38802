//! The link to one node: dial, greet, read frames, and begin again when it breaks.

mod serve;

use std::{sync::Arc, time::Duration};

use ostler_rpc::{
    FRAME_BYTES_MAX, PROTOCOL_MAX, PROTOCOL_MIN,
    convert::BadFrame,
    transfer::BadPart,
    worker_v1::{
        self as wire, ToWorker, from_worker::Frame, to_worker::Frame as Inbound,
        workers_client::WorkersClient,
    },
};
use tonic::{Code, Status, Streaming, transport::Channel};

use self::serve::Link;
use super::{
    calls::Known,
    outbox::{Lifeline, Outbox, Outgoing},
    shared::{Phase, Shared},
    worker::WorkerError,
};

/// A node answers the `Hello` within this time.
const WELCOME_MAX: Duration = Duration::from_secs(10);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkEnd {
    #[error("cannot reach the node: {0}")]
    Dial(String),
    #[error("the node refused the link: {0}")]
    Refused(Status),
    #[error("the link broke: {0}")]
    Broken(Status),
    #[error("the node ended the link")]
    Closed,
    #[error("the node fell silent")]
    Silent,
    #[error("the node breaks the protocol: {0}")]
    Part(#[from] BadPart),
    #[error("the node breaks the protocol: {0}")]
    Frame(#[from] BadFrame),
    #[error("the node breaks the protocol: {0}")]
    Protocol(&'static str),
}

/// Keeps one node linked until the worker ends. An error only for a node that refuses this
/// worker's credential before any node took it: nothing but a person can help then.
pub(crate) async fn run(shared: Arc<Shared>, hub: String) -> Result<(), WorkerError> {
    let mut retries = 0;
    while shared.phase() != Phase::Closing {
        let end = match greet(&shared, &hub).await {
            Ok((link, frames)) => {
                retries = 0;
                link.serve(frames).await
            }
            Err(end) => end,
        };
        match end {
            _ if shared.phase() == Phase::Closing => break,
            LinkEnd::Refused(status) if !shared.was_ever_welcomed() && is_final(&status) => {
                let why = status.message().to_owned();
                return Err(WorkerError::Refused { hub, why });
            }
            end => tracing::warn!(%hub, why = %end, "not linked"),
        }
        shared.pause(retry_delay(&shared, retries)).await;
        retries += 1;
    }
    Ok(())
}

fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument
    )
}

/// Exponential, with jitter, so that the workers of a lost node do not all come at once.
fn retry_delay(shared: &Shared, retries: u32) -> Duration {
    let full = RETRY_MAX.min(RETRY_MIN * 2_u32.saturating_pow(retries.min(16)));
    let share = (shared.env.random_u64() % 1000) as u32;
    full / 2 + full / 2 * share / 1000
}

async fn greet(shared: &Arc<Shared>, hub: &str) -> Result<(Link, Streaming<ToWorker>), LinkEnd> {
    let channel = shared.dial(hub).await.map_err(LinkEnd::Dial)?;
    let Known {
        calls,
        truncated,
        adrift,
    } = shared.calls.known();
    // Looked at before the catalogs are, so that no change falls in between.
    let changes: Vec<_> = shared.offers.iter().map(|o| o.server.changes()).collect();
    let outbox = Outbox::new();
    let lifeline = Lifeline(outbox.clone());
    outbox.hello(|writer| Frame::Hello(shared.hello(writer, calls, truncated)));
    let attached = attach(shared, channel, outbox.clone());
    let welcome = shared.env.now() + WELCOME_MAX;
    let attached = shared.env.until(welcome, attached).await;
    let (welcome, frames) = attached.ok_or(LinkEnd::Silent)??;
    if !(PROTOCOL_MIN..=PROTOCOL_MAX).contains(&welcome.protocol) {
        return Err(LinkEnd::Protocol("no common version"));
    }
    for refusal in &welcome.refusals {
        warn_refusal(hub, refusal);
    }
    outbox.welcomed(welcome.byte_credit, adrift.len());
    shared.calls.attach(&outbox, &adrift);
    shared.linked(&outbox);
    tracing::info!(%hub, worker = %shared.id, "linked");
    let link = Link::new(shared.clone(), lifeline, &welcome, changes);
    Ok((link, frames))
}

async fn attach(
    shared: &Shared,
    channel: Channel,
    outbox: Arc<Outbox>,
) -> Result<(wire::Welcome, Streaming<ToWorker>), LinkEnd> {
    let mut client = WorkersClient::new(channel)
        .max_decoding_message_size(FRAME_BYTES_MAX)
        .max_encoding_message_size(FRAME_BYTES_MAX);
    let mut request = tonic::Request::new(Outgoing(outbox));
    if let Some(token) = &shared.bearer {
        request
            .metadata_mut()
            .insert("authorization", token.clone());
    }
    let response = client.attach(request).await.map_err(LinkEnd::Refused)?;
    let mut frames = response.into_inner();
    let first = frames.message().await.map_err(LinkEnd::Refused)?;
    match first.ok_or(LinkEnd::Closed)?.frame {
        Some(Inbound::Welcome(welcome)) => Ok((welcome, frames)),
        _ => Err(LinkEnd::Protocol("the first frame is no welcome")),
    }
}

fn warn_refusal(hub: &str, refusal: &wire::EntryRefusal) {
    let wire::EntryRefusal {
        kind, name, reason, ..
    } = refusal;
    tracing::warn!(%hub, kind, name, reason, "the node did not take an entry");
}
