use std::time::Duration;

use ostler_env::Env;
use ostler_types::{Instant, Timestamp};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_paused_clock_drives_both_times() {
    let env = Env::seeded(1);
    let (now, wall) = (env.now(), env.wall());
    assert_eq!(wall, Env::SEEDED_WALL);
    env.sleep(SECOND * 3).await;
    assert_eq!(env.now().since(now), SECOND * 3);
    assert_eq!(env.wall(), wall + SECOND * 3);
}

#[tokio::test(start_paused = true)]
async fn a_timer_can_be_set_again_before_and_after_it_rang() {
    let env = Env::seeded(1);
    let start = env.now();
    let mut timer = env.deadline_sleep(start + SECOND);
    timer.reset(start + SECOND * 2);
    (&mut timer).await;
    assert_eq!(env.now().since(start), SECOND * 2);
    timer.reset(start + SECOND * 5);
    timer.await;
    assert_eq!(env.now().since(start), SECOND * 5);
}

#[tokio::test(start_paused = true)]
async fn a_future_is_given_up_at_its_deadline_and_not_before() {
    let env = Env::seeded(1);
    let at = env.now() + SECOND;
    assert_eq!(env.until(at, async { 7 }).await, Some(7));
    assert_eq!(env.until(at, std::future::pending::<()>()).await, None);
    assert_eq!(env.now(), at);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_beyond_all_time_is_no_error() {
    let env = Env::seeded(1);
    let forever = env.sleep_until(Instant(u64::MAX));
    assert_eq!(env.until(env.now() + SECOND, forever).await, None);
}

#[test]
fn the_systems_wall_clock_is_about_now() {
    // 2025-01-01: later than that, whenever this runs.
    assert!(Env::system().wall() > Timestamp(1_735_689_600_000));
}

#[test]
fn the_same_seed_draws_the_same_numbers() {
    let draw = |env: &Env| {
        let mut buf = [0; 40];
        env.fill_random(&mut buf);
        (buf, env.random_u64())
    };
    assert_eq!(draw(&Env::seeded(7)), draw(&Env::seeded(7)));
    assert_ne!(draw(&Env::seeded(7)), draw(&Env::seeded(8)));
    let system = Env::system();
    assert_ne!(draw(&system), draw(&system));
}
