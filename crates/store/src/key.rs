//! Keys: table, shard, tenant, then what the owner appends. Byte order is key order.

use std::fmt;

use ostler_types::{Shard, TenantId};

/// What a record is about. Numbers are stored and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// What is about the store or the node as a whole.
    Meta = 0,
    /// Legacy sessions.
    Sessions = 1,
    /// Stored events of their streams.
    Events = 2,
    /// Kept calls.
    Calls = 3,
    /// Tasks and parked calls.
    Tasks = 4,
    /// The index from time to key; kept by the store itself.
    Deadlines = 5,
    /// Was an index from principal to session; nothing writes it any more.
    Principals = 6,
    /// Records that did not verify, kept aside for a while; written by the store itself.
    Aside = 7,
}

/// Not a table of owners: where the later parts of long payloads lie.
pub(crate) const PARTS: u8 = 255;

impl Table {
    const ALL: [Table; 8] = [
        Table::Meta,
        Table::Sessions,
        Table::Events,
        Table::Calls,
        Table::Tasks,
        Table::Deadlines,
        Table::Principals,
        Table::Aside,
    ];

    /// The table whose keys start with this byte.
    pub(crate) fn numbered(number: u8) -> Option<Table> {
        Table::ALL.into_iter().find(|table| *table as u8 == number)
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Sessions => "sessions",
            Table::Events => "events",
            Table::Calls => "calls",
            Table::Tasks => "tasks",
            Table::Deadlines => "deadlines",
            Table::Principals => "principals",
            Table::Aside => "aside",
        }
    }
}

/// The longest key in bytes: a label of 63 plus ids leave much room below it.
pub const KEY_BYTES_MAX: usize = 512;

/// The full name of one record.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Vec<u8>);

/// What all keys of a scan start with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyPrefix(Vec<u8>);

impl Key {
    /// The start of a key; what names the record within its tenant is appended.
    pub fn new(table: Table, shard: Shard, tenant: &TenantId) -> Key {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&[table as u8, shard.0]);
        bytes.extend_from_slice(tenant.as_str().as_bytes());
        // Labels hold no zero byte, so no tenant's keys lie among those of a longer name.
        bytes.push(0);
        Key(bytes)
    }

    /// Appends bytes as they are: for ids of a fixed length.
    pub fn bytes(mut self, bytes: &[u8]) -> Key {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends text of any length, ended by a zero byte, which it must not contain.
    pub fn text(mut self, text: &str) -> Key {
        debug_assert!(!text.contains('\0'), "a zero byte ends a text in a key");
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self
    }

    /// Appends a number so that keys sort by it.
    pub fn u64(self, number: u64) -> Key {
        self.bytes(&number.to_be_bytes())
    }

    /// Appends a number so that keys sort by it.
    pub fn u32(self, number: u32) -> Key {
        self.bytes(&number.to_be_bytes())
    }

    /// All keys that start with this one.
    pub fn prefix(&self) -> KeyPrefix {
        KeyPrefix(self.0.clone())
    }

    /// The key as it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number at the end of a key made with [`Key::u64`] last.
    pub fn last_u64(&self) -> Option<u64> {
        self.0.last_chunk().copied().map(u64::from_be_bytes)
    }

    /// The last `N` bytes: an id appended last.
    pub fn last_bytes<const N: usize>(&self) -> Option<[u8; N]> {
        self.0.last_chunk().copied()
    }

    pub(crate) fn from_stored(bytes: Vec<u8>) -> Key {
        Key(bytes)
    }
}

impl KeyPrefix {
    /// Everything in a table, all shards and tenants: for scans at start.
    pub fn table(table: Table) -> KeyPrefix {
        KeyPrefix(vec![table as u8])
    }

    /// Everything of one shard in a table.
    pub fn shard(table: Table, shard: Shard) -> KeyPrefix {
        KeyPrefix(vec![table as u8, shard.0])
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// For logs: the table by name, the rest as hex of its first bytes. Ids of sessions and tasks
/// are not shown whole.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 24;
        for byte in self.0.iter().take(SHOWN) {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "…({} bytes)", self.0.len())
    }
}

/// Where part `index` (from 1) of the payload of `key` lies. Two keys never share a part: parts
/// of one length come from keys of one length.
pub(crate) fn part_key(key: &[u8], index: u16) -> Vec<u8> {
    let mut part = parts_prefix(key);
    part.extend_from_slice(&index.to_be_bytes());
    part
}

pub(crate) fn parts_prefix(key: &[u8]) -> Vec<u8> {
    let mut part = Vec::with_capacity(key.len() + 3);
    part.push(PARTS);
    part.extend_from_slice(key);
    part
}

/// The index and the key of a part.
pub(crate) fn split_part_key(part: &[u8]) -> Option<(u16, &[u8])> {
    let (key, index) = part.get(1..)?.split_last_chunk()?;
    Some((u16::from_be_bytes(*index), key))
}

/// The index entry that says when `key` ends.
pub(crate) fn deadline_key(deadline_ms: u64, key: &[u8]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(key.len() + 9);
    entry.push(Table::Deadlines as u8);
    entry.extend_from_slice(&deadline_ms.to_be_bytes());
    entry.extend_from_slice(key);
    entry
}

/// The time and the key of an index entry.
pub(crate) fn split_deadline_key(entry: &[u8]) -> Option<(u64, &[u8])> {
    let (time, key) = entry.get(1..)?.split_first_chunk()?;
    Some((u64::from_be_bytes(*time), key))
}

/// Where a record that did not verify is kept.
pub(crate) fn aside_key(key: &[u8]) -> Vec<u8> {
    let mut aside = Vec::with_capacity(key.len() + 1);
    aside.push(Table::Aside as u8);
    aside.extend_from_slice(key);
    aside
}

/// The first key after all that start with `prefix`; `None` if there is none.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    #[test]
    fn a_tenants_prefix_excludes_longer_names() {
        let short = Key::new(Table::Tasks, Shard(3), &tenant("a")).prefix();
        let long = Key::new(Table::Tasks, Shard(3), &tenant("ab")).u64(1);
        assert!(!long.as_bytes().starts_with(short.as_bytes()));
    }

    #[test]
    fn keys_sort_by_their_numbers() {
        let key = |n| Key::new(Table::Events, Shard(0), &tenant("a")).u64(n);
        assert!(key(255) < key(256));
        assert_eq!(key(256).last_u64(), Some(256));
    }

    #[test]
    fn the_end_of_a_prefix_is_just_behind_it() {
        assert_eq!(prefix_end(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(prefix_end(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(prefix_end(&[255, 255]), None);
        assert_eq!(prefix_end(&[]), None);
    }

    #[test]
    fn an_index_entry_gives_back_time_and_key() {
        let entry = deadline_key(77, b"key");
        assert_eq!(split_deadline_key(&entry), Some((77, b"key".as_slice())));
        assert_eq!(split_deadline_key(&entry[..5]), None);
    }

    #[test]
    fn a_key_in_a_log_does_not_show_an_id_whole() {
        let key = Key::new(Table::Sessions, Shard(1), &tenant("acme")).bytes(&[7; 24]);
        let shown = format!("{key:?}");
        assert!(!shown.contains(&"07".repeat(24)), "{shown}");
    }
}
