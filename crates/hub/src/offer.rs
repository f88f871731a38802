//! A worker's catalog as it comes, and as `catalog` takes it.

use std::time::Duration;

use bytes::Bytes;
use ostler_catalog::{Declarations, EntryRefusal, Offer, OfferedEntry};
use ostler_protocol::{json::Raw, listing::TaskSupport};
use ostler_rpc::{
    convert::{capabilities, clip},
    worker_v1 as wire,
};
use prost::Message;

/// So many refusals are told to a worker at once: they must fit into one frame.
pub(crate) const REFUSALS_MAX: usize = 200;
/// The longest text in a refusal, in bytes.
const TEXT_MAX: usize = 512;

/// Reads an encoded `Catalog`. An entry that cannot be read is refused by itself; the error is
/// about the catalog as a whole.
pub(crate) fn read(
    server: u32,
    bytes: &Bytes,
    depth_max: usize,
) -> Result<(Offer, Vec<wire::EntryRefusal>), String> {
    let catalog = wire::Catalog::decode(bytes.clone())
        .map_err(|error| format!("the catalog cannot be decoded: {error}"))?;
    let mut reader = EntryReader {
        server,
        depth_max,
        refusals: Vec::new(),
    };
    let server_info = reader.server_info(catalog.server_info)?;
    let tools = catalog
        .tools
        .into_iter()
        .map(|it| (it.definition, it.declarations));
    let prompts = catalog
        .prompts
        .into_iter()
        .map(|it| (it.definition, it.declarations));
    let resources = catalog
        .resources
        .into_iter()
        .map(|it| (it.definition, it.declarations));
    let templates = catalog
        .templates
        .into_iter()
        .map(|it| (it.definition, it.declarations));
    let skills = catalog
        .skills
        .into_iter()
        .map(|it| (it.definition, it.declarations));
    let offer = Offer {
        server_info,
        instructions: Some(catalog.instructions).filter(|text| !text.is_empty()),
        tools: reader.entries("tool", tools),
        prompts: reader.entries("prompt", prompts),
        resources: reader.entries("resource", resources),
        templates: reader.entries("template", templates),
        skills: reader.entries("skill", skills),
        completions: catalog.completions,
        logging: catalog.logging,
        resource_watch: catalog.resource_watch,
    };
    Ok((offer, reader.refusals))
}

struct EntryReader {
    server: u32,
    depth_max: usize,
    refusals: Vec<wire::EntryRefusal>,
}

impl EntryReader {
    fn server_info(&self, bytes: Bytes) -> Result<Raw, String> {
        Raw::parse(bytes, self.depth_max).map_err(|error| format!("server_info: {error}"))
    }

    fn entries(
        &mut self,
        kind: &'static str,
        entries: impl Iterator<Item = (Bytes, Option<wire::Declarations>)>,
    ) -> Vec<OfferedEntry> {
        let mut taken = Vec::new();
        for (place, (definition, declarations)) in entries.enumerate() {
            match self.entry(definition, declarations.unwrap_or_default()) {
                Ok(entry) => taken.push(entry),
                Err(reason) => self.refusals.push(wire::EntryRefusal {
                    server: self.server,
                    kind: kind.to_owned(),
                    name: format!("#{place}"),
                    reason: shorten(reason),
                }),
            }
        }
        taken
    }

    fn entry(&self, bytes: Bytes, wire: wire::Declarations) -> Result<OfferedEntry, String> {
        let definition = Raw::parse(bytes, self.depth_max).map_err(|error| error.to_string())?;
        let declarations = declarations(wire)?;
        Ok(OfferedEntry {
            definition,
            declarations,
        })
    }
}

fn declarations(wire: wire::Declarations) -> Result<Declarations, String> {
    let task = match wire.task() {
        wire::TaskSupport::Unspecified => TaskSupport::None,
        wire::TaskSupport::Optional => TaskSupport::Optional,
        wire::TaskSupport::Required => TaskSupport::Required,
    };
    let timeout = (wire.timeout_ms > 0).then(|| Duration::from_millis(wire.timeout_ms));
    Ok(Declarations {
        requires: capabilities(&wire.requires).map_err(|error| error.to_string())?,
        scopes: wire.scopes,
        idempotent: wire.idempotent,
        replay_safe: wire.replay_safe,
        timeout,
        task,
        unlisted: wire.unlisted,
    })
}

pub(crate) fn refusal(server: u32, refusal: EntryRefusal) -> wire::EntryRefusal {
    wire::EntryRefusal {
        server,
        kind: refusal.kind.as_str().to_owned(),
        name: shorten(refusal.name),
        reason: shorten(refusal.reason),
    }
}

pub(crate) fn whole_server(server: u32, reason: String) -> wire::EntryRefusal {
    wire::EntryRefusal {
        server,
        kind: "server".to_owned(),
        name: String::new(),
        reason: shorten(reason),
    }
}

fn shorten(text: String) -> String {
    clip(&text, TEXT_MAX).to_owned()
}
