//! Whether the files of a database are as they were when it was closed.
//!
//! sled takes what does not verify in its log for what a crash left, and goes on without it: a bit
//! that flipped costs records, and nobody is told. So a database that is closed in order gets a
//! seal: the length of each file right in its directory, and a CRC-32 of every 64 KiB of it. The
//! next open compares before it opens anything, and breaks the seal. A database whose process was
//! killed has none, and there sled is right; one of more than 128 MiB has none either.
//!
//! ```text
//! seal = line…        line = file name, length, CRC in hex…        separated by blanks
//! ```

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

use super::files::{Directory, disk_bytes, sync_directory};

const BLOCK_BYTES: u64 = 64 << 10;

/// A larger database gets no seal: a node that stops has half a second to read it.
const SEALED_BYTES_MAX: u64 = 128 << 20;

impl Directory {
    /// Seals the database, which is closed.
    pub fn seal(&self) -> io::Result<()> {
        let database = self.database();
        if disk_bytes(&database) > SEALED_BYTES_MAX {
            return Ok(());
        }
        let new = self.path().join("seal.new");
        let mut seal = File::create(&new)?;
        for entry in fs::read_dir(&database)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                writeln!(seal, "{}", line(&name, &entry.path())?)?;
            }
        }
        seal.sync_all()?;
        fs::rename(&new, self.path().join("seal"))?;
        sync_directory(self.path())
    }

    /// How many blocks are not as they were sealed. The seal is broken afterwards.
    pub fn break_seal(&self) -> io::Result<u64> {
        let damaged = self.damaged_blocks()?;
        let path = self.path().join("seal");
        if path.exists() {
            fs::rename(&path, self.path().join("seal.broken"))?;
            sync_directory(self.path())?;
        }
        Ok(damaged)
    }

    /// How many blocks are not as they were sealed; none if there is no seal.
    pub fn damaged_blocks(&self) -> io::Result<u64> {
        let seal = match File::open(self.path().join("seal")) {
            Ok(seal) => BufReader::new(seal),
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(why) => return Err(why),
        };
        let mut damaged = 0;
        for sealed in seal.lines() {
            // A damaged seal is damage, and no reason not to start.
            let Ok(sealed) = sealed else {
                damaged += 1;
                break;
            };
            damaged += changed_blocks(&self.database(), &sealed);
        }
        Ok(damaged)
    }

    /// Takes the breaking back: nothing was opened.
    pub fn mend_seal(&self) {
        // Without a seal, damage is not noticed; nothing else is lost.
        drop(fs::rename(
            self.path().join("seal.broken"),
            self.path().join("seal"),
        ));
    }

    /// Removes a broken seal: the database is open.
    pub fn remove_broken_seal(&self) {
        // What is left over is replaced by the next that is broken.
        drop(fs::remove_file(self.path().join("seal.broken")));
    }
}

fn line(name: &str, file: &Path) -> io::Result<String> {
    let len = fs::metadata(file)?.len();
    let blocks = block_sums(file)?;
    let sums: String = blocks.iter().map(|sum| format!(" {sum:08x}")).collect();
    Ok(format!("{name} {len}{sums}"))
}

/// A file that cannot be read, or a line that is none, is one block at least.
fn changed_blocks(database: &Path, sealed: &str) -> u64 {
    let name = sealed.split(' ').next().unwrap_or_default();
    let found = line(name, &database.join(name)).unwrap_or_default();
    if found == sealed && !sealed.is_empty() {
        return 0;
    }
    let (mut sealed, mut found) = (sealed.split(' ').skip(2), found.split(' ').skip(2));
    let mut changed = 0;
    loop {
        match (sealed.next(), found.next()) {
            (None, None) => return u64::max(changed, 1),
            (sealed, found) => changed += u64::from(sealed != found),
        }
    }
}

fn block_sums(file: &Path) -> io::Result<Vec<u32>> {
    let file = File::open(file)?;
    let mut sums = Vec::new();
    loop {
        let mut block = Vec::with_capacity(BLOCK_BYTES as usize);
        (&file).take(BLOCK_BYTES).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(sums);
        }
        sums.push(crc32fast::hash(&block));
    }
}
