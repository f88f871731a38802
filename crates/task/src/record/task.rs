//! The row of one call that outlives its request: all that its actor needs to wake.

use std::{collections::BTreeMap, time::Duration};

use minicbor::{Decode, Encode, bytes::ByteVec};
use ostler_protocol::Revision;
use ostler_store::{Key, Record, Table};
use ostler_types::{CallId, ServerName, SessionId, TaskId, TenantId, Timestamp};

use super::{BadRecord, parts::*, unreadable};
use crate::{
    digest::{self, Digest},
    facts::{Binding, Facts, Owner, TaskRequest},
    state::{Ended, Ending, Phase, TaskPart, TaskState, Waiters},
};

pub(crate) const KIND: u16 = 201;
pub(crate) const VERSION: u16 = 1;

pub(crate) fn key(tenant: &TenantId, id: TaskId) -> Key {
    Key::new(Table::Tasks, id.shard(), tenant).bytes(&id.0)
}

/// Numbers are never reused.
#[derive(Encode, Decode)]
struct Row {
    #[cbor(n(0), with = "minicbor::bytes")]
    call: [u8; 16],
    #[n(1)]
    server: String,
    #[n(2)]
    kind: u8,
    #[n(3)]
    target: String,
    #[cbor(n(4), with = "minicbor::bytes")]
    arguments: Digest,
    #[n(5)]
    revision: String,
    #[n(6)]
    replay_safe: bool,
    #[n(7)]
    task_support: bool,
    #[n(8)]
    timeout_ms: Option<u64>,
    #[n(9)]
    created_ms: u64,
    #[cbor(n(10), with = "minicbor::bytes")]
    facet: Vec<u8>,
    #[n(11)]
    round: u32,
    #[n(12)]
    asks: u32,
    #[n(13)]
    questions: Vec<StoredAsked>,
    #[n(14)]
    known: Vec<StoredKnown>,
    #[n(15)]
    known_complete: bool,
    #[n(16)]
    wants_task: bool,
    #[n(17)]
    updated_ms: u64,
    #[n(18)]
    deadline_ms: u64,
    #[n(19)]
    cancel_by_ms: Option<u64>,
    #[n(22)]
    place: Option<StoredPlace>,
    /// Set once it is a task.
    #[n(20)]
    task: Option<StoredTask>,
    /// Set once it has ended.
    #[n(21)]
    ending: Option<StoredEnding>,
    /// Set when its client asked for a task.
    #[n(23)]
    request: Option<StoredRequest>,
    #[n(24)]
    failed: Option<Vec<StoredFailedAnswer>>,
}

#[derive(Encode, Decode)]
struct StoredRequest {
    #[n(0)]
    ttl_ms: Option<u64>,
    /// As the client wrote it.
    #[n(1)]
    progress_token: Option<ByteVec>,
    #[cbor(n(2), with = "minicbor::bytes")]
    session: [u8; 24],
}

#[derive(Encode, Decode)]
struct StoredTask {
    #[n(0)]
    created_ms: u64,
    #[n(1)]
    ttl_ms: u64,
    #[n(2)]
    used: Vec<String>,
}

