//! Programs that end when we say so.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

/// A child of ours; dropping it kills it.
pub struct Guarded(pub Child);

/// Between two looks at a child that ends.
const LOOK: Duration = Duration::from_millis(20);

impl Guarded {
    /// Ends it with SIGTERM; it must succeed within `limit`.
    pub fn terminate(self, limit: Duration) -> anyhow::Result<()> {
        let signal = format!("kill -TERM {}", self.0.id());
        let sent = Command::new("sh").args(["-c", &signal]).status()?;
        ensure!(sent.success(), "no process to end");
        self.succeed(limit)
    }

    /// Waits for its end by itself, which must be a success.
    pub fn succeed(mut self, limit: Duration) -> anyhow::Result<()> {
        let start = now();
        while now().duration_since(start) < limit {
            if let Some(status) = self.0.try_wait()? {
                ensure!(status.success(), "it ended with {status}");
                return Ok(());
            }
            pause(LOOK);
        }
        bail!("it did not end within {limit:?}")
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program to its end and hears every line that it prints. It is killed when it takes
/// longer than `limit`, and when hearing fails.
pub fn run(
    command: &mut Command,
    limit: Duration,
    mut hear: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<ExitStatus> {
    let program = command.get_program().to_string_lossy().to_string();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = Guarded(child.with_context(|| format!("starting {program}"))?);
    let lines = lines(child.0.stdout.take().context("stdout is a pipe")?);
    let end = now() + limit;
    loop {
        match lines.recv_timeout(end.saturating_duration_since(now())) {
            Ok(line) => hear(&line?)?,
            Err(RecvTimeoutError::Disconnected) => return Ok(child.0.wait()?),
            Err(RecvTimeoutError::Timeout) => bail!("it did not end within {limit:?}"),
        }
    }
}

/// Reads in a thread, because reading a pipe knows no time limit. It ends with the child.
#[allow(
    clippy::disallowed_methods,
    reason = "no other crate of ours is in here, and the thread ends with its pipe"
)]
pub fn lines(output: ChildStdout) -> Receiver<std::io::Result<String>> {
    let (send, receive) = sync_channel(64);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

#[allow(
    clippy::disallowed_methods,
    reason = "this watches real processes in real time"
)]
pub fn now() -> Instant {
    Instant::now()
}

#[allow(
    clippy::disallowed_methods,
    reason = "real processes tell nobody when: they must be asked, and killed in the middle"
)]
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(script: &str, limit: Duration) -> (Vec<String>, anyhow::Result<ExitStatus>) {
        let mut heard = Vec::new();
        let ended = run(Command::new("sh").args(["-c", script]), limit, |line| {
            heard.push(line.to_owned());
            anyhow::ensure!(line != "bad", "heard what is bad");
            Ok(())
        });
        (heard, ended)
    }

    #[test]
    fn every_line_is_heard_and_the_end_is_told() {
        let (heard, ended) = check("echo a; echo b; exit 3", Duration::from_secs(60));
        assert_eq!(heard, ["a", "b"]);
        assert_eq!(ended.unwrap().code(), Some(3));
    }

    #[test]
    fn a_program_that_goes_on_is_killed_at_the_limit() {
        let (_, ended) = check("exec tail -f /dev/null", Duration::from_millis(50));
        let why = ended.unwrap_err().to_string();
        assert!(why.contains("did not end"), "{why}");
    }

    #[test]
    fn a_program_that_says_what_is_bad_is_killed() {
        let (heard, ended) = check("echo bad; exec tail -f /dev/null", Duration::from_secs(60));
        assert_eq!(heard, ["bad"]);
        assert!(ended.is_err());
    }
}
