//! The table of what was seen, as people read it.

use std::{collections::BTreeMap, fmt};

use ostler_protocol::Revision;

use super::{Seen, feature::Feature};

#[derive(Debug, Default)]
pub struct Table {
    servers: Vec<String>,
    cells: BTreeMap<(Feature, Revision), BTreeMap<String, Seen>>,
}

impl Table {
    pub fn note(&mut self, server: &str, revision: Revision, feature: Feature, seen: Seen) {
        if !self.servers.iter().any(|known| known == server) {
            self.servers.push(server.to_owned());
        }
        let cell = self.cells.entry((feature, revision)).or_default();
        cell.insert(server.to_owned(), seen);
    }

    /// Cells that are not as they must be.
    pub fn wrong(&self) -> usize {
        let wrong = |(&(feature, revision), cell): (&(Feature, Revision), &BTreeMap<_, Seen>)| {
            let expected = feature.expected(revision);
            cell.values().filter(|seen| **seen != expected).count()
        };
        self.cells.iter().map(wrong).sum()
    }

    /// One word where all workers agree, else a word for each.
    fn cell(&self, feature: Feature, revision: Revision) -> String {
        let cell = &self.cells[&(feature, revision)];
        let mut words: Vec<_> = cell.values().map(word).collect();
        words.dedup();
        match words[..] {
            [word] => word.to_owned(),
            _ => {
                let each = cell
                    .iter()
                    .map(|(server, seen)| format!("{server}: {}", word(seen)));
                each.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

fn word(seen: &Seen) -> &'static str {
    match seen {
        Seen::Works => "works",
        Seen::Refused => "refused",
        Seen::Wrong(_) => "WRONG",
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revisions: Vec<_> = Revision::ALL.iter().rev().collect();
        write!(f, "| |")?;
        revisions
            .iter()
            .try_for_each(|r| write!(f, " {} |", r.as_str()))?;
        write!(f, "\n|---|")?;
        revisions.iter().try_for_each(|_| write!(f, "---|"))?;
        writeln!(f)?;
        for &feature in Feature::ALL {
            write!(f, "| {} |", feature.name())?;
            for &&revision in &revisions {
                write!(f, " {} |", self.cell(feature, revision))?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\nWorkers: {}.", self.servers.join(", "))
    }
}
