//! A server that runs: its pipes, its end, and what it said last.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt, io,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use ostler_env::Env;
use ostler_types::Secret;
use parking_lot::Mutex;
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpid, kill_process, waitid},
};
use tokio::{
    net::unix::pipe,
    select,
    signal::unix::{Signal as Signals, SignalKind, signal},
    sync::watch,
};

use super::{
    Program,
    keeper::Order,
    stderr::{self, Tail},
    tree::{self, Brand, BridgeId, Strangers},
};
use crate::metrics::{Metrics, ProcessEnd};

/// How a keeper is started: a program and its first arguments.
#[derive(Debug, Clone)]
pub struct Keeper {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// Where orphans come to this process: its children that are none, because they run by this,
    /// or were there before.
    known: Option<Arc<Mutex<BTreeSet<u32>>>>,
}

impl Keeper {
    /// This binary, which has a command `keep`. The one that runs, even if another one has its
    /// place on the disk by now.
    pub fn this_binary() -> Keeper {
        Keeper::new("/proc/self/exe", ["keep"])
    }

    /// A program that does what [`super::keep`] does.
    pub fn new<'a>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> Keeper {
        Keeper {
            program: program.into(),
            arguments: arguments.into_iter().map(OsString::from).collect(),
            known: None,
        }
    }

    /// From here on what a killed keeper leaves behind comes to this process, which ends it: no
    /// zombie stays where nobody else waits. For a process that from here on starts nothing but
    /// keepers. What it has as children already, as from whoever became it by `exec`, is let be;
    /// what somebody else leaves to it later is, as long as no keeper is killed.
    pub fn adopting(self) -> io::Result<Keeper> {
        // They cannot be given anew: nobody waits for them here.
        let before = tree::children().map(number).collect();
        tree::adopt_orphans()?;
        Ok(Keeper {
            known: Some(Arc::new(Mutex::new(before))),
            ..self
        })
    }

    /// Whoever looks for strangers waits until its number is known.
    fn spawn(&self, mut command: Command) -> io::Result<Child> {
        let mut known = self.known.as_ref().map(|known| known.lock());
        let child = command.spawn()?;
        if let Some(known) = &mut known {
            known.insert(child.id());
        }
        Ok(child)
    }

    /// For the end of one that has ended or is about to.
    fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let mut known = self.known.as_ref().map(|known| known.lock());
        let status = child.wait();
        if let Some(known) = &mut known {
            known.remove(&child.id());
        }
        status
    }

    /// Whether a child of this process is none that was started here.
    fn is_stranger(&self, child: Pid) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| !known.lock().contains(&number(child)))
    }
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_pid().unsigned_abs()
}

/// A running server. Dropping it ends the server too, but nobody waits for that then.
#[derive(Debug)]
pub struct Process {
    keeper: u32,
    /// Dropping it tells the owner to stop, too.
    stop: watch::Sender<bool>,
    ended: Ending,
}

type Ending = watch::Receiver<Option<Arc<Ended>>>;

/// Where a client speaks with the server. Closing its input is how a server is asked to end.
#[derive(Debug)]
pub struct Pipes {
    pub stdin: pipe::Sender,
    pub stdout: pipe::Receiver,
}

/// How a server ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub end: ProcessEnd,
    /// As shells say it: 128 and the signal if one killed it. None if its keeper was killed.
    pub code: Option<i32>,
    /// What it said last on its standard error.
    pub tail: Vec<String>,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "it ended with code {code}")?,
            None => write!(f, "it was killed with its keeper")?,
        }
        match self.tail.last() {
            Some(line) => write!(f, " and said last: {line}"),
            None => Ok(()),
        }
    }
}

