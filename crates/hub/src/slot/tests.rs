use std::{
    sync::Arc,
    task::{Wake, Waker},
};

use ostler_protocol::{
    Raw,
    call::{AnswerFailure, Failure, Log, LogLevel, Progress, QuestionKind},
};

use super::*;

struct Woken(std::sync::atomic::AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

const CALL: CallId = CallId(7);
const DEADLINE: Instant = Instant(9);

fn started() -> Slot {
    let origin = Origin::Started { deadline: DEADLINE };
    Slot::new(CALL, 1, origin, Arc::default())
}

fn named() -> Slot {
    named_among(&Arc::default())
}

fn named_among(unowned: &Arc<UnownedBytes>) -> Slot {
    let origin = Origin::Named { at: Instant(1) };
    Slot::new(CALL, 1, origin, unowned.clone())
}

fn progress(n: u32) -> CallEvent {
    let (total, message) = (None, None);
    CallEvent::Progress(Progress {
        progress: n.into(),
        total,
        message,
    })
}

fn question(key: &str) -> Question {
    Question {
        key: key.to_owned(),
        kind: QuestionKind::Roots,
        params: Raw::empty_object(),
    }
}

fn answer(key: &str) -> Answer {
    let value = Ok(Raw::empty_object());
    Answer {
        key: key.to_owned(),
        value,
    }
}

fn ok() -> AttemptEnd {
    AttemptEnd::Outcome(Ok(Raw::empty_object()))
}

/// Everything there is for the owner now, and how often it was woken for it.
fn check(slot: &Slot, expected: &[AttemptEvent]) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut found = Vec::new();
    while let Poll::Ready(Some(event)) = slot.poll_next(&mut cx) {
        found.push(event);
    }
    assert_eq!(found, expected);
}

fn event(event: CallEvent) -> AttemptEvent {
    AttemptEvent::Event(event)
}

#[test]
fn the_owner_hears_everything_in_order_and_the_end_last() {
    let (slot, config) = (started(), Config::default());
    slot.started();
    slot.chatter(progress(1), &config);
    slot.ask(vec![question("a")], &config).expect("few");
    slot.become_task();
    assert_eq!(slot.end(ok(), Ended::ByWorker).fate, EndFate::First);
    check(
        &slot,
        &[
            event(CallEvent::Started),
            event(progress(1)),
            event(CallEvent::Ask(vec![question("a")])),
            event(CallEvent::BecomeTask),
            AttemptEvent::Ended(ok()),
        ],
    );
    check(&slot, &[]);
}

#[test]
fn a_waiting_owner_is_woken_by_each_kind_of_news() {
    let config = Config::default();
    let woken = Arc::new(Woken(0.into()));
    let waker = Waker::from(woken.clone());
    let slot = started();
    slot.keep();
    let news: [&dyn Fn(); 6] = [
        &|| slot.started(),
        &|| slot.kept(),
        &|| assert_eq!(slot.chatter(progress(1), &config), 0),
        &|| slot.ask(vec![question("a")], &config).expect("few"),
        &|| slot.become_task(),
        &|| assert_eq!(slot.end(ok(), Ended::ByWorker).fate, EndFate::First),
    ];
    for (count, tell) in (1..).zip(news) {
        let mut cx = Context::from_waker(&waker);
        assert!(slot.poll_next(&mut cx).is_pending());
        tell();
        assert_eq!(woken.0.load(std::sync::atomic::Ordering::SeqCst), count);
        assert!(slot.poll_next(&mut cx).is_ready());
    }
}

#[test]
fn the_first_end_wins() {
    let slot = started();
    assert_eq!(slot.end(ok(), Ended::ByWorker).fate, EndFate::First);
    assert_eq!(
        slot.end(AttemptEnd::Lost, Ended::ByWorker).fate,
        EndFate::Duplicate
    );
    check(&slot, &[AttemptEvent::Ended(ok())]);
    let slot = started();
    let deadline = AttemptEnd::Outcome(Err(Failure::Deadline));
    slot.end(deadline.clone(), Ended::ByPlatform(Instant(1)));
    assert_eq!(slot.end(ok(), Ended::ByWorker).fate, EndFate::Late);
    check(&slot, &[AttemptEvent::Ended(deadline)]);
}

