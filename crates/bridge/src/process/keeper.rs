//! The process between the bridge and a server: starts it, adopts what it leaves behind, and is
//! not gone before all of it is.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Command, ExitCode},
    time::Duration,
};

use ostler_env::Env;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process_group,
        pidfd_open, setsid, wait,
    },
    stdio::{dup2_stdin, dup2_stdout},
    thread::{set_name, set_no_new_privs},
};
use tokio::{
    select,
    signal::unix::{Signal as Signals, SignalKind, signal},
    sync::oneshot,
};

use super::{
    Limits,
    tree::{self, Brand, BridgeId},
};

/// What the bridge tells a keeper. The environment and the folder are the process's own.
pub(super) struct Order {
    /// The keeper's life is bound to this process.
    pub bridge: Pid,
    /// Of its brand.
    pub dice: u64,
    pub grace: Duration,
    pub limits: Limits,
    pub program: OsString,
    pub arguments: Vec<OsString>,
}

/// The whole life of a keeper: what the hidden command `keep` runs. It exits as the server did.
pub fn keep(order: &[OsString]) -> ExitCode {
    let order = Order::read(order).ok_or_else(|| io::Error::other("not for use by hand"));
    let code = order.and_then(|order| run(&order));
    code.map(ExitCode::from).unwrap_or_else(|error| {
        eprintln!("ostler keep: {error}");
        ExitCode::from(NOT_STARTED)
    })
}

/// As shells say it when a command cannot be run.
const NOT_STARTED: u8 = 127;

impl Order {
    /// The arguments that [`Order::read`] reads again.
    pub fn write(&self) -> Vec<OsString> {
        let number = |number: Option<u64>| number.map_or("-".into(), |n| n.to_string().into());
        let grace_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        let mut words: Vec<OsString> = vec![self.bridge.as_raw_pid().to_string().into()];
        words.extend([self.dice, grace_ms].map(|n| number(Some(n))));
        words.extend(self.limits.numbers().map(number));
        words.push(self.program.clone());
        words.extend(self.arguments.iter().cloned());
        words
    }

    fn read(words: &[OsString]) -> Option<Order> {
        let (numbers, [program, arguments @ ..]) = words.split_at_checked(7)? else {
            return None;
        };
        let [bridge, dice, grace_ms, limits @ ..] = numbers else {
            return None;
        };
        let limits: Option<Vec<_>> = limits.iter().map(|word| number(word)).collect();
        Some(Order {
            bridge: Pid::from_raw(bridge.to_str()?.parse().ok().filter(|pid| *pid > 0)?)?,
            dice: number(dice)??,
            grace: Duration::from_millis(number(grace_ms)??),
            limits: Limits::from_numbers(limits?.try_into().ok()?),
            program: program.clone(),
            arguments: arguments.to_vec(),
        })
    }
}

/// A number, or none said; `None` if it is neither.
fn number(word: &OsStr) -> Option<Option<u64>> {
    match word.to_str()? {
        "-" => Some(None),
        word => word.parse().ok().map(Some),
    }
}

fn run(order: &Order) -> io::Result<u8> {
    let bridge = hold(order.bridge)?;
    // A session of its own: what somebody types at the bridge's terminal is not for servers.
    setsid()?;
    set_name(c"ostler-keep")?;
    set_no_new_privs(true)?;
    tree::adopt_orphans()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(watch(order, bridge))
}

/// A descriptor that tells when the bridge is gone: the process, not one thread of it. While it is
/// our parent its number is nobody else's, so what was opened before that was seen is the bridge.
fn hold(bridge: Pid) -> io::Result<OwnedFd> {
    let held = pidfd_open(bridge, PidfdFlags::empty())?;
    if getppid() != Some(bridge) {
        return Err(io::Error::other("the bridge is gone"));
    }
    Ok(held)
}

async fn watch(order: &Order, bridge: OwnedFd) -> io::Result<u8> {
    let env = Env::system();
    // Before there is a server, so that no signal is missed.
    let told = signal(SignalKind::terminate())?;
    let mut deaths = signal(SignalKind::child())?;
    let gone = alone(&env, bridge);
    // After the thread, which the limits may forbid.
    order.limits.impose()?;
    let server = start(order)?;
    let code = select! {
        code = ended(&mut deaths, server) => code,
        () = stopped(&env, told, server, order.grace) => KILLED,
        _ = gone => KILLED,
    };
    end_all(&env, &mut deaths).await;
    Ok(code)
}

