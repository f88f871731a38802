//! What one process of a server may use, as the kernel counts it.

use std::{io, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Limits of each process of a server, not of all together. The processes count per user of the
/// machine, and not for root: that is how the kernel counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory it may write to. Not address space: V8 and Go reserve far more than they use.
    pub memory_bytes: Option<u64>,
    pub open_files: Option<u64>,
    pub processes: Option<u64>,
    pub cpu: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory_bytes: None,
            open_files: Some(1_024),
            processes: None,
            cpu: None,
        }
    }
}

impl Limits {
    /// The keeper opens about ten files, of which the server inherits three.
    pub const OPEN_FILES_MIN: u64 = 32;

    /// In the order of [`Limits::from_numbers`].
    pub(super) fn numbers(&self) -> [Option<u64>; 4] {
        let cpu_s = self.cpu.map(|cpu| cpu.as_secs().max(1));
        [self.memory_bytes, self.open_files, self.processes, cpu_s]
    }

    pub(super) fn from_numbers(numbers: [Option<u64>; 4]) -> Limits {
        let [memory_bytes, open_files, processes, cpu_s] = numbers;
        Limits {
            memory_bytes,
            open_files,
            processes,
            cpu: cpu_s.map(Duration::from_secs),
        }
    }

    /// Holds for this process and all it starts. A core would have what callers said in it.
    pub(super) fn impose(&self) -> io::Result<()> {
        let [memory_bytes, open_files, processes, cpu_s] = self.numbers();
        let limits = [
            (Resource::Data, memory_bytes),
            (Resource::Nofile, open_files),
            (Resource::Nproc, processes),
            (Resource::Cpu, cpu_s),
            (Resource::Core, Some(0)),
        ];
        limits
            .into_iter()
            .try_for_each(|(resource, limit)| limit.map_or(Ok(()), |limit| impose(resource, limit)))
    }
}

/// Never above what the system allows: only root may raise that.
fn impose(resource: Resource, limit: u64) -> io::Result<()> {
    let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Some(limit.min(allowed));
    let limit = Rlimit {
        current: limit,
        maximum: limit,
    };
    Ok(setrlimit(resource, limit)?)
}
