//! Waiting for what must come, with a bound.

use std::{fmt::Debug, future::Future, time::Duration};

/// How long a test waits for something that must happen. Only a failing test takes so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at a condition that nobody announces.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

/// The output of `future`, or a panic that names `what` did not come.
pub async fn soon<F: Future>(what: impl Debug, future: F) -> F::Output {
    within(PATIENCE, what, future).await
}

/// The same within a span that is itself the promise under test.
pub async fn within<F: Future>(span: Duration, what: impl Debug, future: F) -> F::Output {
    match tokio::time::timeout(span, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what:?} did not come within {span:?}"),
    }
}

/// Looks until `found` gives something.
pub async fn until<T>(what: impl Debug, mut found: impl FnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = found() {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    soon(what, looking).await
}