/// The machine could not start it. A retry may help.
#[derive(Debug, thiserror::Error)]
#[error("the machine starts no process")]
pub struct StartError(#[from] io::Error);

impl Process {
    /// Starts a server; `name` is what the log calls it. That a program exists was seen when it
    /// was resolved; if it does not start all the same, it ends at once and says why.
    pub fn start(
        env: &Env,
        metrics: &Metrics,
        name: &str,
        keeper: &Keeper,
        program: &Program,
    ) -> Result<(Process, Pipes), StartError> {
        // Before there is a child, so that its end is not missed.
        let deaths = signal(SignalKind::child())?;
        let (dice, bridge) = (env.random_u64(), BridgeId::of(getpid())?);
        let mut child = keeper.spawn(command(keeper, program, dice))?;
        let brand = Brand {
            keeper: Pid::from_child(&child),
            dice,
            bridge,
        };
        let tools = (env, metrics, keeper);
        let kept = Kept::new(tools, brand, &mut child, deaths, program.grace);
        let kept = match kept {
            Ok(kept) => kept,
            // Its input is closed now, and its keeper must not stay.
            Err(error) => {
                drop(child.kill());
                drop(keeper.wait(&mut child));
                return Err(error.into());
            }
        };
        let (Streams { pipes, stderr }, owner) = kept;
        let (stop, stopped) = watch::channel(false);
        let (tell, ended) = watch::channel(None);
        let process = Process {
            keeper: child.id(),
            stop,
            ended,
        };
        metrics.process_started();
        let name = Arc::from(name);
        env.spawn(
            "bridge-process",
            owner.run(child, name, stderr, stopped, tell),
        );
        Ok((process, pipes))
    }

    /// Waits for its end, which may have been long ago.
    // Cancel safe: it only looks.
    pub async fn ended(&self) -> Arc<Ended> {
        let mut ending = self.ended.clone();
        let ended = ending.wait_for(Option::is_some).await;
        let ended = ended.ok().and_then(|ended| ended.clone());
        // Its owner goes without a word only when the runtime does.
        ended.unwrap_or_else(|| {
            Arc::new(Ended {
                end: ProcessEnd::Stopped,
                code: None,
                tail: Vec::new(),
            })
        })
    }

    /// Ends it with all it started and waits for that: within its grace, and a second or two.
    // Cancel safe: it ends all the same.
    pub async fn stop(&self) -> Arc<Ended> {
        self.stop.send_replace(true);
        self.ended().await
    }

    /// The process that keeps it, for tests and operators.
    pub fn keeper(&self) -> u32 {
        self.keeper
    }
}

fn command(keeper: &Keeper, program: &Program, dice: u64) -> Command {
    let order = Order {
        bridge: getpid(),
        dice,
        grace: program.grace,
        limits: program.limits,
        program: program.path.clone().into(),
        arguments: program.arguments.iter().map(OsString::from).collect(),
    };
    let env = program.env.iter();
    let mut command = Command::new(&keeper.program);
    command
        .arg0("ostler")
        .args(&keeper.arguments)
        .args(order.write())
        .env_clear()
        .envs(env.map(|(name, value): (_, &Secret)| (name, value.expose())))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(folder) = &program.folder {
        command.current_dir(folder);
    }
    command
}

/// Who sees a keeper to its end.
struct Kept {
    env: Env,
    metrics: Metrics,
    keeper: Keeper,
    /// Its keeper's number is given to no other process before we have waited for it.
    brand: Brand,
    deaths: Signals,
    grace: Duration,
}

struct Streams {
    pipes: Pipes,
    stderr: pipe::Receiver,
}

/// For a keeper that is told to stop, beyond the grace of its server.
const PATIENCE: Duration = Duration::from_secs(2);

/// For what was still to be read when everybody who could write had ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Program {
    /// How long its end may take once it is told to end.
    pub fn stop_max(&self) -> Duration {
        self.grace + PATIENCE + LAST_WORDS
    }
}

impl Kept {
    fn new(
        (env, metrics, keeper): (&Env, &Metrics, &Keeper),
        brand: Brand,
        child: &mut Child,
        deaths: Signals,
        grace: Duration,
    ) -> io::Result<(Streams, Kept)> {
        let missing = || io::Error::other("a pipe is missing");
        let stdin: OwnedFd = child.stdin.take().ok_or_else(missing)?.into();
        let stdout: OwnedFd = child.stdout.take().ok_or_else(missing)?.into();
        let stderr: OwnedFd = child.stderr.take().ok_or_else(missing)?.into();
        let kept = Kept {
            env: env.clone(),
            metrics: metrics.clone(),
            keeper: keeper.clone(),
            brand,
            deaths,
            grace,
        };
        let pipes = Pipes {
            stdin: pipe::Sender::from_owned_fd(stdin)?,
            stdout: pipe::Receiver::from_owned_fd(stdout)?,
        };
        let stderr = pipe::Receiver::from_owned_fd(stderr)?;
        Ok((Streams { pipes, stderr }, kept))
    }

