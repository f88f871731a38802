//! Payloads larger than a frame: taken apart by the sender, put together by the receiver.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::{Bytes, BytesMut};

use crate::worker_v1::{Part, Payload};

/// The largest piece of a payload.
pub const PART_BYTES_MAX: usize = 64 << 10;
/// All payloads inside one frame, together.
pub const INLINE_BYTES_MAX: usize = 64 << 10;

/// Numbers the transfers of one direction of one link.
#[derive(Debug, Default)]
pub struct TransferNumbers(AtomicU64);

impl TransferNumbers {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A payload on its way in parts.
#[derive(Debug)]
pub struct Transfer {
    number: u64,
    rest: Bytes,
}

impl Transfer {
    /// The next piece; `None` when all are out.
    pub fn next_part(&mut self) -> Option<Part> {
        if self.rest.is_empty() {
            return None;
        }
        let data = self.rest.split_to(self.rest.len().min(PART_BYTES_MAX));
        let transfer = self.number;
        Some(Part { transfer, data })
    }

    /// Bytes still to be sent.
    pub fn bytes_left(&self) -> usize {
        self.rest.len()
    }
}

/// Packs the payloads of one frame: inside it while there is room, otherwise ahead of it.
#[derive(Debug)]
pub struct Packer<'a> {
    numbers: &'a TransferNumbers,
    inline_left: usize,
    transfers: Vec<Transfer>,
}

impl<'a> Packer<'a> {
    pub fn new(numbers: &'a TransferNumbers) -> Self {
        Self {
            numbers,
            inline_left: INLINE_BYTES_MAX,
            transfers: Vec::new(),
        }
    }

    pub fn pack(&mut self, bytes: Bytes) -> Payload {
        if bytes.len() <= self.inline_left {
            self.inline_left -= bytes.len();
            return Payload {
                inline: bytes,
                transfer: 0,
            };
        }
        let number = self.numbers.next();
        let rest = bytes;
        self.transfers.push(Transfer { number, rest });
        Payload {
            inline: Bytes::new(),
            transfer: number,
        }
    }

    /// What must be sent ahead of the frame.
    pub fn into_transfers(self) -> Vec<Transfer> {
        self.transfers
    }
}

/// How much may wait in an [`Assembler`].
#[derive(Debug, Clone, Copy)]
pub struct AssemblerLimits {
    /// One payload, in bytes.
    pub payload_bytes_max: usize,
    /// All open transfers together, in bytes.
    pub open_bytes_max: usize,
    /// Open transfers.
    pub open_len_max: usize,
}

/// What is wrong with a part. It ends the link: the peer does not follow the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPart {
    #[error("a part carries transfer number 0")]
    NoNumber,
    #[error("a part has {0} bytes, allowed are 1 to {PART_BYTES_MAX}")]
    Length(usize),
    #[error("more than {0} transfers are open")]
    TooManyOpen(usize),
}

/// What is wrong with a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    /// It ends the link: the peer does not follow the protocol.
    #[error("transfer {0} is not open")]
    NotOpen(u64),
    /// It ends what the payload belongs to, nothing else.
    #[error("a payload is larger than {0} bytes, or there is no room for it now")]
    TooLarge(usize),
}

/// Puts payloads together again. Holds no more bytes than its limits say: of a transfer that
/// goes beyond them only its number is remembered, and its payload is refused.
#[derive(Debug)]
pub struct Assembler {
    limits: AssemblerLimits,
    open: HashMap<u64, Option<BytesMut>>,
    open_bytes: usize,
}

impl Assembler {
    pub fn new(limits: AssemblerLimits) -> Self {
        Self {
            limits,
            open: HashMap::new(),
            open_bytes: 0,
        }
    }

    /// Bytes held for transfers whose payload has not come yet.
    pub fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    /// Takes in one piece.
    pub fn add(&mut self, part: &Part) -> Result<(), BadPart> {
        self.check(part)?;
        let piece = part.data.len();
        let room = self.open_bytes + piece <= self.limits.open_bytes_max;
        let held = self
            .open
            .entry(part.transfer)
            .or_insert_with(|| Some(BytesMut::new()));
        let Some(bytes) = held else { return Ok(()) };
        if room && bytes.len() + piece <= self.limits.payload_bytes_max {
            bytes.extend_from_slice(&part.data);
            self.open_bytes += piece;
        } else {
            self.open_bytes -= bytes.len();
            *held = None;
        }
        Ok(())
    }

    fn check(&self, part: &Part) -> Result<(), BadPart> {
        if part.transfer == 0 {
            return Err(BadPart::NoNumber);
        }
        if part.data.is_empty() || part.data.len() > PART_BYTES_MAX {
            return Err(BadPart::Length(part.data.len()));
        }
        let new = !self.open.contains_key(&part.transfer);
        if new && self.open.len() >= self.limits.open_len_max {
            return Err(BadPart::TooManyOpen(self.limits.open_len_max));
        }
        Ok(())
    }

