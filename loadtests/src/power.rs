//! Power cuts under a writing store: a record that was acknowledged is on the disk.
//!
//! A writer in a process of its own commits records of 1 KiB to 4 MiB and notes each acknowledged
//! one outside the disk. At a random moment the disk's power is cut; then the disk is mounted
//! again, the store opened, and everything compared with the notes. Every third cycle begins with
//! a new disk, the others go on with the store that the last cut left.
//!
//! With `--lying-disk` the writer's syncs do nothing and claim success: then records must be lost,
//! or this harness could not see a loss.

mod ledger;
pub mod writer;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use ostler_env::Env;
use ostler_store::{Store, offline};
use tempfile::TempDir;

use crate::disk::{Disk, Mounted};
use ledger::{Ledger, mix};

#[derive(clap::Args)]
// `cargo xtask power` adds its own to those it was given.
#[command(args_override_self = true)]
pub struct Arguments {
    /// How often the power is cut.
    #[arg(long, default_value_t = 50)]
    cycles: u64,
    /// What the moments of the cuts and the sizes of the records follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The writer's syncs do nothing; it fails unless that loses something.
    #[arg(long)]
    lying_disk: bool,
    #[command(flatten)]
    engine: writer::Engine,
}

const DISK_BYTES: u64 = 3 << 30;
/// Cycles in a row with one store.
const CYCLES_PER_DISK: u64 = 3;
/// A writer lives at least and at most so long; in the shortest lives it is still opening.
const LIFE_MIN_MS: u64 = 20;
const LIFE_MAX_MS: u64 = 2_500;
/// Where on the disk the store is.
const STORE: &str = "store";

/// What all cycles together found.
#[derive(Default)]
struct Figures {
    cycles: u64,
    disks: u64,
    acknowledged: u64,
    /// Commits that were under way, whole on the disk.
    kept_unasked: u64,
    /// More of these than can have been under way.
    unmade: u64,
    lost: u64,
    unopened: u64,
    side_files: u64,
    damaged: u64,
    open_ms: Vec<u128>,
}

pub async fn run(env: &Env, arguments: Arguments) -> anyhow::Result<()> {
    let mut figures = Figures::default();
    while figures.cycles < arguments.cycles {
        let left = arguments.cycles - figures.cycles;
        disk_life(env, &arguments, left.min(CYCLES_PER_DISK), &mut figures).await?;
    }
    figures.print();
    figures.judge(arguments.lying_disk)
}

/// A new disk, and the cycles on it.
async fn disk_life(
    env: &Env,
    arguments: &Arguments,
    cycles: u64,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let disk = Disk::make(folder.path(), DISK_BYTES)?;
    figures.disks += 1;
    let notes = folder.path().join("acknowledged");
    let mut ledger = Ledger::new(arguments.seed);
    let mut is_good = true;
    for _ in 0..cycles {
        figures.cycles += 1;
        ledger.write(&notes)?;
        cut_while_writing(env, arguments, &disk, &notes, figures.cycles).await?;
        figures.acknowledged += ledger.read(&notes)?;
        let mounted = disk.mount()?;
        if !check(env, arguments, &mounted, &mut ledger, figures).await? {
            // No writer can go on with it.
            is_good = false;
            break;
        }
    }
    if !is_good && !arguments.lying_disk {
        let kept = folder.keep();
        eprintln!("the disk and the notes are kept in {}", kept.display());
    }
    Ok(())
}

async fn cut_while_writing(
    env: &Env,
    arguments: &Arguments,
    disk: &Disk,
    notes: &Path,
    cycle: u64,
) -> anyhow::Result<()> {
    let mounted = disk.mount()?;
    let mut writer = Writer::start(arguments, &mounted, notes)?;
    let life = LIFE_MIN_MS + mix(arguments.seed ^ cycle << 32) % (LIFE_MAX_MS - LIFE_MIN_MS);
    env.sleep(Duration::from_millis(life)).await;
    writer.stop()?;
    mounted.cut()?;
    writer.end()
}

/// The writer's process; killed when dropped.
struct Writer {
    process: Child,
    is_traced: bool,
}

impl Writer {
    fn start(arguments: &Arguments, disk: &Mounted<'_>, notes: &Path) -> anyhow::Result<Writer> {
        let program = std::env::current_exe()?;
        let mut command = match arguments.lying_disk {
            false => Command::new(program),
            true => lied_to(&program),
        };
        command.arg("power-writer");
        command.arg("--store").arg(disk.path().join(STORE));
        command.arg("--notes").arg(notes);
        command.args(["--seed", &arguments.seed.to_string()]);
        command.args(arguments.engine.as_arguments());
        // The end of its input is the end of the writer, also of one that strace runs.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().context("starting a writer")?;
        Ok(Writer {
            process: child,
            is_traced: arguments.lying_disk,
        })
    }

