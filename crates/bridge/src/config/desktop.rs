//! The file of a desktop client, as it is: `{"mcpServers": {"name": {…}}}`. Each entry becomes a
//! Server of its name. Clients write members of their own beside those that mean something here,
//! so what is not known is passed over.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::{Config, ConfigError, Source, Table, unquoted};

#[derive(Deserialize)]
struct Desktop {
    #[serde(rename = "mcpServers", alias = "servers")]
    servers: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    cwd: Option<PathBuf>,
    #[serde(alias = "serverUrl")]
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    disabled: bool,
}

pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
    let desktop: Desktop = serde_json::from_str(text).map_err(|error| {
        let (line, told) = (error.line(), error.to_string());
        let place = format!(" at line {line} column {}", error.column());
        let why = unquoted(told.strip_suffix(&place).unwrap_or(&told));
        ConfigError::Syntax { line, why }
    })?;
    let wanted = desktop.servers.into_iter().filter(|(_, it)| !it.disabled);
    let bridge = wanted
        .map(|(name, entry)| entry.into_table(&name))
        .collect();
    Ok(Config {
        bridge,
        ..Config::default()
    })
}

impl Entry {
    fn into_table(self, name: &str) -> Table {
        let plain = |values: BTreeMap<String, String>| {
            let values = values.into_iter();
            values
                .map(|(name, value)| (name, Source::Plain(value)))
                .collect()
        };
        let (is_command, is_url) = (self.command.is_some(), self.url.is_some());
        let command = self.command.into_iter().chain(self.args);
        Table {
            server: server_name(name),
            name: Some(name.to_owned()),
            command: command.collect(),
            env: plain(self.env),
            cwd: self.cwd,
            url: self.url,
            headers: plain(self.headers),
            // Its commands are names on the `PATH` as a rule.
            allow_relative: is_command,
            // Whoever uses it at a desk means the machines around it, too.
            allow_private: is_url,
            ..Table::default()
        }
    }
}

/// The name of the Server: people write names with spaces and capitals, and it stands in URLs.
fn server_name(name: &str) -> String {
    let plain = |character: char| match character.is_ascii_alphanumeric() {
        true => character.to_ascii_lowercase(),
        false => '-',
    };
    name.chars()
        .map(plain)
        .collect::<String>()
        .trim_matches('-')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_desktop_file_is_read_as_it_is() {
        let text = r#"{
            "theme": "dark",
            "mcpServers": {
                "Far Away": {"type": "http", "url": "https://a.example/mcp", "headers": {"X-A": "b"}},
                "off": {"url": "https://b.example", "disabled": true}
            }
        }"#;
        let config = parse(text).expect("it is one");
        let [table] = &config.bridge[..] else {
            panic!("one is wanted: {config:?}");
        };
        assert_eq!(
            (table.server.as_str(), table.label()),
            ("far-away", "Far Away")
        );
        assert_eq!(table.url.as_deref(), Some("https://a.example/mcp"));
        assert_eq!(table.headers["X-A"], Source::Plain("b".to_owned()));
    }
}
