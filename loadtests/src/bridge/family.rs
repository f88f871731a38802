//! A server, what it started, and who keeps it, as `/proc` shows them.

use std::{fs, process::Command};

use anyhow::ensure;

/// The processes of one life of a server.
pub struct Family {
    pub keeper: u32,
    pub server: u32,
    pub children: Vec<u32>,
}

/// What a keeper gives to all it keeps, and does not have itself.
const BRAND: &str = "OSTLER_KEPT=";

impl Family {
    /// The one of the server with this name, which its arguments hold.
    pub fn find(name: &str) -> Option<Family> {
        let mut kept = processes().filter_map(|process| Some((process, brand(process)?)));
        let (server, keeper) = kept.find(|(process, _)| has_word(*process, name))?;
        let child = |process: &u32| *process != server && brand(*process) == Some(keeper);
        let children = processes().filter(child).collect();
        Some(Family {
            keeper,
            server,
            children,
        })
    }

    pub fn is_gone(&self) -> bool {
        let left = |process| process == self.keeper || brand(process) == Some(self.keeper);
        !processes().any(left)
    }
}

/// Ends a process with SIGKILL, whether or not it is there.
pub fn kill(process: u32) -> anyhow::Result<()> {
    let mut kill = Command::new("kill");
    let killed = kill.args(["-KILL", &process.to_string()]).output();
    ensure!(killed.is_ok(), "no way to kill");
    Ok(())
}

/// Children of this process that ended and that nobody waited for.
pub fn zombies_of(parent: u32) -> usize {
    let is = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let zombie = format!("Z {parent} ");
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with(&zombie))
    };
    processes().filter(is).count()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn has_word(process: u32, name: &str) -> bool {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0)
        .any(|word| word == name.as_bytes())
}

fn brand(process: u32) -> Option<u32> {
    let environ = fs::read(format!("/proc/{process}/environ")).ok()?;
    let mut names = environ.split(|byte| *byte == 0);
    let value = names.find_map(|name| name.strip_prefix(BRAND.as_bytes()))?;
    let (keeper, _) = std::str::from_utf8(value).ok()?.split_once('-')?;
    keeper.parse().ok()
}
