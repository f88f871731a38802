//! `_meta` that workers write: vendors' keys pass, the protocol's own do not [SEC-6], [EX-3].

use crate::{json::walk, write::Writer};

/// What authors of skills write themselves, though the prefix is MCP's [EX-4].
const OF_SKILLS: &str = "io.modelcontextprotocol.skills";

/// Whether a `_meta` key belongs to MCP itself: its prefix has `modelcontextprotocol` or `mcp`
/// as second label (2025-11-25 on) or as first (before, "modelcontextprotocol.io/").
pub(crate) fn is_reserved(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else {
        return key.starts_with("modelcontextprotocol") || key.starts_with("mcp.");
    };
    let ours = |label: &str| matches!(label, "modelcontextprotocol" | "mcp");
    prefix != OF_SKILLS && prefix.split('.').take(2).any(ours)
}

/// Whether a `_meta` object must be rewritten before it may pass.
pub(crate) fn needs_strip(meta: &str) -> bool {
    walk::members(meta).any(|(key, _)| is_reserved(&key))
}

/// Writes the members of a `_meta` object that may pass, into an open object.
pub(crate) fn write_members(writer: &mut Writer, meta: &str) {
    for (key, value) in walk::members(meta).filter(|(key, _)| !is_reserved(key)) {
        writer.raw_member(&key, value);
    }
}

/// Writes a `_meta` member if anything of it may pass.
pub(crate) fn write(writer: &mut Writer, meta: &str) {
    if walk::members(meta).any(|(key, _)| !is_reserved(&key)) {
        writer.object_member("_meta", |writer| write_members(writer, meta));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_protocol_are_reserved_and_those_of_vendors_are_not() {
        for reserved in [
            "io.modelcontextprotocol/serverInfo",
            "io.modelcontextprotocol/related-task",
            "modelcontextprotocol.io/x",
            "mcp.dev/x",
            "dev.mcp/x",
            "com.mcp.tools/x",
            "modelcontextprotocol",
            "io.modelcontextprotocol.skills.x/y",
            "io.modelcontextprotocol/skills",
        ] {
            assert!(is_reserved(reserved), "{reserved}");
        }
        for free in [
            "ui",
            "ui/resourceUri",
            "com.example.mcp/x",
            "acme/mcp",
            "mcpx/y",
            "io.modelcontextprotocol.skills/version",
        ] {
            assert!(!is_reserved(free), "{free}");
        }
    }
}
