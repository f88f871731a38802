use std::{sync::mpsc, time::Duration};

use ostler_env::Env;

#[tokio::test]
async fn a_task_is_counted_until_it_ends_is_aborted_or_panics() {
    let env = Env::seeded(1);
    let ends = env.spawn("ends", async { 7 });
    let hangs = env.spawn("hangs", std::future::pending::<()>());
    let panics = env.spawn("panics", async { panic!("on purpose") });
    assert_eq!(env.tasks_alive(), 3);
    assert_eq!(ends.await.unwrap(), 7);
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!(env.tasks_alive_by_name(), [("hangs", 1)]);
    hangs.abort();
    assert!(hangs.await.unwrap_err().is_cancelled());
    assert_eq!(env.tasks_alive(), 0);
}

#[tokio::test]
async fn jobs_and_threads_are_counted_too() {
    let env = Env::seeded(1);
    let (go, wait) = mpsc::channel::<()>();
    let thread = env.spawn_thread("thread", move || assert!(wait.recv().is_err()));
    assert_eq!(env.tasks_alive_by_name(), [("thread", 1)]);
    assert_eq!(env.spawn_blocking("job", || 7).await.unwrap(), 7);
    drop(go);
    thread.join().unwrap();
    assert_eq!(env.tasks_alive(), 0);
}

#[tokio::test]
async fn living_tasks_show_in_the_metrics_by_name() {
    let env = Env::seeded(1);
    let shown = || {
        let registry = env.metrics();
        registry.value("ostler_env_tasks_alive", &[("task", "hangs")])
    };
    assert_eq!(shown(), None);
    let hangs = env.spawn("hangs", std::future::pending::<()>());
    assert_eq!(shown(), Some(1.0));
    hangs.abort();
    assert!(hangs.await.is_err());
    assert_eq!(shown(), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_crashes_takes_no_other_step_and_leaves_its_world_alone() {
    let world = Env::seeded(1);
    world.sleep(Duration::from_secs(5)).await;
    let process = world.process(2, Duration::from_secs(1));
    assert_eq!(
        process.wall(),
        Env::SEEDED_WALL + Duration::from_secs(6),
        "time goes on from that of the world"
    );
    let survivor = {
        let env = world.clone();
        world.spawn("survivor", async move {
            env.sleep(Duration::from_secs(1)).await
        })
    };
    let (tell, told) = mpsc::channel();
    for turn in 0..100 {
        let tell = tell.clone();
        drop(process.spawn("step", async move { tell.send(turn) }));
        tokio::task::yield_now().await;
    }
    drop(process.spawn("step", async move { tell.send(100) }));
    process.crash();
    while process.tasks_alive() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(told.iter().last(), Some(99));
    survivor.await.unwrap();
}
