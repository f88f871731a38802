//! The life of one world: it is built, troubled, left in peace, looked at and taken down.

use std::time::Duration;

use futures_util::{
    FutureExt, StreamExt,
    future::{LocalBoxFuture, join, ready},
    stream::FuturesUnordered,
};
use ostler_env::Env;
use ostler_node::{Config, Exit};
use ostler_types::Instant;
use tokio::sync::watch;

use super::{
    Report, check,
    client::{self, Client, Who},
    dice::Dice,
    faults::Stage,
    history::History,
    network::Network,
    node::SimNode,
    panics,
    workers::SimWorker,
};
use crate::node::{Access, add_tenants};

/// How long clients may take to see all that they were promised once nothing is broken.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// Calls that wait for a client which never comes back are given up after this.
const WAIT_MAX: Duration = Duration::from_secs(6 * 60);
/// After this, a node that nobody uses is at rest: its actors have gone to sleep, and what nobody
/// owns, or comes back for, was given up.
const REST: Duration = Duration::from_secs(9 * 60);

/// Nothing of the worlds' configuration is stored longer.
const TTL_MAX: Duration = Duration::from_secs(4 * 3600);

pub async fn live(seed: u64) -> Report {
    let env = Env::seeded(seed);
    let dice = Dice::of(&env);
    let history = History::new(&env);
    let network = Network::new(&env, dice.fork());
    let (config, access) = configure(&env, &dice);
    let mut stage = Stage {
        node: SimNode::new(&env, config, network.clone(), history.clone()),
        workers: (1..=2)
            .map(|number| {
                let name = format!("w{number}");
                SimWorker::new(&name, dice.fork(), network.clone(), history.clone())
            })
            .collect(),
        env: env.clone(),
        dice: dice.fork(),
        network,
        history: history.clone(),
    };
    let span = dice.pick(&[0, 1, 5, 20]);
    stage.node.disk.set_sync_span(Duration::from_millis(span));
    stage.node.start(&env, Duration::ZERO);
    stage
        .workers
        .iter_mut()
        .for_each(|worker| worker.start(&env));
    env.sleep(Duration::from_millis(100)).await;

    let (calm, calms) = watch::channel(false);
    let clients = clients(&env, &dice, &stage.network, &history, &access, &calms);
    let clients = clients.into_iter().enumerate();
    // Each is polled only when it was woken.
    let clients: FuturesUnordered<_> = clients
        .map(|(number, client)| script(number, client))
        .collect();
    let peace = async {
        stage.trouble().await;
        stage.calm().await;
        calm.send_replace(true);
    };
    let all = join(clients.for_each(|()| ready(())), peace);
    if env.until(env.now() + PATIENCE, all).await.is_none() {
        let what = "some clients never got what they wait for";
        history.violation("world", format_args!("{what}"));
    }
    end(&mut stage).await;
    report(seed, &env, &history)
}

fn script(number: usize, client: Client) -> LocalBoxFuture<'static, ()> {
    match number % 2 {
        0 => client::legacy(client).boxed_local(),
        _ => client::modern(client).boxed_local(),
    }
}

/// Everything is let go, and nothing may be left.
async fn end(stage: &mut Stage) {
    let env = stage.env.clone();
    stage.history.note("world", format_args!("rests"));
    env.sleep(REST).await;
    if let Some(node) = stage.node.env() {
        check::at_rest(node, &stage.history);
    }
    check::workers_at_rest(&stage.history);
    expire(stage).await;
    let exit = stage.node.stop(&env).await;
    if exit != Some(Exit::Drained) {
        stage
            .history
            .violation("node", format_args!("at rest, and ended as {exit:?}"));
    }
    for worker in &mut stage.workers {
        worker.end(&env).await;
    }
}

/// Whatever was stored has a time to live, and is gone then.
async fn expire(stage: &Stage) {
    for _ in 0..4 {
        tokio::time::advance(TTL_MAX / 4).await;
        stage.env.sleep(Duration::from_secs(10)).await;
    }
    let rows = stage.node.disk.rows();
    if rows > 0 {
        let what = format!("{rows} rows are stored for ever");
        stage.history.violation("node", format_args!("{what}"));
    }
}

fn report(seed: u64, env: &Env, history: &History) -> Report {
    for panic in panics::take() {
        history.violation("world", format_args!("{panic}"));
    }
    let mut record = history.take();
    check::calls(&mut record);
    Report {
        seed,
        digest: record.digest(),
        lived: env.now().since(Instant::default()),
        calls: record.calls.len(),
        violations: record.violations,
        lines: record.lines,
    }
}

/// Times that are short enough for a short life, each world with others.
fn configure(env: &Env, dice: &Dice) -> (Config, Access) {
    let mut config = Config::default();
    let access = add_tenants(&mut config, env);
    config.edge.stream_after = dice.millis(5, 750);
    config.edge.task_after = dice.millis(5, 400);
    config.session.linger = dice.millis(20, 15_000);
    config.session.retry = Duration::from_millis(100);
    config.session.elicitation_timeout = WAIT_MAX;
    config.task.park_timeout = WAIT_MAX;
    config.task.task_ttl = WAIT_MAX;
    config.task.result_keep = WAIT_MAX;
    config.workers.hub.sweep = dice.millis(50, 200);
    config.drain_timeout = dice.millis(100, 5_000);
    (config, access)
}

fn clients(
    env: &Env,
    dice: &Dice,
    network: &Network,
    history: &History,
    access: &Access,
    calm: &watch::Receiver<bool>,
) -> Vec<Client> {
    let who = |tenant, subject, key: &str| (tenant, subject, key.to_owned());
    let principals = [
        who("a", "a1", &access.a1),
        who("a", "a2", &access.a2),
        who("b", "b1", &access.b1),
    ];
    let count = dice.between(2, 5);
    let client = |number: u64| {
        let (tenant, subject, key) = principals[(number / 2) as usize % 3].clone();
        let who = Who {
            tenant,
            subject,
            key,
            name: format!("c{number}"),
        };
        Client::new(
            env,
            dice.fork(),
            network.clone(),
            history.clone(),
            who,
            calm.clone(),
        )
    };
    (0..count).map(client).collect()
}