#[test]
fn chatter_goes_oldest_first_and_nothing_else_ever() {
    let slot = started();
    let config = Config {
        chatter_len_max: 2,
        ..Config::default()
    };
    slot.started();
    slot.ask(vec![question("a")], &config).expect("few");
    let dropped: usize = (0..5).map(|n| slot.chatter(progress(n), &config)).sum();
    assert_eq!(dropped, 3);
    slot.end(ok(), Ended::ByWorker);
    assert_eq!(slot.chatter(progress(9), &config), 1);
    check(
        &slot,
        &[
            event(CallEvent::Started),
            event(CallEvent::Ask(vec![question("a")])),
            event(progress(3)),
            event(progress(4)),
            AttemptEvent::Ended(ok()),
        ],
    );
}

#[test]
fn chatter_is_bounded_in_bytes_too() {
    let slot = started();
    let config = Config {
        chatter_bytes_max: 1_000,
        ..Config::default()
    };
    let (level, logger) = (LogLevel::Info, None);
    let data = Raw::from_text(&"x".repeat(600));
    let log = CallEvent::Log(Log {
        level,
        logger,
        data,
    });
    assert_eq!(slot.chatter(log.clone(), &config), 0);
    assert_eq!(slot.chatter(log.clone(), &config), 1);
    check(&slot, &[event(log)]);
}

#[test]
fn open_questions_are_bounded() {
    let slot = started();
    let config = Config {
        ask_bytes_max: 200,
        ..Config::default()
    };
    slot.ask(vec![question("a"), question("b")], &config)
        .expect("few");
    assert_eq!(
        slot.ask(vec![question("c"), question("d")], &config),
        Err(TooManyQuestions)
    );
}

#[test]
fn what_is_only_said_again_is_not_heard_again() {
    let (slot, config) = (started(), Config::default());
    slot.hand();
    slot.keep();
    for _ in 0..2 {
        slot.started();
        slot.kept();
        slot.become_task();
        slot.ask(vec![question("a")], &config).expect("few");
    }
    slot.answer(vec![answer("a")], None);
    slot.ask(vec![question("a"), question("b")], &config)
        .expect("few");
    check(
        &slot,
        &[
            event(CallEvent::Started),
            event(CallEvent::Kept),
            event(CallEvent::BecomeTask),
            event(CallEvent::Ask(vec![question("a")])),
            event(CallEvent::Ask(vec![question("b")])),
        ],
    );
}

#[test]
fn orders_wait_until_the_call_has_left() {
    let slot = started();
    assert!(!slot.keep());
    assert_eq!(slot.cancel("enough", Instant(1)), CancelStep::TakeBack);
    let orders = slot.hand();
    assert!(orders.keep);
    assert_eq!(orders.cancel.as_deref(), Some("enough"));
    let slot = started();
    slot.hand();
    assert!(slot.keep());
    assert!(!slot.keep());
    assert_eq!(slot.cancel("enough", Instant(1)), CancelStep::Send);
    assert_eq!(slot.cancel("enough", Instant(1)), CancelStep::Nothing);
}

#[test]
fn answers_are_sent_again_until_they_were_surely_taken_in() {
    let slot = started();
    slot.hand();
    let at = |bytes| Position { link: 1, bytes };
    assert_eq!(slot.answer(vec![answer("a")], Some(at(0))).numbers, [1]);
    slot.answers_left(&[1], at(100));
    assert_eq!(slot.answer(vec![answer("b")], Some(at(99))).numbers, [2]);
    slot.answers_left(&[2], at(200));
    let orders = slot.orders();
    assert_eq!(orders.answers, [answer("a"), answer("b")]);
    // Both leave together on the next link; the third waits there.
    slot.answers_left(&orders.numbers, Position { link: 2, bytes: 50 });
    assert_eq!(slot.answer(vec![answer("c")], None).numbers, [3]);
    let taken = Position { link: 2, bytes: 60 };
    assert_eq!(slot.answer(vec![answer("d")], Some(taken)).numbers, [4]);
    assert_eq!(slot.orders().answers, [answer("c"), answer("d")]);
}

