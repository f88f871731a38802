//! Annotations of content and resources: whom it is for, how much it matters, since when.

use crate::{json::walk, revision::Revision, write::Writer};

/// Whether the revision lacks one of them.
pub(crate) fn need_strip(annotations: &str, revision: Revision) -> bool {
    walk::members(annotations).any(|(name, _)| !knows(revision, &name))
}

/// Writes the member `annotations` with what the revision knows of it.
pub(crate) fn write(writer: &mut Writer, annotations: &str, revision: Revision) {
    writer.object_member("annotations", |writer| {
        let known = walk::members(annotations).filter(|(name, _)| knows(revision, name));
        for (name, value) in known {
            writer.raw_member(&name, value);
        }
    });
}

fn knows(revision: Revision, name: &str) -> bool {
    name != "lastModified" || revision.has_last_modified()
}
