//! Kind 11: one event of a stream. Its place is in its key.

use bytes::Bytes;
use minicbor::{Decode, Encode};

use crate::record::{Kind, Row};

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct EventRow {
    /// The message as it goes out; empty for a priming event.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    data: Vec<u8>,
    /// Nothing follows on this stream.
    #[n(1)]
    pub last: bool,
}

impl Row for EventRow {
    const KIND: Kind = Kind::Event;
}

impl EventRow {
    pub fn new(data: &Bytes, last: bool) -> Self {
        EventRow {
            data: data.to_vec(),
            last,
        }
    }

    pub fn into_data(self) -> Bytes {
        self.data.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::testing::check;

    proptest! {
        #[test]
        fn an_event_comes_back(data: Vec<u8>, last: bool) {
            check(EventRow::new(&data.into(), last));
        }
    }
}
