//! Tenants, their API keys, and worker tokens.

use std::ops::Range;

use ostler_auth::{ApiKey, Serves, TenantAccess, WorkerAccess, WorkerToken, check_hash, check_id};
use ostler_types::{ServerName, TenantId, Timestamp, WorkerId};

use super::reader::{Reader, Section, Value};

/// What a configuration opens to those without a credential, and where that is allowed.
pub struct Doors {
    /// Whether the edge listens on loopback.
    pub loopback: bool,
    /// Where `workers.anonymous` is true.
    pub workers: Option<Range<usize>>,
}

/// Who may call and who may serve. Live: a reload replaces it as a whole.
#[derive(Debug, Clone, Default)]
pub struct Access {
    pub tenants: Vec<(TenantId, TenantAccess)>,
    pub workers: WorkerAccess,
}

impl Access {
    pub(super) fn read<'t>(
        &mut self,
        reader: &mut Reader<'t>,
        top: &mut Section<'t>,
        doors: Doors,
    ) {
        for tenant in top.sections(reader, "tenant") {
            self.read_tenant(reader, tenant, doors.loopback);
        }
        let Some(at) = doors.workers else {
            return;
        };
        let open = self
            .tenants
            .iter()
            .filter(|(_, access)| access.anonymous.is_some());
        self.workers.anonymous = open.map(|(name, _)| Serves::Tenant(name.clone())).collect();
        if self.workers.anonymous.is_empty() {
            let what = "needs a [[tenant]] with anonymous = true: workers without a token serve these only";
            reader.problem(&at, "workers.anonymous", what.to_string());
        }
    }

    /// Whether any caller needs no credential.
    pub(super) fn is_open(&self) -> bool {
        self.tenants
            .iter()
            .any(|(_, access)| access.anonymous.is_some())
    }

    /// Callers of `tenant` and workers that serve it need no credential.
    pub(super) fn open(&mut self, tenant: &TenantId) {
        self.workers.anonymous = vec![Serves::Tenant(tenant.clone())];
        match self.tenants.iter_mut().find(|(name, _)| name == tenant) {
            Some((_, access)) => {
                access.anonymous.get_or_insert_default();
            }
            None => self.tenants.push((
                tenant.clone(),
                TenantAccess {
                    keys: Vec::new(),
                    anonymous: Some(Vec::new()),
                },
            )),
        }
    }

    fn read_tenant<'t>(
        &mut self,
        reader: &mut Reader<'t>,
        mut section: Section<'t>,
        loopback: bool,
    ) {
        let mut access = TenantAccess {
            keys: Vec::new(),
            anonymous: read_anonymous(reader, &mut section, loopback),
        };
        let name = section.require(reader, "name", |value| {
            TenantId::parse(&String::read(value)?).map_err(|bad| bad.to_string())
        });
        for key in section.sections(reader, "key") {
            let at = key.at();
            let Some(key) = read_key(reader, key) else {
                continue;
            };
            if access.keys.iter().any(|known| known.id == key.id) {
                reader.problem(&at, "tenant.key.id", twice(&key.id));
            }
            access.keys.push(key);
        }
        for token in section.sections(reader, "worker") {
            self.add_token(reader, token, name.as_ref());
        }
        let Some(name) = name else {
            return section.finish(reader);
        };
        if self.tenants.iter().any(|(known, _)| *known == name) {
            reader.problem(
                &section.at(),
                "tenant.name",
                format!("{name} is there already; names are unique"),
            );
        }
        section.finish(reader);
        self.tenants.push((name, access));
    }

    fn add_token<'t>(
        &mut self,
        reader: &mut Reader<'t>,
        section: Section<'t>,
        tenant: Option<&TenantId>,
    ) {
        let at = section.at();
        let Some(token) = tenant.and_then(|tenant| read_token(reader, section, tenant)) else {
            return;
        };
        if self.workers.tokens.iter().any(|known| known.id == token.id) {
            reader.problem(&at, "tenant.worker.id", twice(&token.id));
        }
        self.workers.tokens.push(token);
    }
}

fn twice(id: &str) -> String {
    format!("{id} is there already; make another with `ostler key new`")
}

