//! `ostler bridge`: a worker that hosts what exists.

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use anyhow::Context;
use ostler_bridge::{
    config::{Config, Source, Table},
    process::{self, Keeper},
    scope,
};
use ostler_env::{Env, log};
use ostler_node::open_port::OpenPort;
use ostler_worker::Server;
use tokio::net::TcpListener;

use crate::{
    cli::{Bridge, Isolation},
    client::header_file,
    serve,
};

pub async fn run(arguments: Bridge) -> anyhow::Result<ExitCode> {
    log::init(log::Format::Text, "info")?;
    let env = Env::system();
    let is_check = arguments.check;
    let config = config(arguments)?;
    if is_check {
        for table in &config.bridge {
            println!("{}", ostler_bridge::report(&env, table).await?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let served: Arc<OnceLock<Vec<Server>>> = Arc::default();
    if let Some(address) = config.worker.admin {
        show(&env, address, &config, served.clone()).await?;
    }
    let settled = move |servers| {
        served.get_or_init(|| servers);
    };
    let abandoned = process::end_abandoned();
    if abandoned > 0 {
        tracing::warn!(abandoned, "ended what a killed bridge had left");
    }
    let keeper = Keeper::this_binary().adopting()?;
    ostler_bridge::run(env, config, keeper, settled, serve::stop_signal()?).await?;
    Ok(ExitCode::SUCCESS)
}

/// Health and metrics, until the process ends.
async fn show(
    env: &Env,
    address: SocketAddr,
    config: &Config,
    served: Arc<OnceLock<Vec<Server>>>,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let port = OpenPort {
        env: env.clone(),
        hosts: config.worker.admin_hosts.clone(),
        obstacles: Arc::new(move || obstacles(served.get())),
    };
    let never = std::future::pending();
    let serving = port.serve(listener, never);
    // It ends with the process.
    drop(env.spawn("ostler.open_port", serving));
    Ok(())
}

/// Why no node sends calls yet.
fn obstacles(served: Option<&Vec<Server>>) -> Vec<String> {
    let why = match served {
        None => "reaching the members",
        Some(servers) if !servers.iter().all(Server::is_linked) => "no node is linked",
        Some(_) => return Vec::new(),
    };
    vec![why.to_owned()]
}

/// What the command line says goes before the file.
fn config(arguments: Bridge) -> anyhow::Result<Config> {
    let mut config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    if !arguments.hubs.is_empty() {
        config.worker.hubs = arguments.hubs.clone();
    }
    if let Some(file) = &arguments.worker_token_file {
        config.worker.token_file = Some(file.clone());
    }
    config.worker.admin = arguments.admin.or(config.worker.admin);
    if let Some(tenant) = &arguments.tenant {
        config.worker.tenant = tenant.clone();
    }
    if arguments.config.is_none() {
        config.bridge.push(table(arguments)?);
    }
    Ok(config)
}

/// The one member of a bridge without a file. Whoever types a command means what they type: it may
/// be a name on the PATH.
fn table(arguments: Bridge) -> anyhow::Result<Table> {
    let headers = match &arguments.header_file {
        Some(path) => header_file(path)?,
        None => Vec::new(),
    };
    let plain = |(name, value)| (name, Source::Plain(value));
    Ok(Table {
        server: arguments.server,
        allow_relative: !arguments.command.is_empty(),
        command: arguments.command,
        url: arguments.url,
        openapi: arguments.openapi,
        base: arguments.base,
        isolation: match arguments.isolation {
            Isolation::Shared => scope::Isolation::Shared,
            Isolation::PerPrincipal => scope::Isolation::PerPrincipal,
            Isolation::PerSession => scope::Isolation::PerSession,
        },
        env_pass: arguments.env_pass,
        cwd: arguments.cwd,
        allow_shell: arguments.allow_shell,
        headers: headers.into_iter().map(plain).collect(),
        token: arguments.token_file.map(|file| Source::File { file }),
        allow_private: arguments.allow_private,
        ..Table::default()
    })
}
