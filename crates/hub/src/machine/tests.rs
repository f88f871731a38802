use super::*;

fn at(ms: u64) -> Instant {
    Instant::default() + Duration::from_millis(ms)
}

fn process(epoch: u64, credential: &str) -> Process<'_> {
    let epoch = InstanceEpoch(epoch);
    Process { epoch, credential }
}

// ---- who may link ------------------------------------------------------------------

fn check_admit(known: Option<(u64, &str, bool)>, newcomer: (u64, &str), expected: Admission) {
    let linked = known.is_some_and(|(.., linked)| linked);
    let process_of = |(epoch, credential, _)| process(epoch, credential);
    let found = admit(
        known.map(process_of),
        linked,
        process(newcomer.0, newcomer.1),
    );
    assert_eq!(found, expected, "{known:?} then {newcomer:?}");
}

#[test]
fn a_worker_id_is_bound_to_its_credential_and_to_one_process() {
    use NotAdmitted::*;
    check_admit(None, (5, "a"), Admission::New);
    check_admit(Some((5, "a", false)), (5, "a"), Admission::Resume);
    check_admit(
        Some((5, "a", true)),
        (5, "a"),
        Admission::Refuse(AlreadyLinked),
    );
    for linked in [false, true] {
        check_admit(Some((5, "a", linked)), (6, "a"), Admission::Replace);
        check_admit(
            Some((5, "a", linked)),
            (4, "a"),
            Admission::Refuse(Outdated),
        );
        for epoch in [4, 5, 6] {
            let refused = Admission::Refuse(OtherCredential);
            check_admit(Some((5, "a", linked)), (epoch, "b"), refused);
        }
    }
}

#[test]
fn a_credential_has_so_many_workers_and_so_many_bytes_of_catalogs() {
    let config = Config {
        workers_per_credential_max: 2,
        catalog_bytes_max: 10,
        catalog_bytes_per_credential_max: 15,
        ..Config::default()
    };
    let others = |workers, catalog_bytes| Others {
        workers,
        catalog_bytes,
    };
    for (others, bytes, expected) in [
        (others(0, 0), 10, Ok(())),
        (others(0, 0), 11, Err(Crowded::CatalogsOfWorker)),
        (others(1, 5), 10, Ok(())),
        (others(1, 6), 10, Err(Crowded::Catalogs)),
        (others(2, 0), 0, Err(Crowded::Workers)),
    ] {
        assert_eq!(
            fit(others, bytes, &config),
            expected,
            "{others:?} and {bytes}"
        );
    }
}

// ---- what a Hello means ------------------------------------------------------------

#[test]
fn only_a_call_that_was_surely_not_run_may_be_tried_elsewhere() {
    assert_eq!(on_hello(Named::Running), OnHello::Continue);
    assert_eq!(on_hello(Named::Held), OnHello::Await);
    assert_eq!(on_hello(Named::No), OnHello::End(Gone::DidNotRun));
    for named in [Named::Ended, Named::Unsure] {
        assert_eq!(on_hello(named), OnHello::End(Gone::MayHaveRun));
    }
}

// ---- what time does to a call ------------------------------------------------------

const PLAIN: CallTimes = CallTimes {
    deadline: Instant(u64::MAX),
    kept: false,
    cancelled: None,
    ended: None,
    unowned: None,
};

/// What is due just before and at `ms`.
fn check_due(call: CallTimes, lost_ms: Option<u64>, ms: u64, expected: Due) {
    let lost = lost_ms.map(at);
    let config = Config::default();
    let before = Instant(at(ms).0 - 1);
    assert_eq!(
        due(before, &call, lost, &config),
        (Due::Nothing, at(ms)),
        "{call:?}"
    );
    assert_eq!(due(at(ms), &call, lost, &config).0, expected, "{call:?}");
}

fn check_due_now(call: CallTimes, lost_ms: Option<u64>, expected: Due) {
    let found = due(at(1), &call, lost_ms.map(at), &Config::default());
    assert_eq!(found.0, expected, "{call:?} lost {lost_ms:?}");
}

#[test]
fn a_call_ends_by_its_deadline_with_or_without_a_link() {
    let call = CallTimes {
        deadline: at(500),
        ..PLAIN
    };
    check_due(call, None, 500, Due::Deadline);
    check_due(call, Some(0), 500, Due::Deadline);
}

#[test]
fn a_lost_link_is_waited_for_one_second_and_by_a_kept_call_for_thirty() {
    check_due(PLAIN, Some(5), 1_005, Due::Lost);
    check_due(
        CallTimes {
            kept: true,
            ..PLAIN
        },
        Some(5),
        30_005,
        Due::Lost,
    );
}

