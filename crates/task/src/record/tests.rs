//! What is written can be read: for any state, and for the rows of any version so far.

use std::{collections::BTreeMap, time::Duration};

use ostler_hub::Placement;
use ostler_protocol::{
    Raw, Revision,
    call::{AnswerFailure, Question, QuestionKind},
    facet::{Capability, ClientFacet},
};
use ostler_types::{
    CallId, CallKind, InstanceEpoch, ServerName, SessionId, TaskId, TenantId, Timestamp, WorkerId,
};
use proptest::{collection::vec, option, prelude::*, sample::select, strategy::ValueTree};

use super::*;
use crate::{
    facts::{Binding, Facts, Owner, TaskRequest},
    known::{Known, KnownAnswers},
    state::{Asked, Ended, Ending, FailedAnswer, Phase, TaskPart, TaskState, Waiters},
};

fn raw() -> impl Strategy<Value = Raw> {
    let number = any::<f64>().prop_filter("JSON has no such numbers", |n| n.is_finite());
    prop_oneof![
        any::<String>().prop_map(|text| Raw::from_text(&text)),
        number.prop_map(|n| Raw::from_value(&serde_json::json!({"n": [n]}))),
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp)
}

fn span() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

fn known() -> impl Strategy<Value = KnownAnswers> {
    let entry = (
        any::<String>(),
        any::<Option<[u8; 32]>>(),
        raw(),
        any::<bool>(),
    );
    let entry = entry.prop_map(|(key, question, value, spent)| Known {
        key,
        question,
        value,
        spent,
    });
    let entries = (vec(entry, 0..4), any::<bool>());
    entries.prop_map(|(entries, complete)| KnownAnswers { entries, complete })
}

fn asked() -> impl Strategy<Value = Asked> {
    let kinds = [
        QuestionKind::ElicitForm,
        QuestionKind::ElicitUrl,
        QuestionKind::Sample,
        QuestionKind::Roots,
    ];
    let parts = (
        any::<String>(),
        any::<String>(),
        select(kinds.to_vec()),
        raw(),
    );
    parts.prop_map(|(shown, key, kind, params)| Asked {
        shown,
        question: Question { key, kind, params },
    })
}

fn part() -> impl Strategy<Value = TaskPart> {
    let parts = (time(), span(), vec(any::<String>(), 0..4));
    parts.prop_map(|(created_at, ttl, used)| TaskPart {
        created_at,
        ttl,
        message: None,
        used: used.into_iter().collect(),
    })
}

fn phase() -> impl Strategy<Value = Phase> {
    let ending = prop_oneof![
        select(parts::tests::outcomes()).prop_map(Ending::Outcome),
        Just(Ending::Cancelled),
        Just(Ending::Abandoned),
    ];
    let ended = (ending, option::of(part()));
    prop_oneof![
        Just(Phase::Parked),
        part().prop_map(Phase::Task),
        ended.prop_map(|(ending, task)| Phase::Ended(Ended { ending, task })),
    ]
}

fn place() -> impl Strategy<Value = Placement> {
    let parts = ("[A-Za-z0-9._-]{1,128}", any::<u64>(), any::<u32>());
    parts.prop_map(|(worker, instance, attempt)| Placement {
        worker: WorkerId::parse(&worker).unwrap(),
        instance: InstanceEpoch(instance),
        attempt,
    })
}

fn facet() -> impl Strategy<Value = ClientFacet> {
    let all = vec![
        Capability::ElicitForm,
        Capability::SampleTools,
        Capability::Roots,
        Capability::Tasks,
    ];
    proptest::sample::subsequence(all, 0..=4).prop_map(|some| ClientFacet::with(&some))
}

