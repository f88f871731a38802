//! What all frames have in common, whichever way they travel.

use prost::Message;

use crate::worker_v1::{FromWorker, Part, ToWorker, from_worker, to_worker};

/// A frame of one direction of a link.
pub trait Frame: Message + Sized {
    fn of_part(part: Part) -> Self;

    /// What flow control counts for this frame; 0 for frames that wait for no credit.
    fn cost(&self) -> usize;
}

impl Frame for ToWorker {
    fn of_part(part: Part) -> Self {
        to_worker::Frame::Part(part).into()
    }

    fn cost(&self) -> usize {
        use to_worker::Frame as F;
        match &self.frame {
            Some(F::Call(_) | F::Answers(_) | F::Part(_)) => self.encoded_len(),
            Some(
                F::Welcome(_)
                | F::Grant(_)
                | F::Keep(_)
                | F::Cancel(_)
                | F::Recorded(_)
                | F::Forget(_)
                | F::Watch(_)
                | F::Unwatch(_)
                | F::Drain(_)
                | F::Ping(_)
                | F::CatalogTaken(_),
            )
            | None => 0,
        }
    }
}

impl Frame for FromWorker {
    fn of_part(part: Part) -> Self {
        from_worker::Frame::Part(part).into()
    }

    fn cost(&self) -> usize {
        use from_worker::Frame as F;
        match &self.frame {
            Some(F::Hello(_) | F::Pong(_) | F::Consumed(_) | F::Leaving(_) | F::Visited(_))
            | None => 0,
            Some(
                F::Started(_)
                | F::Kept(_)
                | F::Progress(_)
                | F::Log(_)
                | F::Ask(_)
                | F::BecomeTask(_)
                | F::Outcome(_)
                | F::Refused(_)
                | F::CatalogChanged(_)
                | F::ResourceUpdated(_)
                | F::Part(_),
            ) => self.encoded_len(),
        }
    }
}

impl From<to_worker::Frame> for ToWorker {
    fn from(frame: to_worker::Frame) -> Self {
        Self { frame: Some(frame) }
    }
}

impl From<from_worker::Frame> for FromWorker {
    fn from(frame: from_worker::Frame) -> Self {
        Self { frame: Some(frame) }
    }
}
