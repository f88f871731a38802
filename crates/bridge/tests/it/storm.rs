//! Servers that are killed again and again while they are called, beside one that is not.

use std::{fs, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use ostler_bridge::{
    Metrics,
    pool::{GivenUp, Limits, Opener, Pool},
    process::{Keeper, Pipes, Process, Program, Spec},
};
use ostler_env::Env;
use ostler_testkit::until;
use rustix::process::{Pid, Signal, getpid, kill_process};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::unix::pipe,
    sync::Mutex,
};

use crate::process::{example, left_of};

/// The example server, one for each name.
struct Servers {
    env: Env,
    metrics: Metrics,
}

struct Server {
    process: Process,
    pipes: Mutex<(pipe::Sender, BufReader<pipe::Receiver>)>,
}

impl Opener for Servers {
    type Key = &'static str;
    type Held = Arc<Server>;

    fn tenant(&self, _: &&'static str) -> Arc<str> {
        "t".into()
    }

    fn open(
        &self,
        name: &&'static str,
        _: GivenUp,
    ) -> BoxFuture<'static, Result<Arc<Server>, String>> {
        let echo = example("echo_stdio");
        let spec = Spec::new([echo.to_str().expect("UTF-8"), "both", name]);
        let program = Program::resolve(spec, &Default::default()).expect("it is built");
        let keeper = Keeper::new(example("keep"), []);
        let started = Process::start(&self.env, &self.metrics, name, &keeper, &program);
        let opened = started.map(|(process, Pipes { stdin, stdout })| {
            let pipes = Mutex::new((stdin, BufReader::new(stdout)));
            Arc::new(Server { process, pipes })
        });
        Box::pin(async move { opened.map_err(|error| error.to_string()) })
    }

    fn gone(&self, server: &Arc<Server>) -> BoxFuture<'static, String> {
        let server = server.clone();
        Box::pin(async move { server.process.ended().await.to_string() })
    }

    fn close(&self, server: Arc<Server>) -> BoxFuture<'static, ()> {
        Box::pin(async move { drop(server.process.stop().await) })
    }

    fn discard(&self, _: &Arc<Server>, _: &str) {
        unreachable!("nobody discards one here");
    }
}

impl Server {
    /// What a tool says, or None if the server ended before it did.
    async fn call(&self, tool: &str) -> Option<String> {
        let params = json!({"name": tool, "arguments": {"text": "hi"}});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let mut pipes = self.pipes.lock().await;
        let (stdin, stdout) = &mut *pipes;
        stdin.write_all(format!("{call}\n").as_bytes()).await.ok()?;
        let mut line = String::new();
        stdout
            .read_line(&mut line)
            .await
            .ok()
            .filter(|len| *len > 0)?;
        let reply: Value = serde_json::from_str(&line).expect("a whole line");
        reply["result"]["content"][0]["text"]
            .as_str()
            .map(String::from)
    }
}

/// What is killed: the server, what it started, or who keeps it.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Server,
    Grandchild,
    Keeper,
}

const VICTIMS: [Victim; 3] = [Victim::Server, Victim::Grandchild, Victim::Keeper];

const CYCLES: usize = 30;

#[tokio::test]
async fn killed_servers_leave_nothing_and_harm_nobody() {
    let env = Env::system();
    let metrics = Metrics::register(env.metrics());
    let servers = Servers {
        env: env.clone(),
        metrics: metrics.clone(),
    };
    let limits = Limits {
        rest_min: Duration::from_millis(1),
        rest_max: Duration::from_millis(1),
        ..Limits::default()
    };
    let pool = Arc::new(Pool::new(&env, &metrics, limits, servers));
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let calm = env.spawn("calm", calm(pool.clone(), stopped));
    let mut keepers = Vec::new();
    for cycle in 0..CYCLES {
        keepers.push(kill(&env, &pool, VICTIMS[cycle % VICTIMS.len()]).await);
    }
    stop.send(()).expect("the other server is called still");
    let (calls, keeper) = calm.await.expect("no call failed");
    assert!(calls > CYCLES, "{calls} calls beside the deaths");
    let calm = pool.hold("calm").await.expect("it is there");
    assert_eq!(
        calm.process.keeper(),
        keeper,
        "it is the same as in the beginning"
    );
    drop(calm);
    pool.close().await;
    assert_eq!((pool.places(), left_of(keeper)), (0, vec![]));
    // Other tests of this process have children too.
    keepers.push(keeper);
    let left = children();
    keepers.retain(|keeper| left.contains(&keeper.to_string()));
    assert_eq!(keepers, Vec::<u32>::new());
}

/// Calls one server until it is told to stop; how often, and who keeps that server.
async fn calm(
    pool: Arc<Pool<Servers>>,
    mut stopped: tokio::sync::oneshot::Receiver<()>,
) -> (usize, u32) {
    let server = pool.hold("calm").await.expect("it starts");
    let keeper = server.process.keeper();
    let mut calls = 0;
    while stopped.try_recv().is_err() {
        assert_eq!(server.call("echo").await.as_deref(), Some("hi"));
        calls += 1;
        tokio::task::yield_now().await;
    }
    (calls, keeper)
}

/// One death, in the middle of a call; afterwards nothing of that life is left. Who kept it.
async fn kill(env: &Env, pool: &Pool<Servers>, victim: Victim) -> u32 {
    let server = loop {
        match pool.hold("storm").await {
            Ok(server) => break server,
            Err(refusal) => {
                env.sleep(refusal.retry_after().expect("it is not closing"))
                    .await
            }
        }
    };
    let pid = server.call("pid").await.expect("it lives");
    server.call("fork").await.expect("it lives");
    let keeper = server.process.keeper();
    // Between a fork and its exec it has no environment to be known by.
    let known = [pid.clone(), keeper.to_string()];
    let grandchild = || left_of(keeper).into_iter().find(|one| !known.contains(one));
    let grandchild = until("what was just started", grandchild).await;
    let number = match victim {
        Victim::Server => pid,
        Victim::Keeper => keeper.to_string(),
        Victim::Grandchild => {
            kill_number(&grandchild);
            assert_eq!(
                server.call("echo").await.as_deref(),
                Some("hi"),
                "it lives on"
            );
            pid
        }
    };
    let (cut, ()) = tokio::join!(server.call("hang"), async { kill_number(&number) });
    assert_eq!(cut, None, "{victim:?}");
    server.process.ended().await;
    assert_eq!(left_of(keeper), Vec::<String>::new(), "{victim:?}");
    keeper
}

fn kill_number(number: &str) {
    let pid = Pid::from_raw(number.parse().expect("a number")).expect("not zero");
    kill_process(pid, Signal::KILL).expect("it is there");
}

/// Of this process, zombies too.
fn children() -> Vec<String> {
    let me = getpid().as_raw_pid();
    let threads = fs::read_dir(format!("/proc/{me}/task"))
        .expect("this is Linux")
        .flatten();
    let children = threads.map(|thread| fs::read_to_string(thread.path().join("children")));
    let children = children.map(Result::unwrap_or_default).collect::<String>();
    children.split_whitespace().map(String::from).collect()
}
