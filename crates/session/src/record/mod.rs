//! Stored forms, one file per kind. Field numbers are never reused; readers skip numbers they
//! do not know, so a version only counts up when an old number changes its meaning.

mod session;
mod event;
mod call;
mod question;
mod keys;

use minicbor::{Decode, Encode};
use ostler_store::{Owner, Record};

pub(crate) use call::CallRow;
pub(crate) use event::EventRow;
pub(crate) use keys::{CallKey, SessionKey, call_of_key, event_place};
pub(crate) use question::{QuestionRow, question_of_key};
pub(crate) use session::{Opening, SessionRow};

/// What a record is. Numbers 10 to 19 are this crate's; none is ever reused. 14 was an index of
/// principals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Session,
    Event,
    Call,
    Question,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Kind::Session => 10,
            Kind::Event => 11,
            Kind::Call => 12,
            Kind::Question => 13,
        }
    }
}

const VERSION: u16 = 1;

/// A row of one kind.
pub(crate) trait Row: Encode<()> + for<'b> Decode<'b, ()> {
    const KIND: Kind;
}

/// Wraps a row into its record.
pub(crate) fn encode<R: Row>(row: &R, epoch: u64, owner: &Owner) -> Record {
    let payload = minicbor::to_vec(row).expect("writing to memory does not fail");
    Record {
        kind: R::KIND.number(),
        version: VERSION,
        epoch,
        owner: owner.clone(),
        payload: payload.into(),
    }
}

/// The row in a record, if it is of this kind and can be read. The store has checked its CRC,
/// so what cannot be read was written by a newer version, or by mistake.
pub(crate) fn decode<R: Row>(record: &Record) -> Option<R> {
    let known = record.kind == R::KIND.number() && record.version <= VERSION + 1;
    known.then(|| minicbor::decode(&record.payload).ok())?
}

/// Whether a record is of this kind: others may share its table.
pub(crate) fn is(record: &Record, kind: Kind) -> bool {
    record.kind == kind.number()
}

#[cfg(test)]
pub(crate) mod testing {
    use ostler_types::TenantId;

    use super::*;

    pub fn owner() -> Owner {
        Owner {
            tenant: TenantId::parse("acme").unwrap(),
            principal: [7; 32],
        }
    }

    /// One helper for all kinds: what goes in comes out, and under no other kind's number.
    pub fn check<R: Row + PartialEq + std::fmt::Debug>(row: R) {
        let record = encode(&row, 3, &owner());
        assert_eq!(record.epoch, 3);
        let mut foreign = record.clone();
        foreign.kind += 1;
        assert!(decode::<R>(&foreign).is_none());
        assert_eq!(decode::<R>(&record), Some(row));
    }
}
