//! Who descends from whom, as `/proc` has it.

use std::{fmt, fs, io, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{
        Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, pidfd_open, pidfd_send_signal,
        set_child_subreaper, waitpid,
    },
};

/// What a server and all it starts inherit in a variable: the number of their keeper, and one that
/// no other keeper has. The first alone would do for who looks from inside; from outside a container
/// one sees processes of keepers that have any number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Brand {
    pub keeper: Pid,
    pub dice: u64,
}

impl Brand {
    pub const VARIABLE: &str = "OSTLER_KEPT";
}

impl fmt::Display for Brand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.keeper.as_raw_pid(), self.dice)
    }
}

/// From here on what loses its parent comes to this process.
pub(super) fn adopt_orphans() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Kills the children of this process. Their own children come here then, if it adopts. A child's
/// number is not given anew before it is waited for: nobody else is hit.
pub(super) fn kill_children() {
    let me = getpid().as_raw_pid();
    for child in family(|kin| kin.parent == me) {
        // It may have ended already.
        let _ = kill_process(child, Signal::KILL);
    }
}

/// Ends what a keeper left behind, which must not have been waited for yet: its number is its own
/// until then. Children of this process that are strangers were left behind, too: they have hidden
/// their brand. Says how many there were.
pub(super) fn sweep(brand: Brand, is_stranger: impl Fn(Pid) -> bool) -> usize {
    let me = getpid().as_raw_pid();
    let is_left = |kin: &Kin| kin.is_of(brand) || (kin.parent == me && is_stranger(kin.pid));
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
}

impl Kin {
    /// None if it is gone.
    fn load(pid: Pid) -> Option<Kin> {
        let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
        let (state, parent, session) = read_stat(&String::from_utf8_lossy(&stat))?;
        Some(Kin {
            pid,
            state,
            parent,
            session,
        })
    }

    /// By its session, or by its brand if it has left that.
    fn is_of(&self, brand: Brand) -> bool {
        let is_in_session = self.session == brand.keeper.as_raw_pid();
        self.pid != brand.keeper && (is_in_session || self.has(brand))
    }

    fn has(&self, brand: Brand) -> bool {
        let brand = format!("{}={brand}", Brand::VARIABLE);
        // That of another user's process is not ours to read, and it is none of ours.
        let environ = fs::read(format!("/proc/{}/environ", self.pid.as_raw_pid()));
        let environ = environ.unwrap_or_default();
        environ
            .split(|byte| *byte == 0)
            .any(|one| one == brand.as_bytes())
    }
}

/// State, parent and session. The name before them may hold anything, parentheses too.
fn read_stat(stat: &str) -> Option<(char, i32, i32)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let _group = fields.next()?;
    let session = fields.next()?.parse().ok()?;
    Some((state, parent, session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "42 (a) S 1 (b) R 7 42 9 0 -1 4194304";
        assert_eq!(read_stat(stat), Some(('R', 7, 9)));
        assert_eq!(read_stat("42 (cut"), None);
        assert_eq!(read_stat("42 (cut) R x"), None);
    }

    #[test]
    fn a_process_finds_itself() {
        let me = getpid();
        let found: Vec<_> = family(|kin| kin.pid == me).collect();
        assert_eq!(found, [me]);
    }
}
