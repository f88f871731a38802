//! The actor kernel: mailboxes, a directory of who is live, supervision, an alarm clock.
//!
//! Invariant: at most one actor lives under a key of a [`Directory`], and nobody is ever handed
//! the handle of an actor that has decided to retire.
//! Knows nothing of MCP, of sessions or of stores; an actor is any future.
//! Start with [`mailbox`], then [`directory`], then [`supervise`].

pub mod mailbox;
pub mod directory;
pub mod supervise;
pub mod alarm;

pub use alarm::Alarm;
pub use directory::{Directory, Held, Slot};
pub use mailbox::{Address, AskError, Item, Mailbox, NotSent, Reply, mailbox};
pub use supervise::{Importance, Stop, StopReason, Supervisor, Verdict};
