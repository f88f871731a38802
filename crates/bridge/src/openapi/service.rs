//! The whole description, read: tools by name, and the report.

use std::collections::HashMap;

use ostler_client::Target;
use ostler_protocol::Raw;
use serde_json::{Value, json};

use super::{
    Config, Error,
    document::Document,
    filter::{Facts, Pattern},
    name::Names,
    operation::{METHODS, Operation},
    report::Report,
    tool::{self, Read, Site},
};

/// Operations of one description that are read, filters applied; the platform takes no more tools
/// of one Server.
const OPERATIONS_MAX: usize = 2_000;
/// Characters of what the service says of itself.
const TEXT_LEN_MAX: usize = 4 << 10;

/// What a description becomes.
#[derive(Debug)]
pub(super) struct Service {
    pub info: Raw,
    pub instructions: Option<String>,
    /// Definitions, in the order of the description.
    pub tools: Vec<Raw>,
    pub operations: HashMap<String, Operation>,
    pub report: Report,
}

/// A description that is being read.
struct Reading<'d> {
    config: &'d Config,
    document: &'d Document,
    names: Names,
    /// Filters that fitted nothing yet.
    unused: Vec<&'d Pattern>,
    service: Service,
}

impl Service {
    /// Paths in alphabetical order, so that what becomes of them is the same every time.
    pub fn read(config: &Config) -> Result<Service, Error> {
        let document = Document::parse(&config.description)?;
        let mut reading = Reading {
            service: empty(&document, base(&document, config)?),
            config,
            document: &document,
            names: Names::default(),
            unused: config.include.iter().chain(&config.exclude).collect(),
        };
        for (path, item) in document.get("paths").as_object().into_iter().flatten() {
            match document.follow(item) {
                Ok(item) => reading.path(path, item),
                Err(why) => reading.service.report.skipped.push((path.clone(), why)),
            }
        }
        Ok(reading.end())
    }
}

impl<'d> Reading<'d> {
    fn path(&mut self, path: &'d str, item: &'d Value) {
        for (method, verb) in METHODS {
            let Some(operation) = item.get(method).filter(|found| found.is_object()) else {
                continue;
            };
            let method = method.to_ascii_uppercase();
            if !self.is_wanted(&method, path, operation) {
                self.service.report.left_out += 1;
                continue;
            }
            let shown = format!("{method} {path}");
            let read = self.operation(Site {
                config: self.config,
                document: self.document,
                path,
                verb,
                shown: &shown,
                item,
                operation,
            });
            match read {
                Ok((name, read)) => self.add(name, shown, read),
                Err(why) => self.service.report.skipped.push((shown, why)),
            }
        }
    }

    fn is_wanted(&mut self, method: &str, path: &str, operation: &Value) -> bool {
        let tags = operation["tags"].as_array().into_iter().flatten();
        let facts = Facts {
            id: operation["operationId"].as_str().unwrap_or_default(),
            tags: tags.filter_map(Value::as_str).collect(),
            method,
            path,
        };
        let fits = |pattern: &Pattern| pattern.fits(&facts);
        self.unused.retain(|pattern| !fits(pattern));
        let Config {
            include, exclude, ..
        } = self.config;
        (include.is_empty() || include.iter().any(fits)) && !exclude.iter().any(fits)
    }

    fn operation(&mut self, site: Site<'_>) -> Result<(String, Read), String> {
        let Report {
            served, skipped, ..
        } = &self.service.report;
        if served.len() + skipped.len() >= OPERATIONS_MAX {
            return Err(format!("there are {OPERATIONS_MAX} before it"));
        }
        let has_servers =
            |value: &Value| value["servers"].as_array().is_some_and(|s| !s.is_empty());
        if has_servers(site.item) || has_servers(site.operation) {
            return Err("it has servers of its own, and requests go to the base alone".to_owned());
        }
        let read = tool::read(site)?;
        let id = site.operation["operationId"].as_str();
        Ok((self.names.take(id.unwrap_or(site.shown)), read))
    }

    fn add(&mut self, name: String, shown: String, read: Read) {
        let Service {
            tools,
            operations,
            report,
            ..
        } = &mut self.service;
        let notes = read.note.into_iter().map(|note| (shown.clone(), note));
        report.notes.extend(notes);
        let mut definition = read.definition;
        definition["name"] = name.as_str().into();
        tools.push(Raw::from_value(&definition));
        report.served.push((name.clone(), shown));
        operations.insert(name, read.operation);
    }

    /// A filter that fits nothing is a slip of whoever wrote it.
    fn end(mut self) -> Service {
        let unused = self.unused.into_iter().map(|pattern| {
            let note = "this filter fits no operation".to_owned();
            (pattern.as_str().to_owned(), note)
        });
        self.service.report.notes.extend(unused);
        self.service
    }
}

fn empty(document: &Document, base: String) -> Service {
    let info = document.get("info");
    let text = |name: &str, otherwise: &str| match &info[name] {
        Value::String(text) if !text.trim().is_empty() => {
            tool::shortened(text.trim(), TEXT_LEN_MAX)
        }
        // Unquoted in YAML, `1.0` is a number.
        Value::Number(number) => number.to_string(),
        _ => otherwise.to_owned(),
    };
    let (title, version) = (text("title", "unnamed"), text("version", "0"));
    let description = text("description", "");
    Service {
        info: Raw::from_value(&json!({"name": title, "version": version})),
        instructions: (!description.is_empty()).then_some(description),
        tools: Vec::new(),
        operations: HashMap::new(),
        report: Report {
            title: format!("{title} {version}"),
            base,
            ..Report::default()
        },
    }
}

/// Where requests go: as configured, else the first server of the description that says where it
/// is; without a slash at its end.
fn base(document: &Document, config: &Config) -> Result<String, Error> {
    let servers = document.get("servers").as_array().into_iter().flatten();
    let base = match &config.base {
        Some(base) => base.clone(),
        None => servers.filter_map(server_url).next().ok_or(Error::NoBase)?,
    };
    let bad = |reason: &str| Error::Base(reason.to_owned());
    // The error of the URL itself is not shown: a password may be in it.
    Target::parse(&base).map_err(|_| bad("it is no http or https URL that can be connected to"))?;
    match base.contains(['?', '#', '\\']) {
        true => Err(bad("it must end with its path")),
        false => Ok(base.trim_end_matches('/').to_owned()),
    }
}

fn server_url(server: &Value) -> Option<String> {
    let mut url = server["url"].as_str()?.to_owned();
    for (name, variable) in server["variables"].as_object().into_iter().flatten() {
        url = url.replace(&format!("{{{name}}}"), variable["default"].as_str()?);
    }
    let is_absolute = url.starts_with("http://") || url.starts_with("https://");
    (is_absolute && !url.contains('{')).then_some(url)
}
