//! `ostler key new`: a credential, shown once, and the lines that let it in.

use std::{fmt::Write, process::ExitCode};

use anyhow::Context;
use ostler_auth::{CredentialKind, mint};
use ostler_env::Env;
use ostler_types::{ServerName, TenantId};

use crate::cli::{Key, KeyCommand, NewKey};

pub fn run(arguments: &Key) -> anyhow::Result<ExitCode> {
    let KeyCommand::New(new) = &arguments.command;
    let tenant = TenantId::parse(&new.tenant)?;
    for server in &new.servers {
        ServerName::parse(server).with_context(|| format!("--server {server:?}"))?;
    }
    let kind = match new.worker {
        true => CredentialKind::Worker,
        false => CredentialKind::Client,
    };
    let key = mint(&Env::system(), kind);
    eprintln!("This is the only time the key is shown:");
    println!("{}", key.shown.expose());
    eprintln!(
        "\nPut this under the tenant in ostler.toml:\n\n{}",
        entry(&tenant, new, &key.id, &key.hash)
    );
    Ok(ExitCode::SUCCESS)
}

fn entry(tenant: &TenantId, new: &NewKey, id: &str, hash: &str) -> String {
    let table = if new.worker { "worker" } else { "key" };
    let mut text = format!(
        "[[tenant]]\nname = \"{tenant}\"\n\n[[tenant.{table}]]\nid = \"{id}\"\nhash = \"{hash}\"\n"
    );
    let mut line = |key: &str, value: String| {
        writeln!(text, "{key} = {value}").expect("writing to a string works");
    };
    if let Some(subject) = &new.subject {
        line("subject", format!("{subject:?}"));
    }
    if !new.scopes.is_empty() {
        line("scopes", format!("{:?}", new.scopes));
    }
    if !new.servers.is_empty() {
        line("servers", format!("{:?}", new.servers));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_a_good_configuration() {
        for worker in [false, true] {
            let new = NewKey {
                tenant: "acme".to_string(),
                worker,
                subject: (!worker).then(|| "alice \"the\" first".to_string()),
                scopes: if worker {
                    Vec::new()
                } else {
                    vec!["a:b".to_string()]
                },
                servers: if worker {
                    vec!["tickets".to_string()]
                } else {
                    Vec::new()
                },
            };
            let tenant = TenantId::parse("acme").unwrap();
            let key = mint(
                &Env::seeded(1),
                if worker {
                    CredentialKind::Worker
                } else {
                    CredentialKind::Client
                },
            );
            let config = ostler_node::Config::parse(&entry(&tenant, &new, &key.id, &key.hash));
            assert!(config.is_ok(), "{config:?}");
        }
    }
}
