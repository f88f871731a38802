//! An exported store as bytes. Numbers are big-endian.
//!
//! ```text
//! export  = "ostler export\r\n\0" | version u32 = 1 | store format u32 | entry… | trailer
//! entry   = 1 u8 | key length u16 | rows u16 | key | row… | crc u32
//! row     = length u16 | bytes
//! trailer = 0 u8 | entries u64 | bytes before the trailer u64 | crc u32
//! ```
//! One entry is one record: its head and its parts as they are stored (see `record`), so an
//! engine's own form is not part of it. Entries are in the order of their keys, each key once.
//! A CRC-32 covers the entry or trailer before it; the trailer is the end of the file. Indexes
//! that the store keeps itself are not written; they are made anew.

use std::io::{self, Read, Write};

use bytes::Bytes;

use super::OfflineError;
use crate::{
    engine::files::FORMAT,
    key::KEY_BYTES_MAX,
    record::{CHUNK_BYTES, PAYLOAD_BYTES_MAX},
};

const MAGIC: &[u8; 16] = b"ostler export\r\n\0";
const VERSION: u32 = 1;
const ENTRY: u8 = 1;
const TRAILER: u8 = 0;

const ROWS_MAX: usize = 1 + PAYLOAD_BYTES_MAX / CHUNK_BYTES;

/// A key set aside has one byte more than its record's.
const KEY_MAX: usize = KEY_BYTES_MAX + 1;

pub(super) struct Sink<'a> {
    out: &'a mut dyn Write,
    entries: u64,
    bytes: u64,
}

impl<'a> Sink<'a> {
    pub fn begin(out: &'a mut dyn Write) -> io::Result<Sink<'a>> {
        let mut sink = Sink {
            out,
            entries: 0,
            bytes: 0,
        };
        sink.write(MAGIC)?;
        sink.write(&VERSION.to_be_bytes())?;
        sink.write(&FORMAT.to_be_bytes())?;
        Ok(sink)
    }

    pub fn entry(&mut self, key: &[u8], head: &Bytes, parts: &[Bytes]) -> io::Result<()> {
        let mut entry = vec![ENTRY];
        entry.extend_from_slice(&short(key.len()).to_be_bytes());
        entry.extend_from_slice(&short(1 + parts.len()).to_be_bytes());
        entry.extend_from_slice(key);
        for row in std::iter::once(head).chain(parts) {
            entry.extend_from_slice(&short(row.len()).to_be_bytes());
            entry.extend_from_slice(row);
        }
        self.entries += 1;
        self.write_summed(entry)
    }

    /// Ends the stream; how many entries it holds.
    pub fn end(mut self) -> io::Result<u64> {
        let mut trailer = vec![TRAILER];
        trailer.extend_from_slice(&self.entries.to_be_bytes());
        trailer.extend_from_slice(&self.bytes.to_be_bytes());
        self.write_summed(trailer)?;
        self.out.flush()?;
        Ok(self.entries)
    }

    fn write_summed(&mut self, mut bytes: Vec<u8>) -> io::Result<()> {
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

fn short(len: usize) -> u16 {
    u16::try_from(len).expect("keys, rows and counts of rows are far shorter")
}

/// One record as it was stored.
pub(super) struct Entry {
    pub key: Vec<u8>,
    pub head: Bytes,
    pub parts: Vec<Bytes>,
}

pub(super) struct Source<'a> {
    input: &'a mut dyn Read,
    /// Bytes read.
    at: u64,
    crc: crc32fast::Hasher,
    entries: u64,
    last_key: Vec<u8>,
}

impl<'a> Source<'a> {
    pub fn begin(input: &'a mut dyn Read) -> Result<Source<'a>, OfflineError> {
        let mut source = Source {
            input,
            at: 0,
            crc: crc32fast::Hasher::new(),
            entries: 0,
            last_key: Vec::new(),
        };
        if source.array()? != *MAGIC {
            return Err(source.broken("it begins otherwise"));
        }
        if u32::from_be_bytes(source.array()?) != VERSION {
            return Err(source.broken("another version of Ostler wrote it"));
        }
        if u32::from_be_bytes(source.array()?) != FORMAT {
            return Err(source.broken("it holds another format of store"));
        }
        Ok(source)
    }

    /// The next record; `None` after the last, when the trailer was as it should be.
    pub fn next(&mut self) -> Result<Option<Entry>, OfflineError> {
        let before = self.at;
        self.crc = crc32fast::Hasher::new();
        match self.array()? {
            [ENTRY] => self.entry().map(Some),
            [TRAILER] => self.trailer(before).map(|()| None),
            _ => Err(self.broken("neither a record nor the end")),
        }
    }

    fn entry(&mut self) -> Result<Entry, OfflineError> {
        let key_len = usize::from(u16::from_be_bytes(self.array()?));
        let rows = usize::from(u16::from_be_bytes(self.array()?));
        if !(1..=KEY_MAX).contains(&key_len) || !(1..=ROWS_MAX).contains(&rows) {
            return Err(self.broken("a record beyond all bounds"));
        }
        let key = self.bytes(key_len)?;
        let head = self.row()?;
        let parts = (1..rows).map(|_| self.row()).collect::<Result<_, _>>()?;
        self.check_crc()?;
        if key <= self.last_key {
            return Err(self.broken("a record out of order"));
        }
        self.entries += 1;
        self.last_key.clone_from(&key);
        Ok(Entry { key, head, parts })
    }

    fn row(&mut self) -> Result<Bytes, OfflineError> {
        let len = u16::from_be_bytes(self.array()?);
        self.bytes(len.into()).map(Bytes::from)
    }

    fn trailer(&mut self, before: u64) -> Result<(), OfflineError> {
        let entries = u64::from_be_bytes(self.array()?);
        let bytes = u64::from_be_bytes(self.array()?);
        self.check_crc()?;
        if (entries, bytes) != (self.entries, before) {
            return Err(self.broken("records are missing"));
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) | Err(_) => Err(self.broken("it goes on behind its end")),
        }
    }

    fn check_crc(&mut self) -> Result<(), OfflineError> {
        let crc = self.crc.clone().finalize();
        match u32::from_be_bytes(self.array()?) == crc {
            true => Ok(()),
            false => Err(self.broken("a checksum does not match")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], OfflineError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn bytes(&mut self, len: usize) -> Result<Vec<u8>, OfflineError> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), OfflineError> {
        self.input
            .read_exact(bytes)
            .map_err(|why| match why.kind() {
                io::ErrorKind::UnexpectedEof => self.broken("it ends early"),
                _ => self.broken("it cannot be read"),
            })?;
        self.crc.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub fn broken(&self, why: &'static str) -> OfflineError {
        OfflineError::Broken { at: self.at, why }
    }
}
