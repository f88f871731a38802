//! The tasks extension: following a call by its handle. protocol.md section 7.

use std::collections::BTreeMap;

use bytes::Bytes;
use ostler_protocol::{
    RequestId, Revision,
    facet::{Capability, ClientFacet},
    fault::Fault,
    json::Raw,
    reply::{self, Shape},
    task,
};

use crate::{lists, routes::Exchange};

pub async fn get(
    exchange: &Exchange,
    revision: Revision,
    id: &RequestId,
    facet: ClientFacet,
    task: &str,
) -> Result<Bytes, Fault> {
    declared(facet)?;
    let view = exchange
        .edge
        .tasks
        .get(&exchange.caller, &exchange.server, task)
        .await?;
    with_shape(exchange, revision, |shape| task::get(shape, id, &view))
}

pub async fn update(
    exchange: &Exchange,
    revision: Revision,
    id: &RequestId,
    facet: ClientFacet,
    task: &str,
    answers: BTreeMap<String, Raw>,
) -> Result<Bytes, Fault> {
    declared(facet)?;
    exchange
        .edge
        .tasks
        .update(&exchange.caller, &exchange.server, task, answers)
        .await?;
    with_shape(exchange, revision, |shape| reply::empty(shape, id))
}

pub async fn cancel(
    exchange: &Exchange,
    revision: Revision,
    id: &RequestId,
    facet: ClientFacet,
    task: &str,
) -> Result<Bytes, Fault> {
    declared(facet)?;
    exchange
        .edge
        .tasks
        .cancel(&exchange.caller, &exchange.server, task)
        .await?;
    with_shape(exchange, revision, |shape| reply::empty(shape, id))
}

/// Before the id is looked at [TK-4].
fn declared(facet: ClientFacet) -> Result<(), Fault> {
    match facet.tasks {
        true => Ok(()),
        false => Err(Fault::MissingCapability(vec![Capability::Tasks])),
    }
}

/// A task outlives its Server's workers: without any, the Server goes unnamed.
fn with_shape(
    exchange: &Exchange,
    revision: Revision,
    write: impl FnOnce(&Shape<'_>) -> Bytes,
) -> Result<Bytes, Fault> {
    let nameless = lists::nameless();
    let snapshot = lists::snapshot(exchange).ok();
    let server_info = snapshot
        .as_ref()
        .map_or(&nameless, |snapshot| &snapshot.server_info);
    Ok(write(&Shape {
        revision,
        server_info,
    }))
}