/// Ends when the bridge does. A thread waits for that: no runtime takes such a descriptor safely.
fn alone(env: &Env, bridge: OwnedFd) -> oneshot::Receiver<()> {
    let (tell, gone) = oneshot::channel();
    let wait = move || {
        // Interrupted at most.
        while poll(&mut [PollFd::new(&bridge, PollFlags::IN)], None).is_err() {}
        let _ = tell.send(());
    };
    // It ends with the process.
    drop(env.spawn_thread("keeper-bridge", wait));
    gone
}

/// As shells say SIGKILL.
const KILLED: u8 = 128 + 9;

fn start(order: &Order) -> io::Result<Pid> {
    let brand = Brand {
        keeper: getpid(),
        dice: order.dice,
        bridge: BridgeId::of(order.bridge)?,
    };
    let server = Command::new(&order.program)
        .args(&order.arguments)
        .env(Brand::VARIABLE, brand.to_string())
        .process_group(0)
        .spawn();
    let program = order.program.to_string_lossy();
    let server = server.map_err(|error| io::Error::other(format!("{program}: {error}")))?;
    // Its input must end when the bridge closes it, and its output when it does.
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    Ok(Pid::from_child(&server))
}

/// Waits until the server itself has ended, and for whatever else ends meanwhile.
// Cancel safe: what was waited for is gone, and nobody needs to know of it but of the server.
async fn ended(deaths: &mut Signals, server: Pid) -> u8 {
    loop {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == server {
                return code(status);
            }
        }
        deaths.recv().await;
    }
}

fn code(status: WaitStatus) -> u8 {
    let code = status.exit_status();
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    let code = code.or(signal).and_then(|code| u8::try_from(code).ok());
    code.unwrap_or(KILLED)
}

/// Ends when the server was told to end and had its time. Its input has ended by then, so first
/// it is waited for, as the specification of stdio wants it.
async fn stopped(env: &Env, mut told: Signals, server: Pid, grace: Duration) {
    told.recv().await;
    env.sleep(grace / 2).await;
    // Its whole group: a launcher may not pass it on.
    let _ = kill_process_group(server, Signal::TERM);
    env.sleep(grace / 2).await;
}

/// Kills generation after generation until nothing is left: what has lost its parent comes here.
async fn end_all(env: &Env, deaths: &mut Signals) {
    loop {
        tree::kill_children();
        while let Some(_reaped) = match wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => return,
            reaped => reaped.ok().flatten(),
        } {}
        // One that the kernel holds may take long; a signal may also have been for an earlier one.
        env.until(env.now() + LOOK_AGAIN, deaths.recv()).await;
    }
}

const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let order = Order {
            bridge: getpid(),
            dice: u64::MAX,
            grace: Duration::from_millis(1_500),
            limits: Limits {
                memory_bytes: Some(1 << 30),
                cpu: Some(Duration::from_secs(5)),
                ..Limits::default()
            },
            program: "/bin/echo".into(),
            arguments: vec!["--".into(), "-x".into(), "".into()],
        };
        let read = Order::read(&order.write()).expect("it was just written");
        assert_eq!(read.bridge, order.bridge);
        assert_eq!(read.dice, order.dice);
        assert_eq!(read.grace, order.grace);
        assert_eq!(read.limits, order.limits);
        assert_eq!(read.program, order.program);
        assert_eq!(read.arguments, order.arguments);
    }

    #[test]
    fn other_words_are_no_order() {
        let all: Vec<OsString> = ["7", "5", "100", "-", "-", "-", "-", "/bin/cat"]
            .map(Into::into)
            .into();
        assert!(Order::read(&all).is_some());
        for len in 0..all.len() {
            assert!(Order::read(&all[..len]).is_none(), "{len} words");
        }
        for (place, word) in [(0, "0"), (0, "-1"), (0, "-"), (1, "-"), (2, "-"), (3, "x")] {
            let mut words = all.clone();
            words[place] = word.into();
            assert!(Order::read(&words).is_none(), "{word:?} at {place}");
        }
    }
}
