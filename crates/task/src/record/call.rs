//! The row of a running call: small, so that all of them can be read at a start to find out
//! who owns what the workers name. It goes with the end of the call.

use minicbor::{Decode, Encode};
use ostler_hub::Placement;
use ostler_store::{Key, Record, Table};
use ostler_types::{CallId, ServerId, ServerName, TaskId, TenantId};

use super::{
    BadRecord,
    parts::{StoredPlace, encode_place},
    unreadable,
};
use crate::facts::Facts;

pub(crate) const KIND: u16 = 202;
pub(crate) const VERSION: u16 = 1;

pub(crate) fn key(tenant: &TenantId, call: CallId) -> Key {
    Key::new(Table::Calls, call.shard(), tenant).bytes(&call.0.to_be_bytes())
}

/// Numbers are never reused.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Row {
    #[cbor(n(0), with = "minicbor::bytes")]
    task: [u8; 24],
    #[cbor(n(1), with = "minicbor::bytes")]
    call: [u8; 16],
    #[n(2)]
    server: String,
    /// For people who look; the owner's own row decides.
    #[n(3)]
    place: Option<StoredPlace>,
}

/// An open call, as found at a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenCall {
    pub server: ServerId,
    pub task: TaskId,
    pub call: CallId,
}

pub(crate) fn encode(facts: &Facts, place: Option<&Placement>) -> Record {
    let row = Row {
        task: facts.id.0,
        call: facts.call.0.to_be_bytes(),
        server: facts.owner.server.as_str().to_owned(),
        place: place.map(encode_place),
    };
    let payload = minicbor::to_vec(row).expect("writing to memory does not fail");
    Record {
        kind: KIND,
        version: VERSION,
        epoch: 0,
        owner: facts.owner.of_record(),
        payload: payload.into(),
    }
}

/// The open call of a record; `None` for records of other owners in the same table.
pub(crate) fn decode(record: &Record) -> Option<Result<OpenCall, BadRecord>> {
    (record.kind == KIND).then(|| decode_ours(record))
}

fn decode_ours(record: &Record) -> Result<OpenCall, BadRecord> {
    if !(VERSION..=VERSION + 1).contains(&record.version) {
        return Err(unreadable("the version"));
    }
    let row: Row = minicbor::decode(&record.payload)?;
    Ok(OpenCall {
        server: ServerId {
            tenant: record.owner.tenant.clone(),
            name: ServerName::parse(&row.server).map_err(|_| unreadable("the Server"))?,
        },
        task: TaskId(row.task),
        call: CallId(u128::from_be_bytes(row.call)),
    })
}
