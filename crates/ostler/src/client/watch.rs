//! Ending a command from outside: Ctrl-C, SIGTERM and the time limit. The server hears of both.

use std::{pin::pin, time::Duration};

use ostler_client::Stopper;
use ostler_env::Env;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::{Exit, Failure};

/// How long goodbyes may take: one for the request, one for the session.
const GRACE: Duration = Duration::from_secs(5);
/// The furthest a timer is set.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Runs `work` to its end, or stops it; a second Ctrl-C does not wait for goodbyes.
pub async fn watched(
    env: Env,
    work: impl Future<Output = Result<Exit, Failure>>,
    stopper: Stopper,
    timeout: Option<Duration>,
) -> Result<Exit, Failure> {
    let signals = |kind| {
        signal(kind).map_err(|why| Failure::new(Exit::WrongUse, format!("no signals here: {why}")))
    };
    let mut interrupts = signals(SignalKind::interrupt())?;
    let mut terminations = signals(SignalKind::terminate())?;
    let mut work = pin!(work);
    let mut timer = env.deadline_sleep(env.now() + timeout.unwrap_or(FAR));
    let mut ending = None;
    loop {
        let cause = tokio::select! {
            biased;
            done = &mut work => return match (done, ending) {
                (Err(failure), Some(ending)) if failure.exit == Exit::Interrupted => Err(ending),
                (done, _) => done,
            },
            _ = interrupts.recv() => Failure::new(Exit::Interrupted, "interrupted"),
            _ = terminations.recv() => Failure::new(Exit::Interrupted, "terminated"),
            () = &mut timer => {
                let seconds = timeout.unwrap_or(FAR).as_secs();
                Failure::new(Exit::Late, format!("not done within {seconds} s"))
            }
        };
        if let Some(ending) = ending {
            return Err(ending);
        }
        stopper.stop();
        timer.reset(env.now() + GRACE);
        ending = Some(cause);
    }
}

#[cfg(test)]
mod tests {
    use ostler_client::stopper;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_stopped_and_then_left() {
        for obeys in [true, false] {
            let (tx, stop) = stopper();
            let work = async {
                match obeys {
                    true => stop.wait().await,
                    false => std::future::pending().await,
                }
                Err(Failure::new(Exit::Interrupted, "stopped"))
            };
            let limit = Some(Duration::from_secs(1));
            let ended = watched(Env::seeded(1), work, tx, limit).await;
            assert_eq!(ended.unwrap_err().exit, Exit::Late);
        }
    }
}
