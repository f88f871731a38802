//! `ostler drain`: tells a node to refuse new work, finish the old and exit.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use ostler_client::{Error, Step, Verb};

use crate::{admin::Port, cli::Drain};

/// Between two looks at whether it is gone.
const LOOK: Duration = Duration::from_millis(250);
/// For one answer of the admin port.
const PATIENCE: Duration = Duration::from_secs(5);

pub async fn run(arguments: Drain) -> anyhow::Result<ExitCode> {
    let port = Port::new(&arguments.admin);
    let told = port.command("/drain", &arguments.token_file);
    in_time(&port, told).await?;
    eprintln!("the node drains");
    if arguments.wait {
        while !is_gone(&port).await {
            port.env.sleep(LOOK).await;
        }
        eprintln!("the node is gone");
    }
    Ok(ExitCode::SUCCESS)
}

/// Nobody listens there, or another process, which does not drain. One that does not answer may
/// be the node still.
async fn is_gone(port: &Port) -> bool {
    let ready = port.ask(Verb::Get, "/readyz", None);
    match in_time(port, ready).await {
        Ok((_, text)) => !text.lines().any(|line| line == "draining"),
        Err(error) => matches!(
            error.downcast_ref(),
            Some(Error::Connect {
                step: Step::Tcp,
                ..
            })
        ),
    }
}

async fn in_time<T>(
    port: &Port,
    asked: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let answered = port.env.until(port.env.now() + PATIENCE, asked).await;
    answered.with_context(|| format!("the admin port did not answer in {PATIENCE:?}"))?
}
