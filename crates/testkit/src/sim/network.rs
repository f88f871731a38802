//! Who can be reached where, and what cuts them off.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use ostler_env::Env;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{
    dice::Dice,
    wire::{Remote, Wire, wire},
};

/// A port of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    Edge,
    Workers,
}

/// Wires that wait to be accepted; more are refused.
const BACKLOG_MAX: usize = 128;

/// All wires of a world. Clones are the same network.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    env: Env,
    dice: Dice,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listeners: BTreeMap<Port, mpsc::Sender<Wire>>,
    wires: Vec<(Port, Remote)>,
}

impl Network {
    pub fn new(env: &Env, dice: Dice) -> Self {
        Self(Arc::new(Inner {
            env: env.clone(),
            dice,
            state: Mutex::default(),
        }))
    }

    /// From now on wires to this port come here.
    pub fn listen(&self, port: Port) -> mpsc::Receiver<Wire> {
        let (wires, incoming) = mpsc::channel(BACKLOG_MAX);
        self.0.state.lock().listeners.insert(port, wires);
        incoming
    }

    /// As long as it takes, like any dialling.
    pub async fn connect(&self, port: Port) -> io::Result<Wire> {
        self.0.env.sleep(Duration::from_millis(1)).await;
        let mut state = self.0.state.lock();
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let listener = state.listeners.get(&port).ok_or_else(refused)?;
        let (near, far, remote) = wire(&self.0.env, &self.0.dice);
        listener.try_send(far).map_err(|_| refused())?;
        state.wires.retain(|(_, remote)| remote.is_up());
        state.wires.push((port, remote));
        Ok(near)
    }

    /// The node's machine is gone: nobody listens, every wire is cut.
    pub fn down(&self) {
        self.0.state.lock().listeners.clear();
        self.cut(Port::Edge, 100);
        self.cut(Port::Workers, 100);
    }

    /// Cuts each wire of this port with this chance.
    pub fn cut(&self, port: Port, percent: u64) {
        self.each(port, percent, Remote::cut);
    }

    /// On each wire of this port, with this chance, nothing arrives for so long.
    pub fn stall(&self, port: Port, percent: u64, span: Duration) {
        let until = self.0.env.now() + span;
        self.each(port, percent, |remote| remote.stall(until));
    }

    fn each(&self, port: Port, percent: u64, act: impl Fn(&Remote)) {
        let state = self.0.state.lock();
        for (_, remote) in state.wires.iter().filter(|(of, _)| *of == port) {
            if self.0.dice.chance(percent) {
                act(remote);
            }
        }
    }
}
