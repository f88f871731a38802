use bytes::Bytes;
use ostler_protocol::{
    Raw,
    call::{
        Answer, AnswerFailure, Executed, Failure, Log, LogLevel, Outcome, Progress, Question,
        QuestionKind,
    },
    facet::{Capability, ClientFacet},
};
use ostler_types::{CallId, CallKind};

use super::*;
use crate::{
    transfer::{Assembler, AssemblerLimits, Transfer, TransferNumbers},
    worker_v1 as wire,
};

const CALL: CallId = CallId(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);

fn assembler() -> Assembler {
    Assembler::new(AssemblerLimits {
        payload_bytes_max: 1 << 20,
        open_bytes_max: 4 << 20,
        open_len_max: 16,
    })
}

/// Writes a noun, carries its transfers over and reads it again.
fn check<W, T>(
    write: impl FnOnce(&mut Writer<'_>) -> W,
    read: impl FnOnce(&mut Reader<'_>, W) -> T,
) -> T {
    let numbers = TransferNumbers::default();
    let mut writer = Writer::new(&numbers);
    let wire = write(&mut writer);
    let mut assembler = assembler();
    for mut transfer in writer.into_transfers() {
        while let Some(part) = Transfer::next_part(&mut transfer) {
            assembler.add(&part).expect("it keeps the rules");
        }
    }
    let noun = read(&mut Reader::new(&mut assembler, 64), wire);
    assert_eq!(assembler.open_bytes(), 0);
    noun
}

fn big_object() -> Raw {
    let text = format!(r#"{{"x":"{}"}}"#, "y".repeat(200_000));
    Raw::parse(text.into(), 8).expect("it is JSON")
}

fn check_outcome(outcome: Outcome) {
    let read = check(
        |w| w.outcome(CALL, 2, &outcome),
        |r, wire| r.outcome(wire.outcome),
    );
    assert!(read == Ok(outcome), "it arrived otherwise");
}

fn read_outcome(result: &'static str) -> Result<Outcome, BadFrame> {
    let payload = wire::Payload {
        inline: Bytes::from_static(result.as_bytes()),
        transfer: 0,
    };
    let outcome = Some(wire::outcome::Outcome::Result(payload));
    Reader::new(&mut assembler(), 64).outcome(outcome)
}

#[test]
fn ids_keep_every_bit() {
    let wire: wire::CallId = CALL.into();
    assert_eq!(
        (wire.hi, wire.lo),
        (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210)
    );
    assert_eq!(call_id(Some(wire)), Ok(CALL));
    assert_eq!(call_id(None), Err(BadFrame::Missing("call")));
}

#[test]
fn outcomes_arrive_as_they_were_sent() {
    check_outcome(Ok(Raw::from_static(r#"{"content":[]}"#)));
    check_outcome(Ok(big_object()));
    let message = || "no".to_owned();
    for failure in [
        Failure::Internal(message()),
        Failure::NotFound { message: message() },
        Failure::InvalidParams(message()),
        Failure::NeedsCapability(vec![Capability::Ui, Capability::SampleContext]),
        Failure::NeedsScope(vec!["write".to_owned()]),
        Failure::Protocol {
            code: -1,
            message: message(),
            data: None,
        },
        Failure::Protocol {
            code: 7,
            message: message(),
            data: Some(big_object()),
        },
        Failure::Cancelled,
        Failure::TimedOut,
    ] {
        check_outcome(Err(failure));
    }
}

#[test]
fn a_failure_only_a_platform_says_is_an_internal_one_on_the_wire() {
    let lost = Err(Failure::WorkerLost {
        executed: Executed::No,
    });
    let read = check(
        |w| w.outcome(CALL, 1, &lost),
        |r, wire| r.outcome(wire.outcome),
    );
    assert!(matches!(read, Ok(Err(Failure::Internal(_)))), "{read:?}");
}

#[test]
fn questions_and_answers_arrive_as_they_were_sent() {
    let kinds = [
        QuestionKind::ElicitForm,
        QuestionKind::ElicitUrl,
        QuestionKind::Sample,
        QuestionKind::Roots,
    ];
    let question = |kind| Question {
        key: format!("{kind:?}"),
        kind,
        params: big_object(),
    };
    let questions: Vec<_> = kinds.into_iter().map(question).collect();
    let read = check(|w| w.ask(CALL, 1, &questions), |r, ask| r.questions(ask));
    assert!(read == Ok(questions), "they arrived otherwise");

    let values = [
        Ok(big_object()),
        Err(AnswerFailure::Unsupported),
        Err(AnswerFailure::Refused),
        Err(AnswerFailure::TimedOut),
        Err(AnswerFailure::Invalid),
    ];
    let answer = |value| Answer {
        key: "k".to_owned(),
        value,
    };
    let answers: Vec<_> = values.into_iter().map(answer).collect();
    let read = check(|w| w.answers(&answers), |r, wire| r.answers(wire));
    assert!(read == Ok(answers), "they arrived otherwise");
}

#[test]
fn chatter_arrives_as_it_was_sent() {
    for level in LogLevel::ALL {
        let log = Log {
            level,
            logger: None,
            data: Raw::from_static("[1]"),
        };
        assert_eq!(
            check(|w| w.log(CALL, 1, &log), |r, wire| r.log(wire)),
            Ok(log)
        );
    }
    let progress = Progress {
        progress: 0.5,
        total: Some(2.0),
        message: Some("half".to_owned()),
    };
    assert_eq!(
        wire::Progress::of(CALL, 1, &progress).try_into(),
        Ok(progress)
    );
}

#[test]
fn texts_for_people_cannot_fill_a_frame() {
    let message = "ä".repeat(100_000);
    let failure = Err(Failure::Internal(message.clone()));
    let read = check(
        |w| w.outcome(CALL, 1, &failure),
        |r, wire| r.outcome(wire.outcome),
    );
    let Ok(Err(Failure::Internal(cut))) = read else {
        panic!("it is still that failure");
    };
    assert!(cut.len() == 16 << 10 && message.starts_with(&cut));
}

#[test]
fn progress_that_json_cannot_say_is_refused() {
    for number in [f64::NAN, f64::INFINITY] {
        let wire = wire::Progress {
            total: Some(number),
            ..wire::Progress::default()
        };
        assert_eq!(
            Progress::try_from(wire),
            Err(BadFrame::NotFinite("progress"))
        );
    }
}

#[test]
fn a_result_is_one_strict_json_object() {
    assert!(matches!(
        read_outcome(r#"{"a":1,"a":2}"#),
        Err(BadFrame::Json { .. })
    ));
    assert!(matches!(read_outcome(""), Err(BadFrame::Json { .. })));
    assert_eq!(read_outcome("[]"), Err(BadFrame::NotAnObject("result")));
    let pretty = read_outcome("{\r\n \"a\": 1\r\n}")
        .expect("it is JSON")
        .expect("a result");
    assert!(!pretty.as_str().contains(['\r', '\n']));
}

#[test]
fn only_a_payload_that_was_never_sent_ends_the_link() {
    let payload = Some(wire::Payload {
        inline: Bytes::new(),
        transfer: 9,
    });
    let error = Reader::new(&mut assembler(), 64).json("result", payload);
    assert!(error.is_err_and(|error| error.ends_link()));
    let payload = Some(wire::Payload {
        inline: vec![b' '; 2 << 20].into(),
        transfer: 0,
    });
    let error = Reader::new(&mut assembler(), 64)
        .json("result", payload)
        .expect_err("too large");
    assert!(error.is_too_large() && !error.ends_link());
}

#[test]
fn closed_sets_survive_the_wire_and_unknown_values_do_not() {
    for kind in [
        CallKind::Tool,
        CallKind::Prompt,
        CallKind::Resource,
        CallKind::Completion,
    ] {
        assert_eq!(call_kind(call_kind_to_wire(kind).into()), Ok(kind));
    }
    assert!(call_kind(0).is_err() && call_kind(99).is_err() && log_level(99).is_err());
    let all = ClientFacet {
        elicit_form: true,
        elicit_url: true,
        sample: true,
        sample_tools: true,
        sample_context: true,
        roots: true,
        roots_list_changed: false,
        tasks: true,
        ui: true,
    };
    assert_eq!(facet(&facet_to_wire(&all)), all);
    assert!(capabilities(&[1, 99]).is_err());
    let newer = wire::ClientFacet {
        capabilities: vec![1, 99],
    };
    assert_eq!(facet(&newer), ClientFacet::with(&[Capability::ElicitForm]));
}
