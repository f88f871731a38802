//! `ostler doctor`: what a client sees of a server, step by step, and what to do where it fails.

mod report;
mod reach;
mod door;
mod speak;
mod stream;

use std::time::Duration;

use ostler_client::{Endpoint, Error, Options, Target};
use ostler_env::Env;

use self::report::Report;
use super::{
    args::Doctor,
    commands::Bench,
    exit::{Exit, Failure},
    output::Output,
};

/// What every step works with.
struct Patient {
    env: Env,
    output: Output,
    endpoint: Endpoint,
    options: Options,
    target: Target,
    patience: Duration,
}

impl Patient {
    /// Waits for one answer. The servers that a doctor is called to are those that give none.
    async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let span = self.patience.min(ANSWER_MAX);
        let done = self.env.until(self.env.now() + span, work).await;
        done.unwrap_or_else(|| {
            let reason = format!("no answer within {} s", span.as_secs());
            Err(Error::Broken { reason })
        })
    }
}

/// How long any answer may take; whoever has less patience waits less.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A step that failed so that the later ones make no sense.
struct Cut;

pub async fn run(arguments: &Doctor, mut bench: Bench) -> Result<Exit, Failure> {
    let mut report = Report::new(bench.output);
    let patient = Patient {
        target: Target::parse(&bench.endpoint.url)?,
        env: bench.env.clone(),
        output: bench.output,
        endpoint: bench.endpoint.clone(),
        options: bench.options.clone(),
        patience: Duration::from_secs(arguments.patience),
    };
    let is_stopped = tokio::select! {
        biased;
        () = patient.options.stop.wait() => true,
        // A cut is in the report already.
        _ = steps(&patient, &mut report, &mut bench) => false,
    };
    // What was found until now is worth as much.
    let exit = report.finish();
    match is_stopped {
        true => Err(Error::Stopped.into()),
        false => Ok(exit),
    }
}

async fn steps(patient: &Patient, report: &mut Report, bench: &mut Bench) -> Result<(), Cut> {
    reach::look(patient, report).await?;
    door::look(patient, report).await?;
    let client = speak::connect(patient, report).await?;
    speak::look(&client, patient, report, &mut bench.desk).await;
    stream::look(&client, patient, report).await;
    client.close().await;
    Ok(())
}