#[test]
fn an_answer_that_was_overtaken_is_sent_again() {
    let slot = started();
    slot.hand();
    slot.answer(vec![answer("large")], None);
    let small = slot.answer(vec![answer("small")], None);
    let at = Position { link: 1, bytes: 10 };
    slot.answers_left(&small.numbers, at);
    slot.answer(vec![answer("later")], Some(at));
    assert_eq!(slot.orders().answers, [answer("large"), answer("later")]);
}

#[test]
fn answers_beyond_the_bound_are_kept_as_failures() {
    let slot = started();
    let text = format!("\"{}\"", "x".repeat(state::ANSWERS_BYTES_MAX - 1_000));
    let large = |key: &str| Answer {
        key: key.to_owned(),
        value: Ok(Raw::parse(text.clone().into(), 4).expect("JSON")),
    };
    let given = slot.answer(vec![large("a"), large("b"), answer("c")], None);
    assert!(given.answers[0].value.is_ok());
    assert_eq!(given.answers[1].value, Err(AnswerFailure::Invalid));
    assert!(given.answers[2].value.is_ok());
    assert_eq!(slot.orders().answers, given.answers);
}

#[test]
fn what_is_asked_too_much_or_too_late_is_not_kept() {
    let (slot, config) = (started(), Config::default());
    slot.end(ok(), Ended::ByWorker);
    slot.ask(vec![question("a")], &config).expect("ignored");
    assert!(slot.state.lock().open.is_empty());
    let (slot, ask_bytes_max) = (started(), 10);
    let config = Config {
        ask_bytes_max,
        ..config
    };
    slot.ask(vec![question("a")], &config)
        .expect_err("too much");
    assert!(slot.state.lock().open.is_empty());
}

#[test]
fn a_new_owner_of_a_kept_call_hears_what_still_matters() {
    let (slot, config) = (started(), Config::default());
    slot.hand();
    slot.keep();
    slot.kept();
    slot.ask(vec![question("a"), question("b")], &config)
        .expect("few");
    slot.answer(vec![answer("a")], None);
    let kept = event(CallEvent::Kept);
    let open = event(CallEvent::Ask(vec![question("b")]));
    assert!(!slot.claim());
    slot.disown(|| Instant(1));
    assert!(slot.claim());
    check(&slot, &[kept.clone(), open]);
    slot.end(ok(), Ended::ByWorker);
    check(&slot, &[AttemptEvent::Ended(ok())]);
    slot.disown(|| Instant(2));
    assert!(slot.claim());
    check(&slot, &[kept, AttemptEvent::Ended(ok())]);
}

#[test]
fn a_plain_call_cannot_be_claimed_and_a_named_one_can() {
    let slot = started();
    slot.disown(|| Instant(1));
    assert!(!slot.claim());
    assert!(named().claim());
}

#[test]
fn what_is_held_for_nobody_is_counted_until_somebody_comes_or_it_goes() {
    let all = Arc::new(UnownedBytes::default());
    let slot = named_among(&all);
    assert_eq!(all.get(), 0);
    let long = Raw::from_text(&"x".repeat(1_000));
    let asked = Question {
        params: long.clone(),
        ..question("a")
    };
    slot.ask(vec![asked], &Config::default()).unwrap();
    assert!(all.get() > 1_000);
    let failure = Failure::Protocol {
        code: 7,
        message: "no".to_owned(),
        data: Some(Raw::from_text(&"x".repeat(2_000))),
    };
    slot.end(AttemptEnd::Outcome(Err(failure)), Ended::ByWorker);
    let end = all.get();
    assert!((2_000..3_000).contains(&end), "{end}");
    assert!(slot.claim());
    assert_eq!(all.get(), 0);
    slot.disown(|| Instant(2));
    assert_eq!(all.get(), end);
    drop(slot);
    assert_eq!(all.get(), 0);
}

#[test]
fn what_no_new_owner_would_be_told_is_not_held() {
    let all = Arc::new(UnownedBytes::default());
    let origin = Origin::Started { deadline: DEADLINE };
    let plain = Slot::new(CALL, 1, origin, all.clone());
    plain.chatter(progress(1), &Config::default());
    plain.disown(|| Instant(2));
    assert_eq!(plain.chatter(progress(2), &Config::default()), 1);
    assert_eq!(all.get(), 0);
    let state = plain.state.lock();
    assert!(state.events.is_empty() && state.chatter_bytes == 0);
}
