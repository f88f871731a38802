//! `ostler drain`: tells a node to refuse new work, finish the old and exit.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use ostler_client::{Endpoint, Error, Http, Limits, Step, Target, Verb};
use ostler_env::Env;
use ostler_types::Secret;

use crate::cli::Drain;

/// Between two looks at whether it is gone.
const LOOK: Duration = Duration::from_millis(250);
/// For one answer of the admin port.
const PATIENCE: Duration = Duration::from_secs(5);

pub async fn run(arguments: Drain) -> anyhow::Result<ExitCode> {
    let token = read_token(&arguments.token_file)?;
    let port = Port {
        env: Env::system(),
        url: arguments.admin.trim_end_matches('/').to_owned(),
    };
    let target = Target::parse(&port.url)?;
    if !target.is_tls && !target.is_local() {
        eprintln!("careful: the token travels in the clear");
    }
    let (status, text) = port.ask(Verb::Post, "/drain", Some(token)).await?;
    match status {
        202 => eprintln!("the node drains"),
        401 => bail!(
            "{} is not the token of the node at {}",
            arguments.token_file.display(),
            port.url
        ),
        _ => bail!("{} answered {status}: {}", port.url, text.trim()),
    }
    if arguments.wait {
        while !port.is_gone().await {
            port.env.sleep(LOOK).await;
        }
        eprintln!("the node is gone");
    }
    Ok(ExitCode::SUCCESS)
}

fn read_token(file: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file).with_context(|| {
        format!(
            "reading the token {}; it is admin-token in the data directory of the node, or \
             admin.token_file of its configuration",
            file.display()
        )
    })?;
    Ok(Secret::new(text.trim()))
}

/// The admin port of a node.
struct Port {
    env: Env,
    url: String,
}

impl Port {
    async fn ask(
        &self,
        verb: Verb,
        path: &str,
        token: Option<Secret>,
    ) -> anyhow::Result<(u16, String)> {
        let endpoint = Endpoint {
            url: format!("{}{path}", self.url),
            token,
            headers: Vec::new(),
        };
        // A connection for each: none of ours is in the way of a node that closes.
        let http = Http::new(self.env.clone(), &endpoint, Limits::default())?;
        let asked = async {
            let reply = http.send(verb, &[], Default::default()).await?;
            let status = reply.status();
            let text = String::from_utf8_lossy(&reply.bytes().await?).into_owned();
            anyhow::Ok((status, text))
        };
        let answered = self.env.until(self.env.now() + PATIENCE, asked).await;
        answered.with_context(|| format!("no answer of {} in {PATIENCE:?}", self.url))?
    }

    /// Nobody listens there, or another process, which does not drain. One that does not answer may
    /// be the node still.
    async fn is_gone(&self) -> bool {
        match self.ask(Verb::Get, "/readyz", None).await {
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
}