/// The scopes of callers without a credential, where such are taken [OR-4].
fn read_anonymous<'t>(
    reader: &mut Reader<'t>,
    section: &mut Section<'t>,
    loopback: bool,
) -> Option<Vec<String>> {
    let mut scopes = None;
    section.set_with(reader, "anonymous_scopes", &mut scopes, |value| {
        Value::read(value).map(Some)
    });
    let Some(at) = section.flag(reader, "anonymous") else {
        if scopes.is_some() {
            let what = "means nothing without anonymous = true".to_string();
            reader.problem(&section.at(), "tenant.anonymous_scopes", what);
        }
        return None;
    };
    if !loopback {
        let what = "works on loopback only: let edge.listen be 127.0.0.1, or make keys with `ostler key new`";
        reader.problem(&at, "tenant.anonymous", what.to_string());
    }
    Some(scopes.unwrap_or_default())
}

/// The id and the hash of a key, in the form that `ostler key new` prints.
fn read_stored<'t>(
    reader: &mut Reader<'t>,
    section: &mut Section<'t>,
) -> (Option<String>, Option<String>) {
    let mut require = |key, check: fn(&str) -> Result<(), &'static str>| {
        section.require(reader, key, |value| {
            let text = String::read(value)?;
            check(&text).map(|()| text).map_err(str::to_string)
        })
    };
    (require("id", check_id), require("hash", check_hash))
}

fn read_key<'t>(reader: &mut Reader<'t>, mut section: Section<'t>) -> Option<ApiKey> {
    let (mut subject, mut scopes, mut valid_until) = (None, Vec::new(), None);
    let (id, hash) = read_stored(reader, &mut section);
    section.set_with(reader, "subject", &mut subject, |value| {
        Value::read(value).map(Some)
    });
    section.set(reader, "scopes", &mut scopes);
    section.set_with(reader, "valid_until", &mut valid_until, |value| {
        timestamp(value).map(Some)
    });
    section.finish(reader);
    Some(ApiKey {
        id: id?,
        hash: hash?,
        subject,
        scopes,
        valid_until,
    })
}

fn read_token<'t>(
    reader: &mut Reader<'t>,
    mut section: Section<'t>,
    tenant: &TenantId,
) -> Option<WorkerToken> {
    let (mut servers, mut workers, mut valid_until) =
        (Vec::<String>::new(), Vec::<String>::new(), None);
    let (id, hash) = read_stored(reader, &mut section);
    section.set(reader, "servers", &mut servers);
    section.set(reader, "workers", &mut workers);
    section.set_with(reader, "valid_until", &mut valid_until, |value| {
        timestamp(value).map(Some)
    });
    let serves = checked(reader, &section, "servers", servers, |name| {
        ServerName::parse(name).map(|name| Serves::Server(tenant.clone(), name))
    });
    let workers = checked(reader, &section, "workers", workers, WorkerId::parse);
    section.finish(reader);
    let serves = match serves.is_empty() {
        true => vec![Serves::Tenant(tenant.clone())],
        false => serves,
    };
    Some(WorkerToken {
        id: id?,
        hash: hash?,
        serves,
        workers,
        valid_until,
    })
}

/// The good ones of `names`; the others become problems.
fn checked<'t, T, E: ToString>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    key: &str,
    names: Vec<String>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Vec<T> {
    let path = format!("{}.{key}", section.name());
    let good = names.iter().filter_map(|name| match parse(name) {
        Ok(good) => Some(good),
        Err(bad) => {
            reader.problem(&section.at(), &path, bad.to_string());
            None
        }
    });
    good.collect()
}

/// A TOML date-time in UTC, such as `2027-01-31T00:00:00Z`.
fn timestamp(value: &toml::de::DeValue<'_>) -> Result<Timestamp, String> {
    let rule = "must be a date-time in UTC such as 2027-01-31T00:00:00Z, without quotes";
    let found = value.as_datetime().ok_or(rule)?;
    let (Some(date), Some(time), Some(toml::value::Offset::Z)) =
        (found.date, found.time, found.offset)
    else {
        return Err(rule.to_string());
    };
    let days = days_from_civil(
        i64::from(date.year),
        i64::from(date.month),
        i64::from(date.day),
    );
    let of_day = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second);
    let millis = (days * 86_400 + of_day) * 1000;
    u64::try_from(millis)
        .map(Timestamp)
        .map_err(|_| rule.to_string())
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Hinnant, `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 3, 1), 11_017);
        assert_eq!(days_from_civil(2026, 11, 20), 20_777);
    }
}
