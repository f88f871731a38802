use ostler_env::Env;
use ostler_store::{Config, Store, conformance};

#[tokio::test(start_paused = true)]
async fn memory_conforms() {
    let env = Env::seeded(1);
    conformance::run(|| Store::open(&Config::memory(), &env).unwrap()).await;
    assert_eq!(env.tasks_alive(), 0);
}
