//! Who descends from whom, as `/proc` has it.

use std::{fmt, fs, io, os::unix::fs::MetadataExt, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, pidfd_open, pidfd_send_signal,
        set_child_subreaper, test_kill_process, waitpid,
    },
};

/// What a server and all it starts inherit in a variable: the number of their keeper, one that no
/// other keeper has, and whose keeper it is. The first alone would do for who looks from inside; from
/// outside a container one sees processes of keepers that have any number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Brand {
    pub keeper: Pid,
    pub dice: u64,
    pub bridge: BridgeId,
}

impl Brand {
    pub const VARIABLE: &str = "OSTLER_KEPT";
}

impl fmt::Display for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (keeper, bridge) = (self.keeper.as_raw_pid(), self.bridge);
        write!(f, "{keeper}-{:016x}-{bridge}", self.dice)
    }
}

/// One life of a bridge. Its number may be given anew, but not at the same tick of the kernel's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BridgeId {
    /// Where the number is that of the bridge: elsewhere it may be anybody's.
    namespace: u64,
    process: Pid,
    started: u64,
}

impl BridgeId {
    /// The process that is a bridge, in our own namespace.
    pub fn of(process: Pid) -> io::Result<BridgeId> {
        let kin = Kin::load(process).ok_or_else(|| io::Error::other("the bridge is gone"))?;
        Ok(BridgeId {
            namespace: namespace()?,
            process,
            started: kin.started,
        })
    }

    fn read(text: &str) -> Option<BridgeId> {
        let (namespace, rest) = text.split_once('.')?;
        let (process, started) = rest.split_once('.')?;
        let process = process.parse().ok().filter(|number| *number > 0)?;
        Some(BridgeId {
            namespace: namespace.parse().ok()?,
            process: Pid::from_raw(process)?,
            started: started.parse().ok()?,
        })
    }

    /// Surely gone: of one in another namespace nothing is known, nor of one whose state cannot be read.
    fn is_gone(self) -> bool {
        let lives = |kin: Kin| kin.started == self.started && kin.state != ZOMBIE;
        namespace().is_ok_and(|here| here == self.namespace)
            && match Kin::load(self.process) {
                Some(kin) => !lives(kin),
                None => test_kill_process(self.process) == Err(Errno::SRCH),
            }
    }
}

impl fmt::Display for BridgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = self.process.as_raw_pid();
        write!(f, "{}.{process}.{}", self.namespace, self.started)
    }
}

/// In which the numbers are that we see.
fn namespace() -> io::Result<u64> {
    Ok(fs::metadata("/proc/self/ns/pid")?.ino())
}

/// From here on what loses its parent comes to this process.
pub(super) fn adopt_orphans() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Kills the children of this process. Their own children come here then, if it adopts. A child's
/// number is not given anew before it is waited for: nobody else is hit.
pub(super) fn kill_children() {
    for child in children() {
        // It may have ended already.
        let _ = kill_process(child, Signal::KILL);
    }
}

/// The children of this process.
pub(super) fn children() -> impl Iterator<Item = Pid> {
    let me = getpid().as_raw_pid();
    family(move |kin| kin.parent == me)
}

/// What becomes of children of this process that it did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strangers {
    /// The keeper that is swept after may have left them; they have hidden its brand.
    End,
    /// It left nothing, so they are somebody else's. That they have ended is seen to all the same,
    /// because nobody else would.
    Spare,
}

/// Ends what a keeper left behind, which must not have been waited for yet: its number is its own
/// until then. Says how many there were.
pub(super) fn sweep(
    brand: Brand,
    strangers: Strangers,
    is_stranger: impl Fn(Pid) -> bool,
) -> usize {
    let me = getpid().as_raw_pid();
    let ends = |kin: &Kin| strangers == Strangers::End || kin.state == ZOMBIE;
    let is_lost = |kin: &Kin| kin.parent == me && ends(kin) && is_stranger(kin.pid);
    sweep_all(|kin| kin.is_of(brand) || is_lost(kin))
}

/// Ends what bridges left behind that were killed with their keepers, so that nobody was there to do
/// it. For a bridge that starts, and may have been started by one of them: that and its parents are let
/// be. Says how many there were; who hid its brand is not found.
pub fn end_abandoned() -> usize {
    let own = ancestry(getpid());
    sweep_all(|kin| !own.contains(&kin.pid) && kin.is_abandoned())
}

/// A process, its parent, and so on.
fn ancestry(pid: Pid) -> Vec<Pid> {
    let parent = |pid: &Pid| Pid::from_raw(Kin::load(*pid)?.parent);
    std::iter::successors(Some(pid), parent).collect()
}

fn sweep_all(is_left: impl Fn(&Kin) -> bool) -> usize {
    // What is killed may have started something after it was looked at, but not forever.
    let rounds = std::iter::repeat_with(|| sweep_once(&is_left));
    rounds.take(ROUNDS_MAX).take_while(|swept| *swept > 0).sum()
}

