//! What a live session watches for its client: the catalog's lists and subscribed resources.
//! A sleeping session watches nothing.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{
    StreamExt,
    future::{AbortHandle, Abortable, Aborted},
    stream::FuturesUnordered,
};
use ostler_catalog::{ChangeWatch, Changes, Fingerprints};
use parking_lot::Mutex;

use crate::{
    resources::Updates,
    state::{ListKinds, Notice},
};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// The watched resource and its updates, until they end.
type Watched = (Option<()>, (Arc<str>, Updates));

pub(super) struct Watches {
    /// Kept over polls, because it waits for quiet in steps.
    lists: Option<Boxed<(ChangeWatch, Changes)>>,
    /// What the client was last told of.
    seen: Fingerprints,
    resources: FuturesUnordered<Abortable<Boxed<Watched>>>,
    handles: HashMap<Arc<str>, AbortHandle>,
}

/// Subscriptions that nobody watches: whoever woke the session may not, or there were too many
/// watches. Its next caller tries again. Bounded by the subscriptions.
#[derive(Default)]
pub(crate) struct Unwatched(Mutex<Vec<Arc<str>>>);

impl Unwatched {
    pub fn add(&self, uris: Vec<Arc<str>>) {
        self.0.lock().extend(uris);
    }

    pub fn take(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Watches {
    pub fn new(lists: Option<ChangeWatch>, seen: Fingerprints) -> Self {
        Watches {
            lists: lists.map(changed),
            seen,
            resources: FuturesUnordered::new(),
            handles: HashMap::new(),
        }
    }

    /// What the client knows of the lists; stored, so that a sleep hides no change.
    pub fn seen(&self) -> Fingerprints {
        self.seen
    }

    pub fn remove(&mut self, uri: &Arc<str>) {
        if let Some(handle) = self.handles.remove(uri) {
            handle.abort();
        }
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Notice>> {
        if let Some(lists) = &mut self.lists
            && let Poll::Ready((watch, changes)) = lists.as_mut().poll(cx)
        {
            self.seen = watch.seen();
            self.lists = Some(changed(watch));
            return Poll::Ready(to_kinds(changes).notices());
        }
        loop {
            match self.resources.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok((Some(()), (uri, updates))))) => {
                    self.extend([(uri.clone(), updates)]);
                    return Poll::Ready(vec![Notice::Updated(uri)]);
                }
                // Its updates ended, or it is unsubscribed: the watch went with it.
                Poll::Ready(Some(Ok((None, _)) | Err(Aborted))) => {}
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Extend<(Arc<str>, Updates)> for Watches {
    fn extend<I: IntoIterator<Item = (Arc<str>, Updates)>>(&mut self, watched: I) {
        for (uri, updates) in watched {
            let (handle, registration) = AbortHandle::new_pair();
            self.handles.insert(uri.clone(), handle);
            self.resources
                .push(Abortable::new(updated(uri, updates), registration));
        }
    }
}

fn changed(mut watch: ChangeWatch) -> Boxed<(ChangeWatch, Changes)> {
    Box::pin(async move {
        let changes = watch.changed().await;
        (watch, changes)
    })
}

fn updated(uri: Arc<str>, mut updates: Updates) -> Boxed<Watched> {
    Box::pin(async move { (updates.next().await, (uri, updates)) })
}

fn to_kinds(changes: Changes) -> ListKinds {
    ListKinds {
        tools: changes.tools,
        prompts: changes.prompts,
        resources: changes.resources,
    }
}