    async fn run(
        mut self,
        child: Child,
        name: Arc<str>,
        stderr: pipe::Receiver,
        stop: watch::Receiver<bool>,
        tell: watch::Sender<Option<Arc<Ended>>>,
    ) {
        let tail = Tail::default();
        let listen = stderr::listen(self.env.clone(), name, stderr, tail.clone());
        let listener = self.env.spawn("bridge-stderr", listen);
        let stopped = self.see_to_end(stop).await;
        let status = self.reap(child).await;
        let ear = listener.abort_handle();
        // Something that got away may hold the pipe; nobody waits for that.
        if self
            .env
            .until(self.env.now() + LAST_WORDS, listener)
            .await
            .is_none()
        {
            ear.abort();
        }
        let end = ProcessEnd::of(stopped, status);
        let code = status.and_then(|status| status.code());
        self.metrics.process_ended(end);
        let tail = tail.lines();
        tell.send_replace(Some(Arc::new(Ended { end, code, tail })));
    }

    /// Until the keeper is gone. Says whether it was told to go.
    async fn see_to_end(&mut self, mut stop: watch::Receiver<bool>) -> Stopped {
        let keeper = self.brand.keeper;
        select! {
            () = gone(keeper, &mut self.deaths) => return Stopped::No,
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // It may have ended already.
        let _ = kill_process(keeper, Signal::TERM);
        let limit = self.env.now() + self.grace + PATIENCE;
        let gone_in_time = self.env.until(limit, gone(keeper, &mut self.deaths)).await;
        if gone_in_time.is_none() {
            let _ = kill_process(keeper, Signal::KILL);
            gone(keeper, &mut self.deaths).await;
        }
        Stopped::Yes
    }

    /// What a killed keeper left goes before its number can be given anew.
    async fn reap(&self, mut child: Child) -> Option<ExitStatus> {
        let (keeper, brand) = (self.keeper.clone(), self.brand);
        let reap = self.env.spawn_blocking("bridge-reap", move || {
            let strangers = left_by(brand.keeper);
            let swept = tree::sweep(brand, strangers, |child| keeper.is_stranger(child));
            (swept, keeper.wait(&mut child).ok())
        });
        // Blocking jobs are not aborted but with their runtime.
        let (swept, status) = reap.await.ok()?;
        self.metrics.processes_swept(swept);
        status
    }
}

/// Waits for the end of a child and leaves it as it is: its number stays its own.
// Cancel safe: it only looks.
async fn gone(child: Pid, deaths: &mut Signals) {
    while let Ok(None) = look(child) {
        deaths.recv().await;
    }
}

fn look(child: Pid) -> Result<Option<WaitIdStatus>, Errno> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(child), options)
}

/// A keeper leaves nothing unless it is killed itself. One that is told to end before it listens
/// dies of that, and has started nothing yet.
fn left_by(keeper: Pid) -> Strangers {
    let status = look(keeper).ok().flatten();
    match status.and_then(|status| status.terminating_signal()) {
        None => Strangers::Spare,
        Some(signal) if signal == Signal::TERM.as_raw() => Strangers::Spare,
        Some(_) => Strangers::End,
    }
}

/// Whether a server was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    Yes,
    No,
}

impl ProcessEnd {
    fn of(stopped: Stopped, keeper: Option<ExitStatus>) -> ProcessEnd {
        let code = keeper.and_then(|keeper| keeper.code());
        let signal = keeper.and_then(|keeper| keeper.signal());
        match (stopped, code, signal) {
            (Stopped::Yes, Some(KILLED), _) | (Stopped::Yes, _, Some(SIGKILL)) => {
                ProcessEnd::Killed
            }
            // One that is told before it listens ends by the signal itself.
            (Stopped::Yes, _, _) => ProcessEnd::Stopped,
            (Stopped::No, Some(0), _) => ProcessEnd::Exited,
            (Stopped::No, Some(_), _) => ProcessEnd::Failed,
            (Stopped::No, None, _) => ProcessEnd::KeeperKilled,
        }
    }
}

const SIGKILL: i32 = Signal::KILL.as_raw();

/// A keeper says so of a server that did not end when it was told.
const KILLED: i32 = 128 + SIGKILL;
