//! The admin port of a running node, as a command asks it.

use std::path::Path;

use anyhow::{Context, bail};
use ostler_client::{Endpoint, Http, Limits, Reach, Target, Verb};
use ostler_env::Env;
use ostler_types::Secret;

/// The admin port of a node.
pub struct Port {
    pub env: Env,
    url: String,
}

impl Port {
    pub fn new(url: &str) -> Port {
        Port {
            env: Env::system(),
            url: url.trim_end_matches('/').to_owned(),
        }
    }

    /// Has the node do something; what it says of it.
    pub async fn command(&self, path: &str, token_file: &Path) -> anyhow::Result<String> {
        let token = read_token(token_file)?;
        let target = Target::parse(&self.url)?;
        if !target.is_tls && !target.is_local() {
            eprintln!("careful: the token travels in the clear");
        }
        let (status, text) = self.ask(Verb::Post, path, Some(token)).await?;
        match status {
            200 | 202 => Ok(text),
            401 => bail!(
                "{} is not the token of the node at {}",
                token_file.display(),
                self.url
            ),
            _ => bail!("{} answered {status}: {}", self.url, text.trim()),
        }
    }

    pub async fn ask(
        &self,
        verb: Verb,
        path: &str,
        token: Option<Secret>,
    ) -> anyhow::Result<(u16, String)> {
        let endpoint = Endpoint {
            url: format!("{}{path}", self.url),
            token,
            headers: Vec::new(),
            reach: Reach::Anywhere,
        };
        // A connection for each: none of ours is in the way of a node that closes.
        let http = Http::new(self.env.clone(), &endpoint, Limits::default())?;
        let reply = http.send(verb, &[], Default::default()).await?;
        let status = reply.status();
        let text = String::from_utf8_lossy(&reply.bytes().await?).into_owned();
        Ok((status, text))
    }
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
