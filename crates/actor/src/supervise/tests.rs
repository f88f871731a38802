use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn supervisor(env: &Env, importance: Importance) -> Supervisor<u32> {
    Supervisor::new(env, "test", importance)
}

/// Runs an actor that ends like that, and gives the decision.
async fn check(supervisor: &Supervisor<u32>, reason: StopReason, verdict: Verdict) {
    let ends = reason.clone();
    let stop = supervisor.run(&1, async { ends }).await;
    assert_eq!(stop, Stop { reason, verdict });
}

#[tokio::test(start_paused = true)]
async fn the_table_decides_by_reason_and_importance() {
    use Importance::{Ordinary, Vital};
    use StopReason::{Failed, Retired, Stopped};
    let env = Env::seeded(1);
    for (importance, reason, verdict) in [
        (Ordinary, Retired, Verdict::Forget),
        (Ordinary, Stopped, Verdict::Forget),
        (Ordinary, Failed("x".into()), Verdict::Restart),
        (Vital, Retired, Verdict::Forget),
        (Vital, Stopped, Verdict::Forget),
        (Vital, Failed("x".into()), Verdict::Escalate),
    ] {
        check(&supervisor(&env, importance), reason, verdict).await;
    }
}

#[tokio::test]
async fn a_panic_is_an_end_like_any_other_and_drops_what_the_actor_owned() {
    let env = Env::seeded(1);
    let (owned, dropped) = std::sync::mpsc::channel::<()>();
    let panics = async move {
        let _owned = owned;
        tokio::task::yield_now().await;
        panic!("on {}", "purpose")
    };
    let supervisor = supervisor(&env, Importance::Ordinary);
    let stop = supervisor.run(&1, panics).await;
    assert_eq!(stop.reason, StopReason::Panicked("on purpose".into()));
    assert_eq!(stop.verdict, Verdict::Restart);
    assert!(
        dropped
            .try_recv()
            .is_err_and(|why| why == std::sync::mpsc::TryRecvError::Disconnected)
    );
}

#[tokio::test(start_paused = true)]
async fn three_crashes_in_ten_seconds_are_a_loop_and_end_only_that_actor() {
    let env = Env::seeded(1);
    let supervisor = supervisor(&env, Importance::Ordinary);
    let crash = || StopReason::Failed("x".into());
    check(&supervisor, crash(), Verdict::Restart).await;
    env.sleep(SECOND * 4).await;
    check(&supervisor, crash(), Verdict::Restart).await;
    env.sleep(SECOND * 4).await;
    let other = supervisor.run(&2, async { StopReason::Failed("y".into()) });
    assert_eq!(other.await.verdict, Verdict::Restart);
    check(&supervisor, crash(), Verdict::Forget).await;
    let loops = env
        .metrics()
        .value("ostler_actor_crash_loops_total", &[("kind", "test")]);
    assert_eq!(loops, Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn slow_crashes_are_no_loop_and_are_forgotten() {
    let env = Env::seeded(1);
    let supervisor = supervisor(&env, Importance::Ordinary);
    for _ in 0..9 {
        check(
            &supervisor,
            StopReason::Failed("x".into()),
            Verdict::Restart,
        )
        .await;
        env.sleep(SECOND * 5).await;
    }
    env.sleep(SECOND * 10).await;
    let other = supervisor.run(&2, async { StopReason::Failed("y".into()) });
    other.await;
    assert_eq!(supervisor.crashes.lock().len(), 1);
}

#[tokio::test]
async fn ends_are_counted_by_reason() {
    let env = Env::seeded(1);
    let supervisor = supervisor(&env, Importance::Ordinary);
    check(&supervisor, StopReason::Retired, Verdict::Forget).await;
    check(&supervisor, StopReason::Stopped, Verdict::Forget).await;
    check(
        &supervisor,
        StopReason::Failed("x".into()),
        Verdict::Restart,
    )
    .await;
    supervisor.run(&2, async { panic!("on purpose") }).await;
    for reason in ["retired", "stopped", "failed", "panicked"] {
        let labels = [("kind", "test"), ("reason", reason)];
        let ends = env.metrics().value("ostler_actor_stops_total", &labels);
        assert_eq!(ends, Some(1.0), "{reason}");
    }
}
