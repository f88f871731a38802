//! What a worker logs, for tests to hear.

use std::{
    fmt::{Debug, Write as _},
    sync::Arc,
};

use parking_lot::Mutex;
use tracing::{Event, Metadata, Subscriber, field, span};

/// Hears what the worker logs on this thread.
#[derive(Clone, Default)]
pub struct Ear(Arc<Mutex<String>>);

impl Ear {
    pub fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        let ear = Self::default();
        let guard = tracing::subscriber::set_default(ear.clone());
        (ear, guard)
    }

    pub fn heard(&self) -> String {
        self.0.lock().clone()
    }
}

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ostler_worker")
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Words(&mut self.0.lock()));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Words<'a>(&'a mut String);

impl field::Visit for Words<'_> {
    fn record_debug(&mut self, field: &field::Field, value: &dyn Debug) {
        writeln!(self.0, "{field}={value:?}").unwrap();
    }
}
