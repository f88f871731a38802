//! The books of a node: whatever a test did, they close in the end.

use ostler_env::Env;

/// How a node went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Down {
    /// By a drain: every part of it said goodbye.
    Drained,
    /// As in a crash: whatever it did was dropped where it stood.
    Killed,
}

/// What a node that is gone must have counted. Nothing of it may be left: `started = ok + tool_error
/// + failed + cancelled + detached + running`, and nothing runs.
pub(crate) fn check(env: &Env, down: Down) {
    let books = Books(env);
    assert_eq!(books.running(), 0.0, "calls that never ended");
    for level in [
        "ostler_dispatch_calls_running",
        "ostler_dispatch_admitted",
        "ostler_actor_live",
        "ostler_hub_links",
    ] {
        assert_eq!(books.all(level), 0.0, "{level}");
    }
    books.close(
        "ostler_edge_streams_opened_total",
        "ostler_edge_streams_ended_total",
    );
    books.close("ostler_task_started_total", "ostler_task_ended_total");
    books.close(
        "ostler_task_waits_started_total",
        "ostler_task_waits_ended_total",
    );
    if down == Down::Drained {
        let closed = "ostler_edge_connections_closed_total";
        let not_taken = env.metrics().value(closed, &[("reason", "full")]);
        let opened = books.all("ostler_edge_connections_opened_total");
        let closed = books.all(closed) - not_taken.unwrap_or_default();
        assert_eq!(opened, closed, "connections");
    }
}

/// Calls that dispatch has begun and not ended, by its counters.
pub(crate) fn calls_running(env: &Env) -> f64 {
    Books(env).running()
}

struct Books<'e>(&'e Env);

impl Books<'_> {
    fn running(&self) -> f64 {
        let started = self.all("ostler_dispatch_calls_started_total");
        started - self.all("ostler_dispatch_calls_ended_total")
    }

    fn close(&self, opened: &str, ended: &str) {
        assert_eq!(self.all(opened), self.all(ended), "{opened} = {ended}");
    }

    /// Over all labels. A node shows from its start what is counted here.
    fn all(&self, name: &str) -> f64 {
        let text = self.0.metrics().render();
        let value = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let labels = series.strip_prefix(name)?;
            let is_of = labels.is_empty() || labels.starts_with('{');
            is_of.then(|| value.parse::<f64>().ok()).flatten()
        };
        let values: Vec<f64> = text.lines().filter_map(value).collect();
        assert!(!values.is_empty(), "the node has no metric {name}");
        values.into_iter().sum()
    }
}
