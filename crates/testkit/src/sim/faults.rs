//! What goes wrong in a simulated world, and when.

use std::time::Duration;

use ostler_env::Env;
use ostler_store::faults::Fault;

use super::{
    dice::Dice,
    history::History,
    network::{Network, Port},
    node::SimNode,
    workers::SimWorker,
};

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    NodeCrash,
    NodeRestart,
    LinkCut,
    LinkStall,
    ClientCut,
    ClientStall,
    WorkerCrash,
    DiskFull,
    SyncFails,
    SyncFailsOnce,
    SlowSync,
    ReadFails,
    Freeze,
}

const ALL: [Trouble; 13] = [
    Trouble::NodeCrash,
    Trouble::NodeRestart,
    Trouble::LinkCut,
    Trouble::LinkStall,
    Trouble::ClientCut,
    Trouble::ClientStall,
    Trouble::WorkerCrash,
    Trouble::DiskFull,
    Trouble::SyncFails,
    Trouble::SyncFailsOnce,
    Trouble::SlowSync,
    Trouble::ReadFails,
    Trouble::Freeze,
];

/// After the last trouble workers link again within so many seconds, however often they tried.
const CALM_S: u64 = 20;

/// A node, its workers, and what befalls them.
pub struct Stage {
    pub env: Env,
    pub dice: Dice,
    pub network: Network,
    pub history: History,
    pub node: SimNode,
    pub workers: Vec<SimWorker>,
}

impl Stage {
    /// Some kinds of trouble, often or seldom, for a while. Few kinds at once find more: where
    /// everything breaks all the time, nothing gets far.
    pub async fn trouble(&mut self) {
        let share = self.dice.pick(&[0, 15, 30, 60]);
        let mut kinds: Vec<_> = ALL
            .into_iter()
            .filter(|_| self.dice.chance(share))
            .collect();
        kinds.push(self.dice.pick(&ALL));
        self.history
            .note("world", format_args!("trouble: {kinds:?}"));
        let pause_max = self.dice.pick(&[300, 1_500, 5_000]);
        let end = self.env.now() + self.dice.millis(5_000, 30_000);
        while self.env.now() < end && !self.history.has_violation() {
            let pause = self.dice.millis(1, pause_max);
            self.env.sleep(pause).await;
            let kind = self.dice.pick(&kinds);
            self.befall(kind).await;
            self.mend(40).await;
        }
    }

    async fn befall(&mut self, trouble: Trouble) {
        self.history.note("world", format_args!("{trouble:?}"));
        let dice = self.dice.clone();
        let percent = dice.pick(&[30, 100]);
        match trouble {
            Trouble::NodeCrash => self.crash_node().await,
            Trouble::NodeRestart => {
                self.node.stop(&self.env).await;
                self.start_node().await;
            }
            Trouble::LinkCut => self.network.cut(Port::Workers, percent),
            Trouble::LinkStall => {
                let span = dice.millis(1, 9_000);
                self.network.stall(Port::Workers, percent, span);
            }
            Trouble::ClientCut => self.network.cut(Port::Edge, percent),
            Trouble::ClientStall => {
                let span = dice.millis(1, 5_000);
                self.network.stall(Port::Edge, percent, span);
            }
            Trouble::WorkerCrash => {
                let index = dice.below(self.workers.len() as u64) as usize;
                self.workers[index].crash(&self.env).await;
                if dice.chance(70) {
                    self.env.sleep(dice.millis(0, 3_000)).await;
                    self.workers[index].start(&self.env);
                }
            }
            Trouble::DiskFull => self.disk_fault(Fault::Full, 3_000).await,
            Trouble::ReadFails => self.disk_fault(Fault::ReadFails, 1_500).await,
            // A node that writes meanwhile ends by itself.
            Trouble::SyncFails => self.disk_fault(Fault::SyncFails, 1_000).await,
            Trouble::SyncFailsOnce => self.node.disk.set(Fault::SyncFailsOnce),
            Trouble::SlowSync => {
                let span = dice.millis(0, 300);
                self.node.disk.set_sync_span(span);
            }
            Trouble::Freeze => {
                // The machine stood still: all timers are late at once.
                tokio::time::advance(dice.millis(1, 20_000)).await;
            }
        }
    }

    async fn disk_fault(&mut self, fault: Fault, most_ms: u64) {
        self.node.disk.set(fault);
        self.env.sleep(self.dice.millis(1, most_ms)).await;
        self.node.disk.set(Fault::None);
    }

    async fn crash_node(&mut self) {
        self.node.crash(&self.env).await;
        self.start_node().await;
    }

    /// Soon or later, and by another clock.
    async fn start_node(&mut self) {
        let down = match self.dice.chance(70) {
            true => self.dice.millis(0, 300),
            false => self.dice.millis(300, 6_000),
        };
        self.env.sleep(down).await;
        let step = self.dice.pick(&[0, 0, 0, 1, 30]);
        self.node.start(&self.env, Duration::from_secs(step));
    }

    /// What a supervisor does: starts what ended, sooner or later.
    async fn mend(&mut self, percent: u64) {
        if self.node.has_failed() {
            self.history
                .note("world", format_args!("the node has failed"));
            self.crash_node().await;
        }
        for worker in &mut self.workers {
            if !worker.is_up() && self.dice.chance(percent) {
                worker.start(&self.env);
            }
        }
    }

    /// From here on nothing is wrong; it takes a while until all is as if nothing had been.
    pub async fn calm(&mut self) {
        self.history.note("world", format_args!("calm"));
        self.node.disk.set(Fault::None);
        self.node.disk.set_sync_span(Duration::from_millis(1));
        for _ in 0..CALM_S {
            self.mend(100).await;
            self.env.sleep(Duration::from_secs(1)).await;
        }
    }
}