const ROUNDS_MAX: usize = 32;

fn sweep_once(is_left: &impl Fn(&Kin) -> bool) -> usize {
    let left: Vec<_> = family(is_left).collect();
    left.into_iter().filter(|pid| end(*pid, is_left)).count()
}

/// Kills one process and sees it go, or gives up on it: the kernel may hold it.
fn end(pid: Pid, is_left: &impl Fn(&Kin) -> bool) -> bool {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    // The number may have been given anew before it was opened.
    let Some(kin) = Kin::load(pid).filter(is_left) else {
        return false;
    };
    if kin.state == ZOMBIE {
        // It was adopted when it had ended already.
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        return false;
    }
    if pidfd_send_signal(&process, Signal::KILL).is_err() {
        return false;
    }
    let patience = Timespec::try_from(PATIENCE).expect("a second is in range");
    let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience));
    // It is ours to wait for if it was adopted, else its parent's.
    let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    true
}

const PATIENCE: Duration = Duration::from_secs(1);

/// All processes of the machine that `wanted` says yes to.
fn family(wanted: impl Fn(&Kin) -> bool) -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let kin = numbers.filter_map(Pid::from_raw).filter_map(Kin::load);
    kin.filter(move |kin| wanted(kin)).map(|kin| kin.pid)
}

/// It has ended and waits for its parent.
const ZOMBIE: char = 'Z';

/// One process and where it belongs.
struct Kin {
    pid: Pid,
    state: char,
    parent: i32,
    session: i32,
    /// In ticks of the kernel since it started itself.
    started: u64,
}

impl Kin {
    /// None if it is gone.
    fn load(pid: Pid) -> Option<Kin> {
        let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
        read_stat(pid, &String::from_utf8_lossy(&stat))
    }

    /// By its session, or by its brand if it has left that.
    fn is_of(&self, brand: Brand) -> bool {
        let is_in_session = self.session == brand.keeper.as_raw_pid();
        self.pid != brand.keeper && (is_in_session || self.has(brand))
    }

    fn has(&self, brand: Brand) -> bool {
        let brand = brand.to_string();
        self.brands().contains(&brand)
    }

    /// The bridge whose keeper gave it its brand is gone.
    fn is_abandoned(&self) -> bool {
        let bridge = |brand: &String| BridgeId::read(brand.rsplit('-').next()?);
        let brands = self.brands();
        brands.iter().filter_map(bridge).any(BridgeId::is_gone)
    }

    /// More than one only where somebody has put another before it.
    fn brands(&self) -> Vec<String> {
        // That of another user's process is not ours to read, and it is none of ours.
        let environ = fs::read(format!("/proc/{}/environ", self.pid.as_raw_pid()));
        let environ = environ.unwrap_or_default();
        let all = environ.split(|byte| *byte == 0);
        let value = |one: &[u8]| {
            let (name, value) = std::str::from_utf8(one).ok()?.split_once('=')?;
            (name == Brand::VARIABLE).then(|| value.to_owned())
        };
        all.filter_map(value).collect()
    }
}

/// The name before what is read may hold anything, parentheses too.
fn read_stat(pid: Pid, stat: &str) -> Option<Kin> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let _group = fields.next()?;
    let session = fields.next()?.parse().ok()?;
    let started = fields.nth(15)?.parse().ok()?;
    Some(Kin {
        pid,
        state,
        parent,
        session,
        started,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let me = getpid();
        let stat = "42 (a) S 1 (b) R 7 42 9 0 -1 4194304 90 0 0 0 1 2 0 0 20 0 1 0 77 4096 1";
        let kin = read_stat(me, stat).expect("all is there");
        assert_eq!((kin.state, kin.parent), ('R', 7));
        assert_eq!((kin.session, kin.started), (9, 77));
        assert!(read_stat(me, "42 (cut").is_none());
        assert!(read_stat(me, "42 (cut) R x").is_none());
    }

    #[test]
    fn a_bridge_is_read_as_it_was_written_and_is_gone_when_it_is_another() {
        let me = BridgeId::of(getpid()).expect("it lives");
        assert_eq!(BridgeId::read(&me.to_string()), Some(me));
        assert!(!me.is_gone());
        let started = me.started + 1;
        assert!(BridgeId { started, ..me }.is_gone());
        // A container's, seen from outside.
        let namespace = me.namespace + 1;
        let elsewhere = BridgeId {
            namespace,
            started,
            ..me
        };
        assert!(!elsewhere.is_gone());
        for text in ["", "1", "1.2", "1.0.3", "1.-2.3", "1.2.3.4", "1.2.x"] {
            assert_eq!(BridgeId::read(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_process_finds_itself() {
        let me = getpid();
        assert_eq!(ancestry(me).first(), Some(&me));
        let found: Vec<_> = family(|kin| kin.pid == me).collect();
        assert_eq!(found, [me]);
    }
}
