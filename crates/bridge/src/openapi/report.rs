//! What became of a description, operation by operation.

use std::fmt;

/// What became of a description. `Display` shows it to whoever has to correct one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Title and version.
    pub title: String,
    /// Where requests go.
    pub base: String,
    /// Tools with the operations they call, in the order of the description.
    pub served: Vec<(String, String)>,
    /// Operations that could have been served but for a reason.
    pub skipped: Vec<(String, String)>,
    /// Operations that the filters leave out.
    pub left_out: usize,
    /// What is served otherwise than its author may expect.
    pub notes: Vec<(String, String)>,
}

impl Report {
    /// Tells the operator of operations that are not served.
    pub(crate) fn tell(&self, member: &str) {
        for (operation, why) in &self.skipped {
            tracing::warn!(member, operation, why, "an operation is not served");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} at {}", self.title, self.base)?;
        section(f, "tools", &self.served)?;
        section(f, "skipped", &self.skipped)?;
        section(f, "notes", &self.notes)?;
        match self.left_out {
            0 => Ok(()),
            count => writeln!(f, "left out by the filters: {count}"),
        }
    }
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, lines: &[(String, String)]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "{title}: {}", lines.len())?;
    let width = lines.iter().map(|(left, _)| left.chars().count()).max();
    let width = width.unwrap_or_default().min(40);
    lines
        .iter()
        .try_for_each(|(left, right)| writeln!(f, "  {left:width$}  {right}"))
}
