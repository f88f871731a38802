//! `ostler doctor`: what a client sees of a server, step by step, and what to do where it fails.

mod report;
mod reach;
mod door;
mod speak;
mod stream;

use std::time::Duration;

use ostler_client::{Error, Options, Target};
use ostler_env::Env;

use self::report::Report;
use super::{
    args::Doctor,
    commands::Bench,
    exit::{Exit, Failure},
    output::Output,
};

/// What every step works with.
struct Visit {
    env: Env,
    output: Output,
    options: Options,
    target: Target,
    patience: Duration,
}

/// A step that failed so that the later ones make no sense.
struct Cut;

pub async fn run(arguments: &Doctor, mut bench: Bench) -> Result<Exit, Failure> {
    let mut report = Report::new(bench.output);
    let visit = Visit {
        target: Target::parse(&bench.options.endpoint.url)?,
        env: bench.env.clone(),
        output: bench.output,
        options: bench.options.clone(),
        patience: Duration::from_secs(arguments.patience),
    };
    tokio::select! {
        biased;
        () = visit.options.stop.wait() => Err(Error::Stopped.into()),
        // A cut is in the report already.
        _ = steps(&visit, &mut report, &mut bench) => Ok(report.finish()),
    }
}

async fn steps(visit: &Visit, report: &mut Report, bench: &mut Bench) -> Result<(), Cut> {
    reach::look(visit, report).await?;
    door::look(visit, report).await?;
    let client = speak::connect(visit, report).await?;
    speak::look(&client, report, &mut bench.desk).await;
    stream::look(&client, visit, report).await;
    client.close().await;
    Ok(())
}
