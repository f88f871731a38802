//! Following one resource at the workers. A trait, because only the hub can make a watch: tests
//! script it.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use ostler_dispatch::{Dispatcher, Refusal};
use ostler_types::{Caller, ServerId};

/// One item per change; changes that come faster than they are taken count once.
pub(crate) type Updates = Pin<Box<dyn Stream<Item = ()> + Send>>;

/// A subscribed resource and its updates.
pub(crate) type Watch = (Arc<str>, Updates);

pub(crate) trait Resources: Send + Sync {
    /// For who may read the resource; dropping it ends the watch.
    fn watch(&self, caller: &Caller, server: &ServerId, uri: &str) -> Result<Updates, Refusal>;
}

impl Resources for Dispatcher {
    fn watch(&self, caller: &Caller, server: &ServerId, uri: &str) -> Result<Updates, Refusal> {
        let watch = self.watch_resource(caller, server, uri)?;
        let updates = stream::unfold(watch, |mut watch| async move {
            watch.changed().await;
            Some(((), watch))
        });
        Ok(Box::pin(updates))
    }
}

/// Shared by all sessions of a node.
pub(crate) type SharedResources = Arc<dyn Resources>;
