//! Putting a freshly written database in the place of the old one, and creating the first.
//!
//! A database is written under the name `.new`, closed and synced, with every file and directory
//! in it; only then does it get its name, by renaming. A process that ends, or a machine that
//! loses power, anywhere on the way leaves one of these, and the next open goes on from it:
//!
//! | database | `.new`  | `.old` | where it ended                       | then                      |
//! |----------|---------|--------|--------------------------------------|---------------------------|
//! | yes      | no      | no     | nowhere                              |                           |
//! | yes      | partial | no     | while the new one was written        | `.new` is removed         |
//! | yes      | whole   | no     | just before the swap                 | `.new` is removed         |
//! | no       | whole   | yes    | between the renames                  | `.new` gets its name      |
//! | yes, new | no      | yes    | just after the swap                  | `.old` is removed         |
//! | yes, new | no      | partial| while the old one was removed        | `.old` is removed         |
//! | no       | any     | no     | while the very first was created     | `.new` is removed, again  |
//!
//! The directory is synced between the renames, so a power cut shows them in this order too.

use std::{fs, io, path::PathBuf};

use super::files::{Directory, remove_tree, sync_directory};

impl Directory {
    /// Where a new database is to be written; what an earlier attempt left there is gone.
    pub fn fresh(&self) -> io::Result<PathBuf> {
        let fresh = self.beside("new");
        remove_tree(&fresh)?;
        fs::create_dir(&fresh)?;
        Ok(fresh)
    }

    /// Gives the whole, synced and closed database at [`Directory::fresh`] its name. The one
    /// that had it is left as `.old` until [`Directory::remove_leftovers`].
    pub fn swap_in_fresh(&self) -> io::Result<()> {
        let (database, replaced) = (self.database(), self.beside("old"));
        remove_tree(&replaced)?;
        if database.exists() {
            fs::rename(&database, &replaced)?;
            sync_directory(self.path())?;
        }
        fs::rename(self.beside("new"), &database)?;
        sync_directory(self.path())
    }

    /// Ends a swap that was cut between its renames. To be called before the database is opened.
    pub fn settle(&self) -> io::Result<()> {
        if !self.database().exists() && self.beside("old").exists() {
            fs::rename(self.beside("new"), self.database())?;
            sync_directory(self.path())?;
        }
        Ok(())
    }

    /// Removes what a swap, or its beginning, left.
    pub fn remove_leftovers(&self) -> io::Result<()> {
        if !self.database().exists() {
            // Between the renames all that is live is in what is left.
            return Ok(());
        }
        remove_tree(&self.beside("new"))?;
        remove_tree(&self.beside("old"))
    }
}
