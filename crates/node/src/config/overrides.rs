//! What the command line says: it goes before the file, at the start and at every reload.

use std::{net::SocketAddr, path::PathBuf};

use super::Config;

/// What is set replaces what the file says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub edge: Option<SocketAddr>,
    pub workers: Option<SocketAddr>,
    pub admin: Option<SocketAddr>,
    /// The data directory.
    pub data: Option<PathBuf>,
    /// Lets callers and workers of the tenant `default` in without credentials.
    pub anonymous: bool,
}

impl Config {
    /// This configuration with `overrides`; refused if it opens a port off loopback [OR-4].
    pub fn overridden(mut self, overrides: &Overrides) -> Result<Self, String> {
        replace(&mut self.edge.listen, overrides.edge);
        replace(&mut self.workers.listen, overrides.workers);
        replace(&mut self.admin.listen, overrides.admin);
        replace(&mut self.store.path, overrides.data.clone());
        let open = [
            ("edge", self.edge.listen, self.access.is_open()),
            (
                "workers",
                self.workers.listen,
                !self.access.workers.anonymous.is_empty(),
            ),
        ];
        for (name, address, is_open) in open {
            if is_open && !address.ip().is_loopback() {
                return Err(format!(
                    "the file says anonymous = true, which works on loopback only, and {name} \
                     shall listen on {address}"
                ));
            }
        }
        if overrides.anonymous {
            self.allow_anonymous()?;
        }
        Ok(self)
    }
}

fn replace<T>(value: &mut T, other: Option<T>) {
    if let Some(other) = other {
        *value = other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "[workers]\nanonymous = true\n[[tenant]]\nname = \"a\"\nanonymous = true\n";

    fn check(text: &str, overrides: Overrides, is_good: bool) {
        let config = Config::parse(text).expect("the file alone is good");
        let result = config.overridden(&overrides);
        assert_eq!(result.is_ok(), is_good, "{text} {overrides:?}: {result:?}");
    }

    fn address(text: &str) -> Option<SocketAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn a_file_for_all_addresses_can_be_tried_on_loopback() {
        let file = "[edge]\nlisten = \"0.0.0.0:80\"\n";
        let anonymous = Overrides {
            anonymous: true,
            ..Overrides::default()
        };
        check(file, anonymous.clone(), false);
        check(
            file,
            Overrides {
                edge: address("127.0.0.1:8080"),
                ..anonymous
            },
            true,
        );
    }

    #[test]
    fn no_address_of_the_command_line_opens_a_node_to_everybody() {
        check(OPEN, Overrides::default(), true);
        check(
            OPEN,
            Overrides {
                edge: address("0.0.0.0:80"),
                ..Overrides::default()
            },
            false,
        );
        check(
            OPEN,
            Overrides {
                workers: address("0.0.0.0:80"),
                ..Overrides::default()
            },
            false,
        );
        check(
            OPEN,
            Overrides {
                admin: address("0.0.0.0:80"),
                ..Overrides::default()
            },
            true,
        );
    }
}
