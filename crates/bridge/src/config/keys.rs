//! Which keys of a table mean something for what it hosts.

use super::Table;

/// A key that is set and means nothing for what is hosted. It is a slip, or its author expects
/// something of it that does not happen.
pub(crate) fn misplaced(table: &Table) -> Option<&'static str> {
    let is_command = !table.command.is_empty();
    let is_service = table.openapi.is_some();
    let kinds = [
        (!is_command, of_commands(table)),
        (is_command, of_addresses(table)),
        (!is_service, of_services(table)),
        (is_service, of_mcp_servers(table)),
    ];
    let wrong = kinds.into_iter().filter(|(is_wrong, _)| *is_wrong);
    let mut set = wrong.flat_map(|(_, keys)| keys).filter(|(_, is)| *is);
    set.next().map(|(key, _)| key)
}

/// Keys, and whether they are set: to what is the default otherwise means the same.
type Keys = Vec<(&'static str, bool)>;

fn of_commands(table: &Table) -> Keys {
    let default = Table::default();
    vec![
        ("env", table.env != default.env),
        ("env_pass", table.env_pass != default.env_pass),
        ("cwd", table.cwd != default.cwd),
        ("allow_relative", table.allow_relative),
        ("allow_shell", table.allow_shell),
        ("limits", table.limits != default.limits),
        ("grace_s", table.grace_s != default.grace_s),
    ]
}

fn of_addresses(table: &Table) -> Keys {
    vec![
        ("headers", !table.headers.is_empty()),
        ("token", table.token.is_some()),
        ("allow_private", table.allow_private),
    ]
}

fn of_services(table: &Table) -> Keys {
    let default = Table::default();
    let response_bytes_max = table.response_bytes_max != default.response_bytes_max;
    vec![
        ("base", table.base.is_some()),
        ("basic", table.basic.is_some()),
        ("api_key", table.api_key.is_some()),
        ("response_bytes_max", response_bytes_max),
    ]
}

fn of_mcp_servers(table: &Table) -> Keys {
    let default = Table::default();
    vec![
        ("isolation", table.isolation != default.isolation),
        ("speaks", table.speaks != default.speaks),
        ("log_level", table.log_level != default.log_level),
        ("refresh_s", table.refresh_s != default.refresh_s),
        ("visit_max_s", table.visit_max_s != default.visit_max_s),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_means_nothing_for_what_is_hosted_is_told() {
        let check = |text: &str, wanted: Option<&str>| {
            let table: Table = toml::from_str(text).expect("it is a table");
            assert_eq!(misplaced(&table), wanted, "{text}");
        };
        check("command = ['/a']\nenv = {A = 'b'}\nspeaks = 'legacy'", None);
        check("command = ['/a']\ntoken = 'b'", Some("token"));
        check("command = ['/a']\nbase = 'https://b'", Some("base"));
        check("url = 'https://a'\ntoken = 'b'\nallow_private = true", None);
        check("url = 'https://a'\nallow_shell = true", Some("allow_shell"));
        check(
            "url = 'https://a'\nbasic = {user = 'b', password = 'c'}",
            Some("basic"),
        );
        check(
            "openapi = '/a'\nbase = 'https://b'\nheaders = {A = 'b'}",
            None,
        );
        check(
            "openapi = '/a'\nisolation = 'per-session'",
            Some("isolation"),
        );
    }
}
