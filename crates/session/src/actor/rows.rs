//! A session's rows as a whole: written, read, deleted.

use ostler_store::{Batch, Durable, Key, KeyPrefix, Owner, Record, Store, StoreError};
use ostler_types::Timestamp;

use crate::{
    Config,
    record::{self, CallRow, EventRow, Kind, QuestionRow, SessionKey, SessionRow},
    state::RestoredCall,
    stream::{Cursor, Place, StoredEvent, StreamId},
};

/// Rows read at once.
const PAGE_LEN: usize = 512;

/// Adds the session's row.
pub(super) fn put_session(
    batch: &mut Batch,
    config: &Config,
    key: &SessionKey,
    owner: &Owner,
    row: &SessionRow,
) {
    let deadline = Some(ends(row, config));
    batch.put(key.row(), record::encode(row, row.epoch, owner), deadline);
}

/// When a session ends if nobody uses it any more, or by its age [SES-6].
pub(super) fn ends(row: &SessionRow, config: &Config) -> Timestamp {
    let idle = row.used() + config.idle_span();
    idle.min(row.created() + config.age_max)
}

/// Deletes all that there is of a session; its own row first, so that whatever happens next,
/// nobody finds it any more. `whole`: there may be more than that row.
pub(crate) async fn purge(
    store: &Store,
    key: &SessionKey,
    whole: bool,
) -> Result<Durable, StoreError> {
    let mut batch = Batch::new();
    batch.delete(key.row());
    let ended = store.commit(batch).await?;
    if whole {
        for prefix in [key.calls(), key.events()] {
            delete_all(store, &prefix).await?;
        }
    }
    Ok(ended)
}

async fn delete_all(store: &Store, prefix: &KeyPrefix) -> Result<(), StoreError> {
    loop {
        let rows = store.scan(prefix, None, PAGE_LEN).await?;
        let last_page = rows.len() < PAGE_LEN;
        let mut batch = Batch::new();
        rows.into_iter().for_each(|(key, _)| batch.delete(key));
        store.commit(batch).await?;
        if last_page {
            return Ok(());
        }
    }
}

/// The stored events of a stream from the cursor's own on, in order: its last events are read
/// however many older ones there are. Bounded by what a stream stores within the retention.
pub(super) async fn events_from(
    store: &Store,
    key: &SessionKey,
    owner: &Owner,
    Cursor { stream, place }: Cursor,
) -> Result<Vec<StoredEvent>, StoreError> {
    let before = Place {
        seq: place.seq.saturating_sub(1),
        ..place
    };
    let mut after = key.event(stream, before);
    let mut events = Vec::new();
    loop {
        let rows = store
            .scan(&key.stream(stream), Some(&after), PAGE_LEN)
            .await?;
        events.extend(rows.iter().filter_map(|row| event(row, owner)));
        let last_page = rows.len() < PAGE_LEN;
        match rows.into_iter().next_back() {
            Some((last, _)) if !last_page => after = last,
            Some(_) | None => return Ok(events),
        }
    }
}

/// Where the oldest event lies that a stream still has.
pub(super) async fn oldest_event(
    store: &Store,
    key: &SessionKey,
    stream: StreamId,
) -> Result<Option<Place>, StoreError> {
    let rows = store.scan(&key.stream(stream), None, 1).await?;
    Ok(rows.first().and_then(|(key, _)| record::event_place(key)))
}

/// An event of somebody else is none, and leaves a gap.
fn event((key, record): &(Key, Record), owner: &Owner) -> Option<StoredEvent> {
    if record.owner != *owner {
        return None;
    }
    let row: EventRow = record::decode(record)?;
    Some(StoredEvent {
        place: record::event_place(key)?,
        last: row.last,
        data: row.into_data(),
    })
}

/// The open calls of a session, each with its questions, and how many rows were unreadable.
pub(super) async fn open_calls(
    store: &Store,
    session: &SessionKey,
) -> Result<(Vec<RestoredCall>, usize), StoreError> {
    let (mut calls, mut unreadable, mut after) = (Vec::new(), 0, None);
    loop {
        let rows = store
            .scan(&session.calls(), after.as_ref(), PAGE_LEN)
            .await?;
        for (key, record) in &rows {
            if !add_row(&mut calls, session, key, record) {
                unreadable += 1;
            }
        }
        if rows.len() < PAGE_LEN {
            return Ok((calls, unreadable));
        }
        after = rows.into_iter().next_back().map(|(key, _)| key);
    }
}

/// A call's row comes before its questions. False: the row cannot be read.
fn add_row(
    calls: &mut Vec<RestoredCall>,
    session: &SessionKey,
    key: &Key,
    record: &Record,
) -> bool {
    if record::is(record, Kind::Call) {
        return add_call(calls, session, key, record).is_some();
    }
    if record::is(record, Kind::Question) {
        return add_question(calls, key, record).is_some();
    }
    true
}

fn add_call(
    calls: &mut Vec<RestoredCall>,
    session: &SessionKey,
    key: &Key,
    record: &Record,
) -> Option<()> {
    let row: CallRow = record::decode(record)?;
    let (_, call) = record::call_of_key(key, &session.tenant)?;
    let facts = row.facts(call)?;
    if row.open {
        calls.push(RestoredCall {
            stream: row.stream(),
            facts,
            questions: Vec::new(),
        });
    }
    Some(())
}

fn add_question(calls: &mut [RestoredCall], key: &Key, record: &Record) -> Option<()> {
    let row: QuestionRow = record::decode(record)?;
    let ((call, id), asked) = (record::question_of_key(key)?, row.into_asked()?);
    let mut calls = calls.iter_mut();
    // The rows of a finished call may still hold questions: they went with it.
    if let Some(call) = calls.find(|open| open.facts.call == call) {
        call.questions.push((id, asked));
    }
    Some(())
}