#[derive(Encode, Decode)]
enum StoredEnding {
    #[n(1)]
    Outcome(#[n(0)] StoredOutcome),
    #[n(2)]
    Cancelled,
    #[n(3)]
    Abandoned,
}

/// The record of a state. `Gone` has none: its row is deleted.
pub(crate) fn encode(state: &TaskState) -> Record {
    let payload = minicbor::to_vec(row(state)).expect("writing to memory does not fail");
    Record {
        kind: KIND,
        version: VERSION,
        epoch: 0,
        owner: state.facts.owner.of_record(),
        payload: payload.into(),
    }
}

fn row(state: &TaskState) -> Row {
    let facts = &state.facts;
    let (task, ending) = match &state.phase {
        // Who followed it is gone when this is read: then it is parked without questions.
        Phase::Parked | Phase::Followed(_) | Phase::Gone => (None, None),
        Phase::Task(part) => (Some(part), None),
        Phase::Ended(ended) => (ended.task.as_ref(), Some(&ended.ending)),
    };
    Row {
        call: facts.call.0.to_be_bytes(),
        server: facts.owner.server.as_str().to_owned(),
        kind: kind_number(facts.binding.kind),
        target: facts.target.clone(),
        arguments: facts.binding.arguments,
        revision: facts.revision.as_str().to_owned(),
        replay_safe: facts.replay_safe,
        task_support: facts.task_support,
        timeout_ms: facts.timeout.map(millis),
        created_ms: facts.created_at.0,
        facet: encode_facet(&state.facet),
        round: state.round,
        asks: state.asks,
        questions: state.questions.iter().map(encode_asked).collect(),
        known: encode_known(&state.known),
        known_complete: state.known.complete,
        wants_task: state.wants_task,
        updated_ms: state.updated_at.0,
        deadline_ms: state.deadline.0,
        cancel_by_ms: state.cancel_by.map(|at| at.0),
        place: state.place.as_ref().map(encode_place),
        task: task.map(store_task),
        ending: ending.map(store_ending),
        request: facts.request.as_ref().map(store_request),
        failed: Some(state.failed.iter().map(encode_failed).collect()),
    }
}

fn store_request(request: &TaskRequest) -> StoredRequest {
    StoredRequest {
        ttl_ms: request.ttl.map(millis),
        progress_token: request.progress_token.as_ref().map(encode_raw),
        session: request.session.0,
    }
}

fn decode_request(stored: StoredRequest) -> Result<TaskRequest, BadRecord> {
    Ok(TaskRequest {
        ttl: stored.ttl_ms.map(Duration::from_millis),
        progress_token: stored.progress_token.map(decode_raw).transpose()?,
        session: SessionId(stored.session),
    })
}

fn store_task(part: &TaskPart) -> StoredTask {
    StoredTask {
        created_ms: part.created_at.0,
        ttl_ms: millis(part.ttl),
        used: part.used.iter().cloned().collect(),
    }
}

fn store_ending(ending: &Ending) -> StoredEnding {
    match ending {
        Ending::Outcome(outcome) => StoredEnding::Outcome(encode_outcome(outcome)),
        Ending::Cancelled => StoredEnding::Cancelled,
        Ending::Abandoned => StoredEnding::Abandoned,
    }
}

/// The state of a record, as [`encode`] wrote it.
pub(crate) fn decode(id: TaskId, record: &Record) -> Result<TaskState, BadRecord> {
    // Version n+1 only adds numbers, which are ignored.
    if record.kind != KIND || !(VERSION..=VERSION + 1).contains(&record.version) {
        return Err(unreadable("the kind or version"));
    }
    let row: Row = minicbor::decode(&record.payload)?;
    let phase = decode_phase(row.task, row.ending)?;
    let questions = row.questions.into_iter().map(decode_asked);
    let failed = row.failed.into_iter().flatten().map(decode_failed);
    let facts = Facts {
        id,
        call: CallId(u128::from_be_bytes(row.call)),
        owner: Owner {
            tenant: record.owner.tenant.clone(),
            principal: record.owner.principal,
            server: ServerName::parse(&row.server).map_err(|_| unreadable("a server"))?,
        },
        binding: Binding {
            kind: decode_kind(row.kind)?,
            target: digest::text(&row.target),
            arguments: row.arguments,
        },
        target: row.target,
        revision: Revision::parse(&row.revision).ok_or_else(|| unreadable("a revision"))?,
        replay_safe: row.replay_safe,
        task_support: row.task_support,
        timeout: row.timeout_ms.map(Duration::from_millis),
        request: row.request.map(decode_request).transpose()?,
        created_at: Timestamp(row.created_ms),
    };
    Ok(TaskState {
        facts,
        facet: decode_facet(&row.facet)?,
        phase,
        round: row.round,
        asks: row.asks,
        questions: questions.collect::<Result<_, _>>()?,
        known: decode_known(row.known, row.known_complete)?,
        failed: failed.collect::<Result<_, _>>()?,
        waiters: Waiters::default(),
        renamed: BTreeMap::new(),
        wants_task: row.wants_task,
        updated_at: Timestamp(row.updated_ms),
        deadline: Timestamp(row.deadline_ms),
        cancel_by: row.cancel_by_ms.map(Timestamp),
        place: row.place.map(decode_place).transpose()?,
        kept: true,
        stored: true,
        missing_until: None,
        retold: false,
    })
}

fn decode_phase(
    task: Option<StoredTask>,
    ending: Option<StoredEnding>,
) -> Result<Phase, BadRecord> {
    let task = task.map(|task| TaskPart {
        created_at: Timestamp(task.created_ms),
        ttl: Duration::from_millis(task.ttl_ms),
        message: None,
        used: task.used.into_iter().collect(),
    });
    let ending = match ending {
        None => None,
        Some(StoredEnding::Outcome(outcome)) => Some(Ending::Outcome(decode_outcome(outcome)?)),
        Some(StoredEnding::Cancelled) => Some(Ending::Cancelled),
        Some(StoredEnding::Abandoned) => Some(Ending::Abandoned),
    };
    Ok(match (ending, task) {
        (Some(ending), task) => Phase::Ended(Ended { ending, task }),
        (None, Some(part)) => Phase::Task(part),
        (None, None) => Phase::Parked,
    })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
