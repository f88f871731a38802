//! The node: all its real parts, on wires and a disk that outlive its processes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream};
use ostler_auth::KeyRing;
use ostler_env::Env;
use ostler_hub::Hub;
use ostler_node::{Addresses, Config, Exit, Ground, Node, Ports, worker_port};
use ostler_store::disk::Disk;
use tokio::{
    net::TcpListener,
    sync::{mpsc::Receiver, oneshot},
};
use tokio_util::sync::CancellationToken;

use super::{
    dice::Dice,
    history::History,
    network::{Network, Port},
    wire::{PEER, Wire},
};

/// The name of the node in the history.
const NODE: &str = "node";

/// One node, whatever process of it runs now.
pub struct SimNode {
    pub disk: Disk,
    config: Config,
    keys: Arc<KeyRing>,
    dice: Dice,
    network: Network,
    history: History,
    process: Option<Process>,
}

struct Process {
    env: Env,
    stop: oneshot::Sender<()>,
    exit: oneshot::Receiver<Exit>,
}

impl SimNode {
    pub fn new(world: &Env, config: Config, network: Network, history: History) -> Self {
        Self {
            disk: Disk::new(world),
            config,
            keys: Arc::new(KeyRing::ephemeral(world)),
            dice: Dice::of(world),
            network,
            history,
            process: None,
        }
    }

    /// Starts a process of it; the wall clock may have been set meanwhile.
    pub fn start(&mut self, world: &Env, step: Duration) {
        self.history.note(NODE, format_args!("starts"));
        let env = world.process(self.dice.seed(), step);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let ground = Ground {
            keys: self.keys.clone(),
            admin_token: None,
            store: self.disk.open(&env),
            ports: Box::new(Wires(self.network.clone())),
            addresses: Addresses {
                edge: address,
                workers: address,
                admin: address,
            },
        };
        let node = Node::on(ground, self.config.clone(), env.clone());
        let node = node.expect("the configuration is good");
        let (stop, stopped) = oneshot::channel();
        let (tell, exit) = oneshot::channel();
        drop(env.spawn("sim.node", async move {
            let ended = node.run(None, async { stopped.await.unwrap_or_default() });
            // Nobody listens at the end of a run.
            let _ = tell.send(ended.await);
        }));
        self.process = Some(Process { env, stop, exit });
    }

    /// Whether its process ended by itself.
    pub fn has_failed(&self) -> bool {
        let ended = |process: &Process| !process.exit.is_empty() || process.exit.is_terminated();
        self.process.as_ref().is_some_and(ended)
    }

    pub fn env(&self) -> Option<&Env> {
        self.process.as_ref().map(|process| &process.env)
    }

    /// Ends its process where it stands. Of what was not synced, some may survive.
    pub async fn crash(&mut self, world: &Env) {
        let Some(process) = self.process.take() else {
            return;
        };
        self.network.down();
        process.env.crash();
        let mut kept = (0, 0);
        self.disk.crash(|unsynced| {
            kept = (self.dice.between(0, unsynced as u64), unsynced);
            kept.0 as usize
        });
        let (survived, unsynced) = kept;
        self.history.note(
            NODE,
            format_args!("crashes, {survived} of {unsynced} unsynced commits survive"),
        );
        gone(world, &process.env, &self.history, NODE).await;
    }

    /// Ends its process as an operator does. Nothing of it is left.
    pub async fn stop(&mut self, world: &Env) -> Option<Exit> {
        let process = self.process.take()?;
        self.history.note(NODE, format_args!("is told to stop"));
        // It may have failed already.
        let _ = process.stop.send(());
        let limit = world.now() + self.config.drain_timeout + Duration::from_secs(5);
        let exit = world.until(limit, process.exit).await;
        let exit = exit.and_then(Result::ok);
        self.history.note(NODE, format_args!("stops: {exit:?}"));
        if exit.is_none() {
            self.history
                .violation(NODE, format_args!("does not stop in the time it may take"));
        }
        self.network.down();
        gone(world, &process.env, &self.history, NODE).await;
        self.disk.crash(|unsynced| unsynced);
        exit
    }
}

/// Waits until nothing of a process is left.
pub async fn gone(world: &Env, process: &Env, history: &History, who: &str) {
    for _ in 0..5_000 {
        if process.tasks_alive() == 0 {
            return;
        }
        world.sleep(Duration::from_millis(1)).await;
    }
    let left = process.tasks_alive_by_name();
    history.violation(who, format_args!("leaves tasks behind: {left:?}"));
}

/// The node's ports on a simulated network.
struct Wires(Network);

impl Ports for Wires {
    fn edge(
        &mut self,
        edge: ostler_edge::Edge,
        stop: CancellationToken,
        abort: CancellationToken,
    ) -> ostler_node::Port {
        let incoming = incoming(self.0.listen(Port::Edge)).map(|wire| (wire, PEER));
        async move {
            edge.serve_streams(incoming, stop, abort).await;
            Ok(())
        }
        .boxed()
    }

    fn workers(&mut self, hub: Hub, stop: CancellationToken) -> ostler_node::Port {
        let incoming = incoming(self.0.listen(Port::Workers));
        let incoming = incoming.map(Ok::<_, std::io::Error>);
        async move { Ok(worker_port::serve(incoming, hub, stop).await?) }.boxed()
    }

    fn admin(&mut self) -> Option<TcpListener> {
        None
    }
}

fn incoming(wires: Receiver<Wire>) -> impl stream::Stream<Item = Wire> + Send {
    stream::unfold(wires, |mut wires| async move {
        wires.recv().await.map(|wire| (wire, wires))
    })
}