#[test]
fn a_cancelled_call_ends_with_its_link_or_after_a_grace() {
    let call = CallTimes {
        cancelled: Some(at(0)),
        ..PLAIN
    };
    check_due_now(call, Some(0), Due::Cancelled);
    check_due(call, None, 5_000, Due::Cancelled);
}

#[test]
fn what_the_platform_ended_waits_for_the_worker_but_not_for_ever() {
    let call = CallTimes {
        ended: Some(Ended::ByPlatform(at(0))),
        ..PLAIN
    };
    check_due(call, None, 60_000, Due::Remove);
    check_due_now(call, Some(0), Due::Remove);
}

#[test]
fn a_kept_call_without_an_owner_is_offered_then_forgotten() {
    let unowned = |offered| {
        let since = at(0);
        Some(Unowned { since, offered })
    };
    for ended in [None, Some(Ended::ByWorker)] {
        let call = CallTimes {
            kept: true,
            ended,
            unowned: unowned(false),
            ..PLAIN
        };
        check_due_now(call, None, Due::Offer);
        let call = CallTimes {
            unowned: unowned(true),
            ..call
        };
        check_due(call, None, 30_000, Due::Unclaimed);
    }
}

#[test]
fn a_plain_call_without_an_owner_is_nobodys_business() {
    let since = at(0);
    let unowned = Some(Unowned {
        since,
        offered: false,
    });
    check_due_now(CallTimes { unowned, ..PLAIN }, None, Due::Nothing);
}

// ---- heartbeats --------------------------------------------------------------------

#[test]
fn a_ping_goes_out_every_two_seconds_and_silence_ends_the_link_within_five() {
    let mut heartbeat = Heartbeat::new(at(0), &Config::default());
    assert_eq!(heartbeat.tick(at(1_999)), Beat::Quiet);
    assert_eq!(heartbeat.tick(at(2_000)), Beat::Ping);
    assert_eq!(heartbeat.tick(at(2_250)), Beat::Quiet);
    assert_eq!(heartbeat.tick(at(4_000)), Beat::Ping);
    assert_eq!(heartbeat.tick(at(4_499)), Beat::Quiet);
    assert_eq!(heartbeat.tick(at(4_500)), Beat::Dead);
    heartbeat.heard(at(4_400));
    assert_eq!(heartbeat.tick(at(4_500)), Beat::Quiet);
}

#[test]
fn a_worker_is_not_dead_because_this_node_did_not_look() {
    let mut heartbeat = Heartbeat::new(at(0), &Config::default());
    assert_eq!(heartbeat.tick(at(60_000)), Beat::Ping);
    assert_eq!(heartbeat.tick(at(61_000)), Beat::Quiet);
    assert_eq!(heartbeat.tick(at(62_500)), Beat::Ping);
    assert_eq!(heartbeat.tick(at(64_000)), Beat::Quiet);
    assert_eq!(heartbeat.tick(at(64_500)), Beat::Dead);
}

// ---- credit ------------------------------------------------------------------------

fn credit() -> Credit {
    let config = Config {
        byte_credit: 1_000,
        chatter_per_second_max: 8,
        ..Config::default()
    };
    Credit::new(&config, Duration::from_millis(250))
}

#[test]
fn what_was_taken_in_is_granted_again_in_quarters() {
    let mut credit = credit();
    assert_eq!(credit.take(249), Taken::Fine);
    assert_eq!(credit.grant(), None);
    assert_eq!(credit.take(1), Taken::Fine);
    assert_eq!(credit.grant(), Some(250));
    assert_eq!(credit.grant(), None);
}

#[test]
fn a_worker_that_sends_twice_what_it_may_is_cut_off() {
    let mut credit = credit();
    assert_eq!(credit.take(2_000), Taken::Fine);
    assert_eq!(credit.take(1), Taken::Overdrawn);
}

#[test]
fn a_chattering_worker_waits_for_its_grant_until_the_next_tick() {
    let mut credit = credit();
    (0..3).for_each(|_| credit.chatter());
    credit.take(500);
    assert!(credit.is_throttled());
    assert_eq!(credit.grant(), None);
    credit.tick();
    assert_eq!(credit.grant(), Some(500));
}

#[test]
fn frames_that_cost_nothing_are_bounded_in_each_tick() {
    let mut credit = credit();
    for _ in 0..2 {
        (0..FREE_PER_TICK_MAX).for_each(|_| assert_eq!(credit.take(0), Taken::Fine));
        credit.tick();
    }
    (0..FREE_PER_TICK_MAX).for_each(|_| assert_eq!(credit.take(0), Taken::Fine));
    assert_eq!(credit.take(0), Taken::Overdrawn);
}