    /// The whole payload. Its transfer ends here.
    pub fn finish(&mut self, payload: Payload) -> Result<Bytes, BadPayload> {
        let Payload { inline, transfer } = payload;
        if transfer == 0 {
            return self.fit(inline);
        }
        let held = self.open.remove(&transfer);
        let held = held.ok_or(BadPayload::NotOpen(transfer))?;
        let mut bytes = held.ok_or(BadPayload::TooLarge(self.limits.payload_bytes_max))?;
        self.open_bytes -= bytes.len();
        bytes.extend_from_slice(&inline);
        self.fit(bytes.freeze())
    }

    fn fit(&self, bytes: Bytes) -> Result<Bytes, BadPayload> {
        match bytes.len() <= self.limits.payload_bytes_max {
            true => Ok(bytes),
            false => Err(BadPayload::TooLarge(self.limits.payload_bytes_max)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AssemblerLimits = AssemblerLimits {
        payload_bytes_max: 1 << 20,
        open_bytes_max: 1 << 20,
        open_len_max: 4,
    };

    fn part(transfer: u64, len: usize) -> Part {
        let data = Bytes::from(vec![7; len]);
        Part { transfer, data }
    }

    fn named(transfer: u64) -> Payload {
        let inline = Bytes::new();
        Payload { inline, transfer }
    }

    /// Sends payloads of these sizes in one frame; returns how many parts went ahead.
    fn check(sizes: &[usize]) -> usize {
        let numbers = TransferNumbers::default();
        let mut packer = Packer::new(&numbers);
        let sent: Vec<_> = sizes.iter().map(|size| vec![1; *size]).collect();
        let pack = |bytes: &Vec<u8>| packer.pack(bytes.clone().into());
        let payloads: Vec<_> = sent.iter().map(pack).collect();
        let inline: usize = payloads.iter().map(|payload| payload.inline.len()).sum();
        assert!(inline <= INLINE_BYTES_MAX);
        let mut assembler = Assembler::new(LIMITS);
        let mut transfers = packer.into_transfers();
        let mut parts = 0;
        while let Some(transfer) = transfers.iter_mut().find(|t| t.bytes_left() > 0) {
            let part = transfer.next_part().expect("bytes are left");
            assembler.add(&part).expect("it keeps the rules");
            parts += 1;
        }
        for (payload, sent) in payloads.into_iter().zip(sent) {
            assert_eq!(assembler.finish(payload).expect("it is whole"), sent);
        }
        assert_eq!(assembler.open_bytes(), 0);
        parts
    }

    #[test]
    fn payloads_arrive_as_they_were_sent() {
        assert_eq!(check(&[]), 0);
        assert_eq!(check(&[0, 1, PART_BYTES_MAX - 1]), 0);
        assert_eq!(check(&[PART_BYTES_MAX]), 0);
        assert_eq!(check(&[PART_BYTES_MAX + 1]), 2);
        assert_eq!(check(&[60_000, 60_000, 1 << 19]), 1 + 8);
    }

    #[test]
    fn a_transfer_beyond_its_limit_holds_no_bytes_and_is_refused() {
        let mut assembler = Assembler::new(LIMITS);
        for _ in 0..40 {
            assembler.add(&part(1, PART_BYTES_MAX)).expect("counted");
        }
        assert_eq!(assembler.open_bytes(), 0);
        let refused = Err(BadPayload::TooLarge(1 << 20));
        assert_eq!(assembler.finish(named(1)), refused);
    }

    #[test]
    fn open_transfers_share_one_bound() {
        let mut assembler = Assembler::new(LIMITS);
        for _ in 0..16 {
            assembler.add(&part(1, PART_BYTES_MAX)).expect("room");
        }
        assembler.add(&part(2, 1)).expect("counted");
        assert_eq!(assembler.open_bytes(), 1 << 20);
        assert!(assembler.finish(named(2)).is_err());
        assert_eq!(assembler.finish(named(1)).map(|b| b.len()), Ok(1 << 20));
    }

    #[test]
    fn what_breaks_the_protocol_is_told_apart_from_what_is_too_large() {
        let mut assembler = Assembler::new(LIMITS);
        assert_eq!(assembler.add(&part(0, 1)), Err(BadPart::NoNumber));
        assert_eq!(assembler.add(&part(1, 0)), Err(BadPart::Length(0)));
        let long = PART_BYTES_MAX + 1;
        assert_eq!(assembler.add(&part(1, long)), Err(BadPart::Length(long)));
        assert_eq!(assembler.finish(named(9)), Err(BadPayload::NotOpen(9)));
        for number in 1..=4 {
            assembler.add(&part(number, 1)).expect("room");
        }
        assert_eq!(assembler.add(&part(5, 1)), Err(BadPart::TooManyOpen(4)));
        assembler.finish(named(4)).expect("open");
        assert_eq!(assembler.finish(named(4)), Err(BadPayload::NotOpen(4)));
    }
}
