//! `ostler store`: the data directory of a node that does not run, looked at and moved.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, IsTerminal, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use ostler_env::Env;
use ostler_node::{Config, Overrides, Source};
use ostler_store::offline::{self, Exported, Report};

use crate::{
    admin::Port,
    cli::{Compact, Export, Import, Stopped, Store, StoreCommand},
};

pub fn run(arguments: Store) -> anyhow::Result<ExitCode> {
    match arguments.command {
        StoreCommand::Verify(stopped) => verify(&config(stopped)?),
        StoreCommand::Compact(Compact {
            stopped,
            admin,
            token_file,
        }) => match admin {
            None => compact(&config(stopped)?),
            Some(admin) => crate::block_on(compact_running(Port::new(&admin), token_file)),
        },
        StoreCommand::Export(Export { stopped, file }) => export(&config(stopped)?, &file),
        StoreCommand::Import(Import {
            stopped,
            engine,
            file,
        }) => {
            let mut config = config(stopped)?;
            if let Some(engine) = engine {
                config.store.engine = engine.into();
            }
            import(&config, &file)
        }
    }
}

fn config(stopped: Stopped) -> anyhow::Result<Config> {
    let overrides = Overrides {
        data: stopped.data,
        ..Overrides::default()
    };
    match stopped.config {
        Some(path) => Source::read(path, overrides).map(|(_, config)| config),
        None => {
            let config = Config::default().overridden(&overrides);
            config.map_err(anyhow::Error::msg)
        }
    }
}

fn verify(config: &Config) -> anyhow::Result<ExitCode> {
    let report = offline::verify(&config.stored(), &Env::system())?;
    print_report(&report);
    Ok(match report.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn compact(config: &Config) -> anyhow::Result<ExitCode> {
    let rewritten = ostler_store::compact(&config.stored(), &Env::system())?;
    println!("{rewritten}");
    Ok(ExitCode::SUCCESS)
}

async fn compact_running(node: Port, token_file: PathBuf) -> anyhow::Result<ExitCode> {
    print!("{}", node.command("/compact", &token_file).await?);
    Ok(ExitCode::SUCCESS)
}

fn print_report(report: &Report) {
    for finding in &report.findings {
        let why = finding.why.as_deref().unwrap_or_default();
        println!(
            "{} {}: {} {why}",
            finding.table, finding.key, finding.damage
        );
    }
    for (table, count) in &report.records {
        println!("{:<10} {count:>9} good", table.name());
    }
    for ((table, damage), count) in &report.damaged {
        println!("{table:<10} {count:>9} {damage}");
    }
    if report.stale_entries > 0 {
        println!(
            "{:<10} {:>9} left behind, harmless",
            "deadlines", report.stale_entries
        );
    }
    println!("{}", if report.is_good() { "good" } else { "damaged" });
}

const STANDARD: &str = "-";

fn export(config: &Config, file: &Path) -> anyhow::Result<ExitCode> {
    let exported = match file == Path::new(STANDARD) {
        true => {
            let out = io::stdout();
            ensure!(
                !out.is_terminal(),
                "an export is no text for a terminal; give it a file"
            );
            offline::export(
                &config.stored(),
                &Env::system(),
                &mut BufWriter::new(out.lock()),
            )?
        }
        false => export_to(config, file)?,
    };
    let Exported {
        records,
        damaged,
        damaged_blocks,
    } = exported;
    eprintln!("{records} records exported");
    eprintln!(
        "The key ring {} is not among them: take it along, or clients' session and task ids lead nowhere.",
        config.store.path.join("keys").display()
    );
    if damaged > 0 {
        eprintln!("{damaged} damaged records were left out; `ostler store verify` names them");
    }
    if damaged_blocks > 0 {
        eprintln!(
            "{damaged_blocks} blocks of its files changed while the store was closed; records may be missing"
        );
    }
    Ok(match damaged + damaged_blocks {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Under another name first: half an export must never have this one.
fn export_to(config: &Config, file: &Path) -> anyhow::Result<Exported> {
    ensure!(!file.exists(), "{} exists already", file.display());
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let exported = write_synced(config, &partial);
    if exported.is_err() {
        // The first error says more than one about what is left over.
        drop(fs::remove_file(&partial));
    }
    let exported = exported?;
    fs::rename(&partial, file).with_context(|| format!("renaming {}", partial.display()))?;
    let above = file.parent().filter(|above| *above != Path::new(""));
    File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(exported)
}

/// What a killed export left. Writing into it would keep its mode, or follow it elsewhere.
fn remove_left(partial: &Path) -> io::Result<()> {
    match fs::remove_file(partial) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(why),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write_synced(config: &Config, partial: &Path) -> anyhow::Result<Exported> {
    let mut options = OpenOptions::new();
    // It holds what clients and workers said.
    options.write(true).create_new(true).mode(0o600);
    let opened = remove_left(partial).and_then(|()| options.open(partial));
    let opened = opened.with_context(|| format!("making {}", partial.display()))?;
    let mut out = BufWriter::new(opened);
    let exported = offline::export(&config.stored(), &Env::system(), &mut out)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    Ok(exported)
}

fn import(config: &Config, file: &Path) -> anyhow::Result<ExitCode> {
    let mut input: Box<dyn Read> = match file == Path::new(STANDARD) {
        true => Box::new(io::stdin().lock()),
        false => {
            let opened = File::open(file);
            Box::new(opened.with_context(|| format!("opening {}", file.display()))?)
        }
    };
    let keys = config.store.path.join("keys");
    let report = offline::import(
        &config.stored(),
        &Env::system(),
        &mut BufReader::new(&mut input),
    )?;
    print_report(&report);
    if !keys.is_file() {
        eprintln!(
            "Put the old node's key ring at {} before you start this one.",
            keys.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}
