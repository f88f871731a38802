//! What is answered from the catalog alone, in either era: lists and descriptions of a Server.

use std::sync::Arc;

use bytes::Bytes;
use ostler_auth::{KeyRing, Purpose};
use ostler_catalog::{Snapshot, without_slash};
use ostler_dispatch::Refusal;
use ostler_protocol::{
    RequestId, Revision,
    cursor::{self, BadCursor, Sequence},
    fault::Fault,
    inbound::ListKind,
    json::Raw,
    reply::{self, ServerCapabilities, Shape},
};

use crate::routes::Exchange;

/// What a request sees of its Server. A Server is known by its workers alone, so one without any is
/// not told apart from one that never was: both may come, and a session must not take it for its end.
pub fn snapshot(exchange: &Exchange) -> Result<Arc<Snapshot>, Fault> {
    let Exchange {
        edge,
        caller,
        server,
    } = exchange;
    let snapshot = edge.dispatcher.snapshot(caller, server);
    Ok(snapshot.map_err(Refusal::of_known_server)?)
}

/// Who answers while no worker of the Server is linked.
pub fn nameless() -> Raw {
    Raw::from_static(r#"{"name":"ostler","version":"0"}"#)
}

/// What to declare [CAP-1].
pub fn capabilities(snapshot: &Snapshot) -> ServerCapabilities {
    let offers = snapshot.capabilities;
    ServerCapabilities {
        tools: offers.tools,
        prompts: offers.prompts,
        resources: offers.resources,
        subscribe: offers.resource_watch,
        logging: offers.logging,
        completions: offers.completions,
        tasks: offers.tasks,
        apps: offers.apps,
        skills: offers.skills,
        skill_directories: offers.skill_directories,
    }
}

/// One page of a list [P-3].
pub fn page(
    exchange: &Exchange,
    revision: Revision,
    id: &RequestId,
    kind: ListKind,
    cursor: Option<&str>,
) -> Result<Bytes, Fault> {
    let snapshot = snapshot(exchange)?;
    offered(&snapshot, kind)?;
    let marks = Marks::of(exchange);
    let list = Sequence::List(kind);
    let after = marks.read(list, cursor)?;
    let limit = exchange.edge.config.limits.page_entries_max;
    let page = snapshot.page(kind, revision, after.as_deref(), limit);
    let next = page.next.map(|mark| marks.write(list, &mark));
    // "No tools" would be kept by clients that list once; "nobody is here" is asked again.
    if page.entries.is_empty() && snapshot.is_deserted() {
        return Err(Fault::NoWorker);
    }
    let shape = Shape {
        revision,
        server_info: &snapshot.server_info,
    };
    Ok(reply::list(&shape, id, kind, page.entries, next.as_deref()))
}

/// A list that is not declared does not exist [CAP-3].
fn offered(snapshot: &Snapshot, kind: ListKind) -> Result<(), Fault> {
    let capabilities = snapshot.capabilities;
    let (declared, method) = match kind {
        ListKind::Tools => (capabilities.tools, "tools/list"),
        ListKind::Prompts => (capabilities.prompts, "prompts/list"),
        ListKind::Resources => (capabilities.resources, "resources/list"),
        ListKind::Templates => (capabilities.resources, "resources/templates/list"),
        ListKind::Skills => (capabilities.skills, "skills/list"),
    };
    must_be_declared(declared, method)
}

fn must_be_declared(declared: bool, method: &str) -> Result<(), Fault> {
    let unknown = || Fault::MethodNotFound {
        method: method.to_string(),
    };
    declared.then_some(()).ok_or_else(unknown)
}

/// What is not there while nobody is here may exist.
fn not_there(snapshot: &Snapshot, reason: &str) -> Fault {
    match snapshot.is_deserted() {
        true => Fault::NoWorker,
        false => Fault::InvalidParams(reason.to_string()),
    }
}

/// One skill by the URI of its SKILL.md [EX-4].
pub fn skill(
    exchange: &Exchange,
    revision: Revision,
    id: &RequestId,
    uri: &str,
) -> Result<Bytes, Fault> {
    let snapshot = snapshot(exchange)?;
    must_be_declared(snapshot.capabilities.skills, "skills/get")?;
    let skill = snapshot.skill(uri);
    let skill = skill.ok_or_else(|| not_there(&snapshot, "unknown skill"))?;
    let shape = Shape {
        revision,
        server_info: &snapshot.server_info,
    };
    Ok(reply::skill(
        &shape,
        id,
        &skill.shown(revision, ListKind::Skills),
    ))
}

/// One page of a directory of a skill [EX-4].
pub fn directory(
    exchange: &Exchange,
    revision: Revision,
    id: &RequestId,
    uri: &str,
    cursor: Option<&str>,
) -> Result<Bytes, Fault> {
    let snapshot = snapshot(exchange)?;
    let declared = snapshot.capabilities.skill_directories;
    must_be_declared(declared, "resources/directory/read")?;
    let marks = Marks::of(exchange);
    let after = marks.read(Sequence::Directory, cursor)?;
    let after = after.map(|key| name_of(uri, &key)).transpose()?;
    let limit = exchange.edge.config.limits.page_entries_max;
    let page = snapshot.directory(revision, uri, after.as_deref(), limit);
    let page = page.ok_or_else(|| not_there(&snapshot, "not a directory of a skill"))?;
    let next = page.next.map(|name| {
        let key = format!("{}/{name}", without_slash(uri));
        marks.write(Sequence::Directory, key.as_bytes())
    });
    let shape = Shape {
        revision,
        server_info: &snapshot.server_info,
    };
    let kind = ListKind::Resources;
    Ok(reply::list(
        &shape,
        id,
        kind,
        &page.entries,
        next.as_deref(),
    ))
}

/// The name behind which a directory goes on. A cursor of another directory is none of this one.
fn name_of(uri: &str, key: &[u8]) -> Result<String, Fault> {
    let child = std::str::from_utf8(key).ok().and_then(|key| {
        let name = key.strip_prefix(without_slash(uri))?.strip_prefix('/')?;
        (!name.contains('/')).then(|| name.to_owned())
    });
    child.ok_or_else(|| Fault::InvalidParams(BadCursor.to_string()))
}

/// Cursors are bound to tenant, Server and kind of list, or directory: no other takes them.
struct Marks<'e> {
    keys: &'e KeyRing,
    tenant: &'e str,
    server: &'e str,
}

impl<'e> Marks<'e> {
    fn of(exchange: &'e Exchange) -> Self {
        Self {
            keys: &exchange.edge.keys,
            tenant: exchange.server.tenant.as_str(),
            server: exchange.server.name.as_str(),
        }
    }

    fn read(&self, sequence: Sequence, cursor: Option<&str>) -> Result<Option<Vec<u8>>, Fault> {
        let parts = [self.tenant.as_bytes(), self.server.as_bytes()];
        let verify = |body: &[u8], mac: &[u8; 16]| {
            self.keys
                .verify(Purpose::Cursor, &[parts[0], parts[1], body], mac)
        };
        let read = cursor.map(|cursor| cursor::decode(sequence, cursor, verify));
        read.transpose()
            .map(Option::flatten)
            .map_err(|bad| Fault::InvalidParams(bad.to_string()))
    }

    fn write(&self, sequence: Sequence, key: &[u8]) -> String {
        let parts = [self.tenant.as_bytes(), self.server.as_bytes()];
        let mac = |body: &[u8]| self.keys.mac(Purpose::Cursor, &[parts[0], parts[1], body]);
        cursor::encode(sequence, key, mac)
    }
}
