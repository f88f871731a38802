//! The modern half: every request says everything (2026-07-28).
//!
//! protocol.md section 5. No session and no store is touched on the way of a plain call; what
//! outlives the request goes to `task`.

mod call;
mod flow;
mod listen;
mod tasks;

use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use ostler_protocol::{
    RequestId, Revision,
    fault::Fault,
    inbound::{ModernMethod, ModernRequest},
    reply::{self, Shape},
};

use crate::{fields::Fields, lists, rejection, routes::Exchange};

/// Answers one request. Its checks up to the method are done; see [M-9] for what is left. All but
/// the plain call are boxed, so that the call carries no room for them.
pub async fn answer(exchange: Exchange, request: ModernRequest, fields: &Fields<'_>) -> Response {
    let ModernRequest {
        id,
        revision,
        method,
        meta,
    } = request;
    let body = match method {
        ModernMethod::Call(params) => {
            return call::run(
                exchange,
                call::Request::new(id, revision, meta, params),
                fields,
            )
            .await;
        }
        ModernMethod::Complete(params) => {
            return call::run(
                exchange,
                call::Request::complete(id, revision, meta, params),
                fields,
            )
            .await;
        }
        ModernMethod::Listen(filter) => {
            let listen = listen::run(exchange, id, revision, meta.facet, filter);
            return Box::pin(listen).await;
        }
        ModernMethod::Discover => discover(&exchange, revision, &id),
        ModernMethod::List { kind, cursor } => {
            lists::page(&exchange, revision, &id, kind, cursor.as_deref())
        }
        ModernMethod::Skill { uri } => lists::skill(&exchange, revision, &id, &uri),
        ModernMethod::Directory { uri, cursor } => {
            lists::directory(&exchange, revision, &id, &uri, cursor.as_deref())
        }
        ModernMethod::TaskGet { task } => {
            Box::pin(tasks::get(&exchange, revision, &id, meta.facet, &task)).await
        }
        ModernMethod::TaskUpdate { task, answers } => {
            let update = tasks::update(&exchange, revision, &id, meta.facet, &task, answers);
            Box::pin(update).await
        }
        ModernMethod::TaskCancel { task } => {
            Box::pin(tasks::cancel(&exchange, revision, &id, meta.facet, &task)).await
        }
    };
    match body {
        Ok(body) => rejection::json(StatusCode::OK, body),
        Err(fault) => failed(&exchange, revision, &id, &fault),
    }
}

fn failed(exchange: &Exchange, revision: Revision, id: &RequestId, fault: &Fault) -> Response {
    exchange.edge.metrics.refused(rejection::reason(fault));
    rejection::failed(revision, id, fault)
}

/// `server/discover` [D-1].
fn discover(exchange: &Exchange, revision: Revision, id: &RequestId) -> Result<Bytes, Fault> {
    let snapshot = lists::snapshot(exchange)?;
    let shape = Shape {
        revision,
        server_info: &snapshot.server_info,
    };
    let capabilities = lists::capabilities(&snapshot);
    Ok(reply::discover(
        &shape,
        id,
        capabilities,
        snapshot.instructions.as_deref(),
    ))
}
