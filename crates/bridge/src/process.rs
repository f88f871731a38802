//! A server as a child process: checked, started, listened to, and ended with all it started.
//!
//! Between the bridge and a server stands a *keeper*: this binary again, as the hidden command
//! `keep`. It adopts what the server starts and leaves behind, so it can end all of it, and it ends
//! all of it when the bridge is gone, however that went. A death signal from the kernel was
//! considered instead: it reaches the server but not what that started, and it is sent when the
//! thread that forked ends, which a runtime's threads do while the bridge lives on.
//!
//! A keeper that is killed leaves orphans; the bridge knows them by their session, by a brand in
//! their environment, and as children that it did not start; it ends them before the keeper's number
//! can be given to anybody else. When keeper and bridge are killed at once, nobody is left to do that
//! until the next bridge starts: it ends all whose brand names a bridge that is gone. Who has hidden
//! its brand by then stays.

mod keeper;
mod limits;
mod live;
mod program;
mod stderr;
mod tree;

pub use self::{
    keeper::keep,
    limits::Limits,
    live::{Ended, Keeper, Pipes, Process, StartError},
    program::{Lookup, Program, Shells, Spec, SpecError},
    tree::end_abandoned,
};
