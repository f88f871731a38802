//! Kind 12: a call with a stream. Which session and call it is stands in its key.

use minicbor::{Decode, Encode};
use ostler_hub::Placement;
use ostler_protocol::{RequestId, json::Raw};
use ostler_types::{CallId, CallKind, InstanceEpoch, Timestamp, WorkerId};

use crate::{
    record::{Kind, Row},
    state::{CallFacts, FollowedTask},
    stream::StreamId,
};

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct CallRow {
    #[n(0)]
    stream: u64,
    /// The token as the client wrote it.
    #[n(1)]
    request: String,
    #[n(2)]
    kind: u8,
    #[n(3)]
    target: String,
    #[n(4)]
    progress_token: Option<String>,
    #[n(5)]
    worker: Option<String>,
    #[n(6)]
    instance: u64,
    #[n(7)]
    attempt: u32,
    /// False: an earlier version left it behind when the call had ended.
    #[n(8)]
    pub open: bool,
    #[n(9)]
    deadline_ms: u64,
    /// The handle of the task whose call it is.
    #[n(10)]
    task: Option<String>,
    /// When the request for its result came. Older rows do not say: such a request is the oldest.
    #[n(11)]
    since_ms: Option<u64>,
}

impl Row for CallRow {
    const KIND: Kind = Kind::Call;
}

impl CallRow {
    pub fn new(stream: StreamId, facts: &CallFacts) -> Self {
        let placement = facts.placement.as_ref();
        CallRow {
            stream: stream.0,
            request: facts.request.as_raw().to_owned(),
            kind: kind_number(facts.kind),
            target: facts.target.clone(),
            progress_token: facts.progress_token.as_ref().map(|t| t.as_str().to_owned()),
            worker: placement.map(|placement| placement.worker.as_str().to_owned()),
            instance: placement.map_or(0, |placement| placement.instance.0),
            attempt: placement.map_or(0, |placement| placement.attempt),
            open: true,
            deadline_ms: facts.deadline.0,
            task: facts.task.as_ref().map(|task| task.handle.clone()),
            since_ms: facts.task.as_ref().map(|task| task.since.0),
        }
    }

    pub fn stream(&self) -> StreamId {
        StreamId(self.stream)
    }

    pub fn placement(&self) -> Option<Placement> {
        Some(Placement {
            worker: WorkerId::parse(self.worker.as_deref()?).ok()?,
            instance: InstanceEpoch(self.instance),
            attempt: self.attempt,
        })
    }

    pub fn facts(&self, call: CallId) -> Option<CallFacts> {
        let token = self.progress_token.clone();
        Some(CallFacts {
            call,
            request: RequestId::from_token(&self.request)?,
            kind: kind_of(self.kind)?,
            target: self.target.clone(),
            progress_token: token.and_then(|token| Raw::parse(token.into(), 1).ok()),
            placement: self.placement(),
            deadline: Timestamp(self.deadline_ms),
            task: self.task.clone().map(|handle| FollowedTask {
                handle,
                since: Timestamp(self.since_ms.unwrap_or_default()),
            }),
        })
    }
}

fn kind_number(kind: CallKind) -> u8 {
    match kind {
        CallKind::Tool => 1,
        CallKind::Prompt => 2,
        CallKind::Resource => 3,
        CallKind::Completion => 4,
    }
}

fn kind_of(number: u8) -> Option<CallKind> {
    match number {
        1 => Some(CallKind::Tool),
        2 => Some(CallKind::Prompt),
        3 => Some(CallKind::Resource),
        4 => Some(CallKind::Completion),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::testing::check;

    /// The task, if the row says one, of a row as it was written.
    fn task_of(row: &str) -> Option<FollowedTask> {
        let byte = |at| u8::from_str_radix(&row[at..at + 2], 16).expect("it is hexadecimal");
        let row: Vec<u8> = (0..row.len()).step_by(2).map(byte).collect();
        let row: CallRow = minicbor::decode(&row).expect("rows of every version can be read");
        let facts = row.facts(CallId(1)).expect("it is a good row");
        assert_eq!(
            (facts.target, facts.deadline),
            ("echo".into(), Timestamp(1_000))
        );
        facts.task
    }

    #[test]
    fn rows_of_before_are_read() {
        let plain = "0001016137020103646563686f04632270220563772d310603070108f5091903e8";
        assert_eq!(
            task_of(&format!("aa{plain}")),
            None,
            "before calls were followed"
        );
        let followed = FollowedTask {
            handle: "task".into(),
            since: Timestamp(0),
        };
        let row = format!("ab{plain}0a647461736b");
        assert_eq!(task_of(&row), Some(followed), "before it said since when");
    }

    proptest! {
        #[test]
        fn a_call_comes_back_with_its_facts(
            call: u128, stream: u64, kind in 1..=4u8, target: String, token: Option<u32>,
            place: Option<(u64, u32)>, request: u64, deadline: u64,
            task: Option<(String, u64)>,
        ) {
            let facts = CallFacts {
                call: CallId(call),
                request: RequestId::number(request),
                kind: kind_of(kind).expect("1 to 4 are kinds"),
                target,
                progress_token: token.map(|token| Raw::from_text(&token.to_string())),
                placement: place.map(|(instance, attempt)| Placement {
                    worker: WorkerId::parse("w-1").expect("a good name"),
                    instance: InstanceEpoch(instance),
                    attempt,
                }),
                deadline: Timestamp(deadline),
                task: task.map(|(handle, since)| FollowedTask {
                    handle,
                    since: Timestamp(since),
                }),
            };
            let row = CallRow::new(StreamId(stream), &facts);
            prop_assert_eq!(row.facts(facts.call), Some(facts));
            prop_assert_eq!(row.stream(), StreamId(stream));
            prop_assert!(row.open);
            check(row);
        }
    }
}
