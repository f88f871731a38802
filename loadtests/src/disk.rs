//! A disk of our own: a file with ext4 in it, mounted through a loop device, whose power can be cut.
//!
//! Cutting is `mount -o remount,abort`, which ext4 has for tests like this: from that moment on the
//! file system writes nothing more, neither data nor journal. What the loop device had been given
//! is what a disk holds after a power cut; all that only the page cache knew is gone after the next
//! mount. Unlike a copy of the image, it is one moment, also in the middle of a sync.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

pub struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

/// Unmounted when dropped.
pub struct Mounted<'a>(&'a Disk);

impl Disk {
    /// A formatted disk of that size; the file is sparse.
    pub fn make(folder: &Path, bytes: u64) -> anyhow::Result<Disk> {
        let disk = Disk {
            image: folder.join("disk.img"),
            mount: folder.join("disk"),
        };
        fs::create_dir_all(&disk.mount)?;
        let image = File::create(&disk.image).context("making the image")?;
        image.set_len(bytes)?;
        let quiet = ["-q", "-F"].map(OsStr::new);
        run(
            "mkfs.ext4",
            quiet.into_iter().chain([disk.image.as_os_str()]),
        )?;
        Ok(disk)
    }

    /// As a machine does when it starts: the journal is replayed.
    pub fn mount(&self) -> anyhow::Result<Mounted<'_>> {
        let options = ["-t", "ext4", "-o", "loop"].map(OsStr::new);
        let places = [self.image.as_os_str(), self.mount.as_os_str()];
        run("mount", options.into_iter().chain(places))?;
        Ok(Mounted(self))
    }
}

impl Mounted<'_> {
    pub fn path(&self) -> &Path {
        &self.0.mount
    }

    /// Nothing that is not on the disk by now will ever be.
    pub fn cut(&self) -> anyhow::Result<()> {
        let options = ["-o", "remount,abort"].map(OsStr::new);
        let place = self.0.mount.as_os_str();
        run("mount", options.into_iter().chain([place]))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // A mount that stays ends with the mount namespace of this process.
        if let Err(error) = run("umount", [self.0.mount.as_os_str()]) {
            eprintln!("{error:#}");
        }
    }
}

fn run<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) -> anyhow::Result<()> {
    let ran = Command::new(program).args(arguments).output();
    let ran = ran.with_context(|| format!("starting {program}"))?;
    let said = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "{program}: {}", said.trim());
    Ok(())
}
