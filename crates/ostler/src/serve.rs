//! `ostler serve`: a node alone.

use std::process::ExitCode;

use ostler_env::{Env, log};
use ostler_node::{Config, Exit, Node, Overrides, Source, config::LogFormat};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Place, Serve};

pub async fn run(arguments: Serve) -> anyhow::Result<ExitCode> {
    let overrides = overrides(&arguments.place, arguments.anonymous);
    let (source, config) = match arguments.config {
        Some(path) => Source::read(path, overrides).map(|(source, config)| (Some(source), config)),
        None => {
            let config = Config::default().overridden(&overrides);
            config
                .map(|config| (None, config))
                .map_err(anyhow::Error::msg)
        }
    }?;
    init_log(&config)?;
    let node = Node::build(config, Env::system()).await?;
    let addresses = node.addresses();
    tracing::info!(edge = %addresses.edge, workers = %addresses.workers, admin = %addresses.admin, "serving");
    let exit = node.run(source, stop_signal()?).await;
    Ok(report(exit))
}

/// What the command line says goes before the file.
pub fn overrides(place: &Place, anonymous: bool) -> Overrides {
    let Place {
        edge,
        workers,
        admin,
        data,
    } = place.clone();
    Overrides {
        edge,
        workers,
        admin,
        data,
        anonymous,
    }
}

pub fn init_log(config: &Config) -> anyhow::Result<()> {
    let format = match config.log.format {
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
    };
    Ok(log::init(format, &config.log.filter)?)
}

/// The first SIGTERM or Ctrl-C drains. A second one ends the process at once: what was acknowledged
/// is stored already.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    Env::system().spawn("ostler.signals", async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        // A node that has ended already does not listen.
        let _ = stop.send(());
        next().await;
        std::process::exit(130);
    });
    Ok(async move {
        let _ = stopped.await;
    })
}

pub fn report(exit: Exit) -> ExitCode {
    match exit {
        Exit::Drained => ExitCode::SUCCESS,
        Exit::Cut => {
            tracing::warn!("the drain limit passed; open connections were cut");
            ExitCode::SUCCESS
        }
        Exit::Failed(part) => {
            tracing::error!(part, "the node cannot go on");
            ExitCode::FAILURE
        }
    }
}
