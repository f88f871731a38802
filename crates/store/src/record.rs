//! Records and their envelope.
//!
//! A record is a *head* row under its key (envelope and the first chunk of the payload) and, for
//! long payloads, *part* rows. Rows stay small because sled moves items near its segment size
//! into side files that it never syncs.
//!
//! ```text
//! head = format u8 | crc u32 | kind u16 | version u16 | epoch u64 | deadline ms u64 (0 = none)
//!      | payload length u32 | tenant length u8 | tenant | principal 32 | first chunk
//! ```
//! Numbers are big-endian. The CRC-32 covers the key, the head behind it, and all parts, so a
//! flipped bit, a lost part and a row under a wrong key are all found.

use bytes::{BufMut, Bytes, BytesMut};

use ostler_types::{Principal, TenantId, Timestamp};

/// One record: what its owner stored, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the payload is; numbered by its owner, never reused.
    pub kind: u16,
    /// The version of that kind's form. Readers accept n and n+1.
    pub version: u16,
    /// The activation that wrote it.
    pub epoch: u64,
    /// Whose it is.
    pub owner: Owner,
    /// What its owner encoded.
    pub payload: Bytes,
}

impl Record {
    /// One that the store itself writes.
    pub(crate) fn of_the_store(tenant: TenantId, payload: Bytes) -> Record {
        Record {
            kind: 0,
            version: 0,
            epoch: 0,
            owner: Owner {
                tenant,
                principal: [0; 32],
            },
            payload,
        }
    }
}

/// Whose a record is, beside what its key says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Who pays for it.
    pub tenant: TenantId,
    /// A hash of the principal: enough to compare, not enough to read.
    pub principal: [u8; 32],
}

impl Owner {
    /// The owner that a principal of a tenant is.
    pub fn new(tenant: &TenantId, principal: &Principal) -> Owner {
        let mut hash = blake3::Hasher::new();
        for part in [&principal.issuer, &principal.subject, &principal.client] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Owner {
            tenant: tenant.clone(),
            principal: *hash.finalize().as_bytes(),
        }
    }
}

/// The longest payload. Its parts are numbered with 16 bits, which reaches far beyond.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Payload bytes in one row. With the envelope a row stays within [`ROW_BYTES_MAX`].
pub(crate) const CHUNK_BYTES: usize = 15 << 10;

/// No row is longer.
#[cfg(test)]
pub(crate) const ROW_BYTES_MAX: usize = 16 << 10;

const FORMAT: u8 = 1;
const CRC_END: usize = 5;
const FIXED_BYTES: usize = 30;
const PRINCIPAL_BYTES: usize = 32;

/// A record as rows.
pub(crate) struct Encoded {
    pub head: Bytes,
    pub parts: Vec<Bytes>,
}

/// What the envelope of a head says about its other rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub deadline_ms: Option<u64>,
    pub parts: u16,
}

/// A row that is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged;

pub(crate) fn encode(key: &[u8], record: &Record, deadline: Option<Timestamp>) -> Encoded {
    let first = record.payload.len().min(CHUNK_BYTES);
    let mut head = BytesMut::with_capacity(FIXED_BYTES + 63 + PRINCIPAL_BYTES + first);
    head.put_u8(FORMAT);
    head.put_u32(0);
    head.put_u16(record.kind);
    head.put_u16(record.version);
    head.put_u64(record.epoch);
    // A deadline of zero has passed like one of 1 ms has.
    head.put_u64(deadline.map_or(0, |at| at.0.max(1)));
    head.put_u32(u32::try_from(record.payload.len()).expect("a batch refuses longer payloads"));
    let tenant = record.owner.tenant.as_str();
    head.put_u8(u8::try_from(tenant.len()).expect("a label has at most 63 bytes"));
    head.put_slice(tenant.as_bytes());
    head.put_slice(&record.owner.principal);
    head.put_slice(&record.payload[..first]);
    let parts: Vec<Bytes> = split(&record.payload.slice(first..));
    let crc = crc_of(key, &head, &parts);
    head[1..CRC_END].copy_from_slice(&crc.to_be_bytes());
    Encoded {
        head: head.freeze(),
        parts,
    }
}

/// The record of a head and its parts, if it is what was written under this key.
pub(crate) fn decode(key: &[u8], head: &Bytes, parts: &[Bytes]) -> Result<Record, Damaged> {
    let extent = extent(head)?;
    let crc = head[1..CRC_END].try_into().map_err(|_| Damaged)?;
    let whole = usize::from(extent.parts) == parts.len();
    if !whole || u32::from_be_bytes(crc) != crc_of(key, head, parts) {
        return Err(Damaged);
    }
    let mut rest = &head[CRC_END..];
    let kind = u16::from_be_bytes(take(&mut rest)?);
    let version = u16::from_be_bytes(take(&mut rest)?);
    let epoch = u64::from_be_bytes(take(&mut rest)?);
    rest = &head[FIXED_BYTES - 1..];
    let [tenant_len] = take(&mut rest)?;
    let (tenant, mut rest) = rest.split_at_checked(tenant_len.into()).ok_or(Damaged)?;
    let tenant = std::str::from_utf8(tenant).map_err(|_| Damaged)?;
    let owner = Owner {
        tenant: TenantId::parse(tenant).map_err(|_| Damaged)?,
        principal: take(&mut rest)?,
    };
    Ok(Record {
        kind,
        version,
        epoch,
        owner,
        payload: join(head.slice_ref(rest), parts),
    })
}

/// Reads the envelope's lengths only; the CRC is not checked.
pub(crate) fn extent(head: &[u8]) -> Result<Extent, Damaged> {
    if head.first() != Some(&FORMAT) {
        return Err(Damaged);
    }
    let mut rest = head.get(17..).ok_or(Damaged)?;
    let deadline_ms = u64::from_be_bytes(take(&mut rest)?);
    let payload_len = u32::from_be_bytes(take(&mut rest)?) as usize;
    let beyond_first = payload_len.saturating_sub(CHUNK_BYTES);
    let parts = u16::try_from(beyond_first.div_ceil(CHUNK_BYTES)).map_err(|_| Damaged)?;
    Ok(Extent {
        deadline_ms: (deadline_ms > 0).then_some(deadline_ms),
        parts,
    })
}

fn split(payload: &Bytes) -> Vec<Bytes> {
    let starts = (0..payload.len()).step_by(CHUNK_BYTES);
    let chunk = |start| payload.slice(start..payload.len().min(start + CHUNK_BYTES));
    starts.map(chunk).collect()
}

fn join(first: Bytes, parts: &[Bytes]) -> Bytes {
    if parts.is_empty() {
        return first;
    }
    let len = first.len() + parts.iter().map(Bytes::len).sum::<usize>();
    let mut payload = BytesMut::with_capacity(len);
    payload.put(first);
    for part in parts {
        payload.put_slice(part);
    }
    payload.freeze()
}

fn crc_of(key: &[u8], head: &[u8], parts: &[Bytes]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    // The length first, so that bytes cannot move between key and head.
    crc.update(&(key.len() as u64).to_be_bytes());
    crc.update(key);
    crc.update(&head[CRC_END..]);
    for part in parts {
        crc.update(part);
    }
    crc.finalize()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damaged> {
    let (taken, left) = rest.split_first_chunk().ok_or(Damaged)?;
    *rest = left;
    Ok(*taken)
}

#[cfg(test)]
mod tests;
