//! `subscriptions/listen`: an open stream of changes [L-1] to [L-10].

use axum::response::Response;
use bytes::Bytes;
use futures_util::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use ostler_catalog::{ChangeWatch, Changes, Snapshot};
use ostler_dispatch::Refusal;
use ostler_hub::Watch;
use ostler_protocol::{
    RequestId, Revision,
    facet::{Capability, ClientFacet},
    fault::Fault,
    inbound::{ListKind, ListenFilter},
    json::Raw,
    notify,
    reply::{self, Shape},
};
use ostler_task::TaskUpdates;
use tokio_util::sync::CancellationToken;

use super::failed;
use crate::{listens::Place, lists, metrics::StreamKind, rejection, routes::Exchange};

pub async fn run(
    exchange: Exchange,
    id: RequestId,
    revision: Revision,
    facet: ClientFacet,
    filter: ListenFilter,
) -> Response {
    match Listen::open(&exchange, &id, revision, facet, filter).await {
        Ok(listen) => {
            let identity = exchange.caller.identity.clone();
            let body =
                exchange
                    .edge
                    .streams
                    .body(StreamKind::Listen, listen.into_stream(), &identity);
            rejection::event_stream(body)
        }
        Err(fault) => failed(&exchange, revision, &id, &fault),
    }
}

/// One open listen.
struct Listen {
    id: RequestId,
    revision: Revision,
    server_info: Raw,
    honored: ListenFilter,
    changes: ChangeWatch,
    updates: FuturesUnordered<BoxFuture<'static, (String, Watch)>>,
    tasks: Option<TaskUpdates>,
    drained: CancellationToken,
    phase: Phase,
    _place: Place,
}

/// What the stream says next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Acknowledge,
    Follow,
    Ended,
}

/// Something to tell.
enum News {
    Lists(Changes),
    Resource(String, Watch),
    Task(Box<ostler_protocol::task::TaskView>),
    Drained,
}

impl Listen {
    async fn open(
        exchange: &Exchange,
        id: &RequestId,
        revision: Revision,
        facet: ClientFacet,
        filter: ListenFilter,
    ) -> Result<Self, Fault> {
        let Exchange {
            edge,
            caller,
            server,
        } = exchange;
        if edge.is_draining() {
            return Err(Fault::Draining);
        }
        if filter.tasks.is_some() && !facet.tasks {
            return Err(Fault::MissingCapability(vec![Capability::Tasks]));
        }
        let place = edge
            .listens
            .enter(caller)
            .ok_or(Fault::Quota("open listens"))?;
        let snapshot = lists::snapshot(exchange)?;
        let mut honored = honor(&snapshot, filter);
        let changes = edge.dispatcher.watch_changes(caller, server)?;
        let updates = FuturesUnordered::new();
        for uri in std::mem::take(&mut honored.uris) {
            match edge.dispatcher.watch_resource(caller, server, &uri) {
                Ok(watch) => {
                    updates.push(next_update(uri.clone(), watch));
                    honored.uris.push(uri);
                }
                Err(refusal @ Refusal::Overloaded { .. }) => return Err(refusal.into()),
                // Left out of what is acknowledged, as is what does not exist [L-2].
                Err(_) => {}
            }
        }
        let tasks = match honored.tasks.take() {
            Some(ids) => {
                let (known, updates) = edge.tasks.follow(caller, server, &ids).await?;
                honored.tasks = Some(known);
                Some(updates)
            }
            None => None,
        };
        Ok(Self {
            id: id.clone(),
            revision,
            server_info: snapshot.server_info.clone(),
            honored,
            changes,
            updates,
            tasks,
            drained: edge.drained.clone(),
            phase: Phase::Acknowledge,
            _place: place,
        })
    }

    fn into_stream(self) -> impl Stream<Item = Bytes> + Send + 'static {
        let told = stream::unfold(self, |mut listen| async move {
            let messages = listen.next().await?;
            Some((stream::iter(messages), listen))
        });
        told.flatten()
            .map(|message| ostler_protocol::sse::event(None, &message))
    }

    /// The next messages; `None` after the last.
    async fn next(&mut self) -> Option<Vec<Bytes>> {
        match self.phase {
            // Acknowledge => Follow: it is the first message in any case [L-2].
            Phase::Acknowledge => {
                self.phase = Phase::Follow;
                Some(vec![notify::acknowledged(&self.id, &self.honored)])
            }
            Phase::Follow => loop {
                let messages = match self.news().await {
                    News::Lists(changes) => self.list_changes(changes),
                    News::Resource(uri, watch) => {
                        let message = notify::resource_updated(&uri, Some(&self.id));
                        self.updates.push(next_update(uri, watch));
                        vec![message]
                    }
                    News::Task(task) => vec![notify::task_status(&self.shape(), &self.id, &task)],
                    // Follow => Ended: the node drains, the client shall listen elsewhere [L-6].
                    News::Drained => {
                        self.phase = Phase::Ended;
                        vec![reply::listen_end(&self.shape(), &self.id)]
                    }
                };
                if !messages.is_empty() {
                    return Some(messages);
                }
            },
            Phase::Ended => None,
        }
    }

    async fn news(&mut self) -> News {
        let tasks = async {
            match &mut self.tasks {
                Some(tasks) => match tasks.next().await {
                    Some(task) => News::Task(Box::new(task)),
                    None => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let updates = async {
            match self.updates.next().await {
                Some((uri, watch)) => News::Resource(uri, watch),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.drained.cancelled() => News::Drained,
            changes = self.changes.changed() => News::Lists(changes),
            news = updates => news,
            news = tasks => news,
        }
    }

    fn shape(&self) -> Shape<'_> {
        Shape {
            revision: self.revision,
            server_info: &self.server_info,
        }
    }

    /// Only what was asked for [L-4].
    fn list_changes(&self, changes: Changes) -> Vec<Bytes> {
        let rows = [
            (changes.tools && self.honored.tools, ListKind::Tools),
            (changes.prompts && self.honored.prompts, ListKind::Prompts),
            (
                changes.resources && self.honored.resources,
                ListKind::Resources,
            ),
        ];
        let told = rows.into_iter().filter(|(told, _)| *told);
        told.map(|(_, kind)| notify::list_changed(kind, Some(&self.id)))
            .collect()
    }
}

fn next_update(uri: String, mut watch: Watch) -> BoxFuture<'static, (String, Watch)> {
    async move {
        watch.changed().await;
        (uri, watch)
    }
    .boxed()
}

/// What of the wishes can be fulfilled; the rest is left out without a word [L-2].
fn honor(snapshot: &Snapshot, mut filter: ListenFilter) -> ListenFilter {
    filter.uris.sort_unstable();
    filter.uris.dedup();
    let offers = lists::capabilities(snapshot);
    let known = |uri: &String| offers.subscribe && snapshot.resource(uri).is_some();
    ListenFilter {
        tools: filter.tools && offers.tools,
        prompts: filter.prompts && offers.prompts,
        resources: filter.resources && offers.resources,
        uris: filter.uris.into_iter().filter(known).collect(),
        tasks: filter.tasks,
    }
}
