//! `ostler dev`: a node and a demo worker that links to it as any worker would.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use ostler_env::Env;
use ostler_node::{Config, Node};

use crate::{cli::Dev, serve};

pub async fn run(arguments: Dev) -> anyhow::Result<ExitCode> {
    let overrides = serve::overrides(&arguments.place, true);
    let mut config = Config::default()
        .overridden(&overrides)
        .map_err(anyhow::Error::msg)?;
    // Nobody balances a load here, and Ctrl-C shall end it now.
    config.drain_notice = Duration::ZERO;
    serve::init_log(&config)?;
    let env = Env::system();
    let node = Node::build(config, env.clone()).await?;
    let addresses = node.addresses();
    let hub = format!("http://{}", addresses.workers);
    let worker = env.spawn("ostler.demo", demo(hub, arguments));
    eprintln!("{}", welcome(addresses.edge, addresses.admin));
    let exit = node.run(None, serve::stop_signal()?).await;
    worker.abort();
    // It was told to end; how it did is in the log.
    let _ = worker.await;
    Ok(serve::report(exit))
}

#[cfg(feature = "demo")]
async fn demo(hub: String, arguments: Dev) {
    let options = crate::demo::Options {
        hub,
        sqlite: arguments.sqlite,
    };
    if let Err(error) = crate::demo::run(options).await {
        tracing::error!(error = %format!("{error:#}"), "the demo worker ended");
    }
}

#[cfg(not(feature = "demo"))]
async fn demo(_hub: String, _arguments: Dev) {
    tracing::warn!("built without the demo worker: link one of your own");
}

/// What a new user needs: where it is, and what to paste into their client.
fn welcome(edge: SocketAddr, admin: SocketAddr) -> String {
    let url = format!("http://{edge}/mcp");
    // Such hosts look nowhere for a command.
    let program = std::env::current_exe().unwrap_or_else(|_| "ostler".into());
    let program = serde_json::Value::from(program.to_string_lossy());
    format!(
        r#"
  Ostler serves a demo database at  {url}
  Metrics and health:  http://{admin}/metrics  http://{admin}/readyz

  At a terminal    ostler list --url {url}
  Claude Code      claude mcp add --transport http ostler {url}
  VS Code          .vscode/mcp.json
                   {{"servers": {{"ostler": {{"type": "http", "url": "{url}"}}}}}}
  Cursor           ~/.cursor/mcp.json
                   {{"mcpServers": {{"ostler": {{"url": "{url}"}}}}}}
  Claude Desktop   claude_desktop_config.json (it starts commands only)
                   {{"mcpServers": {{"ostler": {{"command": {program}, "args": ["connect", "{url}"]}}}}}}

  Ctrl-C drains and ends it.
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_json() {
        let text = welcome(
            SocketAddr::from(([127, 0, 0, 1], 1)),
            SocketAddr::from(([127, 0, 0, 1], 2)),
        );
        let settings: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with('{'))
            .collect();
        assert_eq!(settings.len(), 3);
        for settings in settings {
            serde_json::from_str::<serde_json::Value>(settings).expect("valid JSON");
        }
    }
}
