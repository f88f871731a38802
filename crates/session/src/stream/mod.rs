//! Streams as plain values: where an event stands, what a cursor still has to see, and the
//! bounded queue towards one reader.
//!
//! An event's place is (epoch, seq). A session's epoch is raised durably each time it is
//! activated and numbers start again at 1 in it, so no place is ever given twice, even if a
//! former owner of the session still thinks it may write.

mod place;
mod replay;
mod reader;

pub(crate) use place::{Cursor, Place, StreamId};
#[cfg(test)]
pub(crate) use reader::STALL_MAX;
pub(crate) use reader::{Bounds, Chatter, Nudge, Pushed, Writer, pair};
pub use reader::{Frame, StreamReader};
pub(crate) use replay::{Replay, StoredEvent, replay};