fn request() -> impl Strategy<Value = TaskRequest> {
    let parts = (option::of(span()), option::of(raw()), any::<[u8; 24]>());
    parts.prop_map(|(ttl, progress_token, session)| TaskRequest {
        ttl,
        progress_token,
        session: SessionId(session),
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    let kinds = vec![CallKind::Tool, CallKind::Prompt, CallKind::Resource];
    let ids = (any::<[u8; 24]>(), any::<u128>(), any::<[u8; 32]>());
    let what = (select(kinds), any::<String>(), raw(), select(Revision::ALL));
    let request = option::of(request());
    let how = (
        any::<bool>(),
        any::<bool>(),
        option::of(span()),
        request,
        time(),
    );
    (ids, what, how).prop_map(
        |((id, call, principal), (kind, target, arguments, revision), how)| Facts {
            id: TaskId(id),
            call: CallId(call),
            owner: Owner {
                tenant: TenantId::parse("acme").unwrap(),
                principal,
                server: ServerName::parse("bank").unwrap(),
            },
            binding: Binding::new(kind, &target, &arguments),
            target,
            revision,
            replay_safe: how.0,
            task_support: how.1,
            timeout: how.2,
            request: how.3,
            created_at: how.4,
        },
    )
}

fn failed() -> impl Strategy<Value = FailedAnswer> {
    let failures = vec![
        AnswerFailure::Unsupported,
        AnswerFailure::Refused,
        AnswerFailure::TimedOut,
        AnswerFailure::Invalid,
    ];
    let parts = (any::<String>(), any::<[u8; 32]>(), select(failures));
    parts.prop_map(|(key, question, failure)| FailedAnswer {
        key,
        question,
        failure,
    })
}

fn state() -> impl Strategy<Value = TaskState> {
    let held = (facts(), facet(), phase(), option::of(place()));
    let counts = (any::<u32>(), any::<u32>(), any::<bool>());
    let asked = (vec(asked(), 0..4), known(), vec(failed(), 0..4));
    let times = (time(), time(), option::of(time()));
    (held, counts, asked, times).prop_map(|(held, counts, asked, times)| TaskState {
        facts: held.0,
        facet: held.1,
        phase: held.2,
        round: counts.0,
        asks: counts.1,
        questions: asked.0,
        known: asked.1,
        failed: asked.2,
        waiters: Waiters::default(),
        renamed: BTreeMap::new(),
        wants_task: counts.2,
        updated_at: times.0,
        deadline: times.1,
        cancel_by: times.2,
        place: held.3,
        kept: true,
        stored: true,
        missing_until: None,
        retold: false,
    })
}

proptest! {
    #[test]
    fn any_state_comes_back_from_its_row(state in state()) {
        let record = task::encode(&state);
        prop_assert_eq!(task::decode(state.facts.id, &record), Ok(state));
    }

    #[test]
    fn any_open_call_comes_back_from_its_row(facts in facts(), place in option::of(place())) {
        let record = call::encode(&facts, place.as_ref());
        let open = call::OpenCall {
            server: facts.owner.server_id(),
            task: facts.id,
            call: facts.call,
        };
        prop_assert_eq!(call::decode(&record), Some(Ok(open)));
    }

    #[test]
    fn a_damaged_row_is_refused_and_never_a_crash(
        state in state(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut record = task::encode(&state);
        let mut payload = record.payload.to_vec();
        let at = at.index(payload.len());
        payload[at] = byte;
        record.payload = payload.into();
        // It may still be a good row, of another state; the store's checksum finds that.
        drop(task::decode(state.facts.id, &record));
    }
}

/// From before a client could ask for a task, and before failures were kept.
const ROW_BEFORE_REQUESTS: &str = "97500909090909090909090909090909090964\
    62616e6b01687472616e7366657258200505050505050505050505050505050505050505\
    0505050505050505050505056a323032362d30372d3238f4f5f61903e84001018080f5f5\
    1907d0190bb8f6831903e81907d0816161f6f6";

#[test]
fn a_row_of_before_is_read() {
    let row = ROW_BEFORE_REQUESTS;
    let byte = |at| u8::from_str_radix(&row[at..at + 2], 16).unwrap();
    let payload: Vec<u8> = (0..row.len()).step_by(2).map(byte).collect();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut record = task::encode(&state().new_tree(&mut runner).unwrap().current());
    record.payload = payload.into();
    let state = task::decode(TaskId([1; 24]), &record).unwrap();
    assert!(matches!(state.phase, Phase::Task(part) if part.used.contains("a")));
    assert_eq!((state.facts.request, state.failed), (None, vec![]));
    assert_eq!(state.deadline, Timestamp(3_000));
}

#[test]
fn a_row_of_another_kind_or_of_a_far_version_is_not_read() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let state = state().new_tree(&mut runner).unwrap().current();
    let good = task::encode(&state);
    let read = |change: fn(&mut ostler_store::Record)| {
        let mut record = good.clone();
        change(&mut record);
        task::decode(state.facts.id, &record).is_ok()
    };
    assert!(
        read(|record| record.version += 1),
        "the next version only adds"
    );
    assert!(!read(|record| record.version += 2));
    assert!(!read(|record| record.kind += 1));
    assert!(!read(|record| record.payload = bytes::Bytes::new()));
    assert_eq!(call::decode(&good), None, "rows of others are passed over");
}
