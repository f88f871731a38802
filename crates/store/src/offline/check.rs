//! Whether every row is what was written, and the rows are what belongs together.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    ops::Bound,
};

use bytes::Bytes;

use crate::{
    Key, Table,
    engine::{Engine, EngineError},
    key::{self, aside_key, deadline_key, split_deadline_key},
    record::{self, Damaged},
    store::Core,
};

/// Rows read at once; each has at most 16 KiB.
pub(super) const PAGE_LEN: usize = 1_024;

/// Findings that are named; all are counted.
const NAMED_MAX: usize = 1_000;

/// What is in a store, and what is wrong with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that verify.
    pub records: BTreeMap<Table, u64>,
    /// Entries of the index of deadlines that tell of nothing any more. Damage leaves them
    /// behind; the janitor deletes them when their time comes.
    pub stale_entries: u64,
    /// What is damaged, by where and how.
    pub damaged: BTreeMap<(&'static str, Damage), u64>,
    /// The first thousand of them.
    pub findings: Vec<Finding>,
}

/// One thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The table, by name.
    pub table: &'static str,
    /// Where: the key, or its beginning where reading ended.
    pub key: String,
    /// What is wrong there.
    pub damage: Damage,
    /// What the engine said, if it said something.
    pub why: Option<String>,
}

/// What can be wrong. A node answers to all of them as if the record had never been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// The database cannot be opened: a node would move it aside and begin with an empty one.
    Unopened,
    /// Files are not as they were when the store was closed.
    Changed,
    /// The engine cannot read on from here in this table.
    Unreadable,
    /// The record or one of its parts is not what was written.
    Unverified,
    /// The record has a deadline and the index does not know: it would stay for ever.
    NoEntry,
    /// The index knows a record that is not there, nor set aside.
    NoRecord,
    /// Parts of a payload whose record is not there, or is shorter.
    NoHead,
    /// No row that this version writes.
    Unknown,
}

impl Report {
    /// Whether nothing is damaged.
    pub fn is_good(&self) -> bool {
        self.damaged.is_empty()
    }

    pub(super) fn of_a_closed_book(why: String) -> Report {
        let mut report = Report::default();
        report.find("database", String::new(), Damage::Unopened, Some(why));
        report
    }

    fn find(&mut self, table: &'static str, key: String, damage: Damage, why: Option<String>) {
        *self.damaged.entry((table, damage)).or_default() += 1;
        if self.findings.len() < NAMED_MAX {
            self.findings.push(Finding {
                table,
                key,
                damage,
                why,
            });
        }
    }
}

pub(super) fn check(core: &Core) -> Report {
    let mut check = Check {
        core,
        report: Report::default(),
        headless: None,
    };
    let changed = core.engine.damaged_blocks();
    if changed > 0 {
        let why = format!("in {changed} blocks of 64 KiB; records may be gone without a trace");
        let report = &mut check.report;
        report.find("database", String::new(), Damage::Changed, Some(why));
    }
    // By table, so that one that cannot be read hides no other.
    for first in 0..=u8::MAX {
        let walked = walk(core.engine.as_ref(), &[first], |key, value| {
            check.row(key, value);
            Ok(())
        });
        if let Err((at, why)) = walked {
            check.find(&at, Damage::Unreadable, Some(why));
        }
    }
    check.report
}

/// Calls `each` with every row whose key starts with `prefix`; an error says where.
pub(super) fn walk(
    engine: &dyn Engine,
    prefix: &[u8],
    mut each: impl FnMut(&[u8], &Bytes) -> Result<(), EngineError>,
) -> Result<(), (Vec<u8>, EngineError)> {
    let mut after = None::<Vec<u8>>;
    loop {
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = engine.scan(prefix, from, PAGE_LEN);
        let rows = rows.map_err(|why| (after.clone().unwrap_or(prefix.to_vec()), why))?;
        for (key, value) in &rows {
            each(key, value).map_err(|why| (key.clone(), why))?;
        }
        if rows.len() < PAGE_LEN {
            return Ok(());
        }
        after = rows.into_iter().last().map(|(key, _)| key);
    }
}