    /// Nothing is noted after this. A sync that is under way goes on and meets the cut, and the
    /// kernel may well call it a success then; of a machine without power nobody would hear that.
    fn stop(&self) -> anyhow::Result<()> {
        if self.is_traced {
            return Ok(());
        }
        let id = self.process.id().to_string();
        let stopped = Command::new("kill").args(["-STOP", &id]).status();
        let stopped = stopped.context("stopping the writer")?;
        ensure!(stopped.success(), "the writer ended before its time");
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        match self.is_traced {
            // Killing strace would leave its writer behind.
            true => drop(self.process.stdin.take()),
            false => self.process.kill()?,
        }
        self.process.wait().context("waiting for the writer")?;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // An error means that it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs it with syncs that do nothing and claim success.
fn lied_to(program: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "--seccomp-bpf", "-o", "/dev/null"]);
    command.args(["-e", "trace=fsync,fdatasync,sync_file_range"]);
    command.args(["-e", "inject=fsync,fdatasync,sync_file_range:retval=0"]);
    command.arg("--").arg(program);
    command
}

/// Compares; whether the store can be gone on with.
async fn check(
    env: &Env,
    arguments: &Arguments,
    disk: &Mounted<'_>,
    ledger: &mut Ledger,
    figures: &mut Figures,
) -> anyhow::Result<bool> {
    let path = disk.path().join(STORE);
    let config = arguments.engine.config(&path);
    let started = env.now();
    let store = match Store::open(&config, env) {
        Ok(store) => store,
        Err(error) => {
            eprintln!("cycle {}: {error}", figures.cycles);
            figures.unopened += 1;
            return Ok(false);
        }
    };
    figures.open_ms.push(env.now().since(started).as_millis());
    let compared = ledger.compare(&store).await?;
    store.close().await;
    for lost in &compared.lost {
        eprintln!("cycle {}: {lost}", figures.cycles);
    }
    figures.lost += compared.lost.len() as u64;
    figures.kept_unasked += compared.kept_unasked;
    figures.unmade += compared.unmade();
    figures.side_files += side_files(&path)?;
    let report = offline::verify(&config, env)?;
    for finding in &report.findings {
        eprintln!("cycle {}: {finding:?}", figures.cycles);
    }
    figures.damaged += report.findings.len() as u64;
    Ok(compared.lost.is_empty())
}

/// Files that sled never syncs; the store keeps rows small so that there are none.
fn side_files(store: &Path) -> anyhow::Result<u64> {
    let blobs: PathBuf = store.join("sled").join("blobs");
    match blobs.is_dir() {
        true => Ok(std::fs::read_dir(blobs)?.count() as u64),
        false => Ok(0),
    }
}

impl Figures {
    fn print(&mut self) {
        self.open_ms.sort_unstable();
        let open_ms = |share: usize| {
            let last = self.open_ms.len().saturating_sub(1);
            self.open_ms.get(last * share / 100).copied().unwrap_or(0)
        };
        println!(
            "power cuts                {:>8}, on {} new disks",
            self.cycles, self.disks
        );
        println!("commits acknowledged      {:>8}", self.acknowledged);
        println!("  of them lost            {:>8}", self.lost);
        println!("commits under way, kept   {:>8}", self.kept_unasked);
        println!("  more than were made     {:>8}", self.unmade);
        println!("stores that did not open  {:>8}", self.unopened);
        println!("records damaged           {:>8}", self.damaged);
        println!("side files                {:>8}", self.side_files);
        println!(
            "opened in ms, p50 and max {:>8} {}",
            open_ms(50),
            open_ms(100)
        );
    }

    fn judge(&self, lying_disk: bool) -> anyhow::Result<()> {
        ensure!(
            self.acknowledged > 10 * self.cycles,
            "hardly anything was written"
        );
        let broken = self.lost + self.unmade + self.unopened + self.damaged + self.side_files;
        match lying_disk {
            false => ensure!(broken == 0, "what was acknowledged did not survive"),
            true => ensure!(
                broken > 0,
                "a lying disk lost nothing: this harness sees no loss"
            ),
        }
        Ok(())
    }
}