struct Check<'a> {
    core: &'a Core,
    report: Report,
    /// The record whose parts were the last without one: all of them are one finding.
    headless: Option<Vec<u8>>,
}

impl Check<'_> {
    fn row(&mut self, key: &[u8], value: &Bytes) {
        let checked = match key
            .first()
            .copied()
            .map(|first| (first, Table::numbered(first)))
        {
            Some((key::PARTS, _)) => self.part(key),
            Some((_, Some(Table::Deadlines))) => self.entry(key),
            Some((_, Some(table))) => self.record(table, key, value),
            Some((_, None)) | None => {
                self.find(key, Damage::Unknown, None);
                Ok(())
            }
        };
        if let Err(why) = checked {
            self.find(key, Damage::Unreadable, Some(why));
        }
    }

    fn record(&mut self, table: Table, key: &[u8], head: &Bytes) -> Result<(), EngineError> {
        if self.core.assemble(key, head)?.is_err() {
            self.find(key, Damage::Unverified, None);
            return Ok(());
        }
        *self.report.records.entry(table).or_default() += 1;
        let deadline = record::extent(head)
            .ok()
            .and_then(|extent| extent.deadline_ms);
        if let Some(at) = deadline
            && self.core.engine.get(&deadline_key(at, key))?.is_none()
        {
            self.find(key, Damage::NoEntry, None);
        }
        Ok(())
    }

    fn entry(&mut self, entry: &[u8]) -> Result<(), EngineError> {
        let Some((deadline_ms, key)) = split_deadline_key(entry) else {
            self.find(entry, Damage::Unknown, None);
            return Ok(());
        };
        match self.core.engine.get(key)?.as_deref().map(record::extent) {
            Some(Ok(extent)) if extent.deadline_ms == Some(deadline_ms) => {}
            // Its record does not verify, and was found already.
            Some(Err(Damaged)) => {}
            Some(Ok(_)) => self.report.stale_entries += 1,
            None if self.core.engine.get(&aside_key(key))?.is_some() => {
                self.report.stale_entries += 1;
            }
            None => self.find(key, Damage::NoRecord, None),
        }
        Ok(())
    }

    fn part(&mut self, part: &[u8]) -> Result<(), EngineError> {
        let Some((index, key)) = key::split_part_key(part) else {
            self.find(part, Damage::Unknown, None);
            return Ok(());
        };
        if self.headless.as_deref() == Some(key) {
            return Ok(());
        }
        let head = self.core.engine.get(key)?;
        let has_head = match head.as_deref().map(record::extent) {
            Some(Ok(extent)) => index <= extent.parts,
            Some(Err(Damaged)) => true,
            None => false,
        };
        if !has_head {
            self.headless = Some(key.to_vec());
            self.find(key, Damage::NoHead, None);
        }
        Ok(())
    }

    fn find(&mut self, key: &[u8], damage: Damage, why: Option<EngineError>) {
        let table = key.first().copied().and_then(Table::numbered);
        let table = table.map_or("unknown", Table::name);
        let why = why.map(|why| why.of_read().to_string());
        let key = format!("{:?}", Key::from_stored(key.to_vec()));
        self.report.find(table, key, damage, why);
    }
}

impl Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Damage::Unopened => "cannot be opened",
            Damage::Changed => "changed while it was closed",
            Damage::Unreadable => "cannot be read from here on",
            Damage::Unverified => "is not what was written",
            Damage::NoEntry => "would never expire",
            Damage::NoRecord => "is lost, and its deadline is not",
            Damage::NoHead => "is lost, and parts of it are not",
            Damage::Unknown => "is nothing that this version writes",
        })
    }
}
