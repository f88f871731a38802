//! What waits to leave on a link, in the order in which it may leave. Pure; whoever owns it
//! guards it and wakes the sender.
//!
//! Control overtakes data and never waits for the peer. Small frames and large payloads take
//! turns, and large ones use only half of the allowance, so that a large payload delays no
//! other call even when the peer is slow.

use std::collections::VecDeque;

use crate::{
    frame::Frame,
    transfer::{PART_BYTES_MAX, Transfer},
    worker_v1::Part,
};

/// The outbound queue of one link. `T` is what the owner wants back when a data frame leaves.
#[derive(Debug)]
pub struct Lanes<F, T> {
    control: VecDeque<Control<F>>,
    control_bytes: usize,
    small: VecDeque<Item<F, T>>,
    large: VecDeque<Large<F, T>>,
    large_is_next: bool,
    /// Bytes that may leave now. What the peer acknowledges is added.
    allowance: usize,
    allowance_max: usize,
    waiting_bytes: usize,
    sent_bytes: u64,
}

#[derive(Debug)]
struct Control<F> {
    frame: F,
    bytes: usize,
}

#[derive(Debug)]
struct Item<F, T> {
    frame: F,
    cost: usize,
    tag: T,
}

#[derive(Debug)]
struct Large<F, T> {
    transfers: VecDeque<Transfer>,
    /// A part has left: the rest must follow.
    begun: bool,
    item: Item<F, T>,
}

/// A frame that leaves now.
#[derive(Debug)]
pub struct Leaving<F, T> {
    pub frame: F,
    /// Set for a data frame, not for control frames and parts.
    pub tag: Option<T>,
}

impl<F: Frame, T> Lanes<F, T> {
    /// `allowance` is what may be out before the peer acknowledges anything: at least 512 KiB,
    /// so that the largest frame always finds room in a half of it.
    pub fn new(allowance: usize) -> Self {
        Self {
            control: VecDeque::new(),
            control_bytes: 0,
            small: VecDeque::new(),
            large: VecDeque::new(),
            large_is_next: false,
            allowance,
            allowance_max: allowance,
            waiting_bytes: 0,
            sent_bytes: 0,
        }
    }

    /// A frame that overtakes all data.
    pub fn push_control(&mut self, frame: F) {
        let bytes = frame.encoded_len();
        self.control_bytes += bytes;
        self.control.push_back(Control { frame, bytes });
    }

    /// Changes the newest control frame that waits, if `edit` wants to; whether it did.
    pub fn edit_last_control(&mut self, edit: impl FnOnce(&mut F) -> bool) -> bool {
        let Some(last) = self.control.back_mut() else {
            return false;
        };
        let edited = edit(&mut last.frame);
        let bytes = last.frame.encoded_len();
        self.control_bytes = self.control_bytes - last.bytes + bytes;
        last.bytes = bytes;
        edited
    }

    /// Drops control frames that wait and mean nothing any more.
    pub fn drop_control(&mut self, is_void: impl Fn(&F) -> bool) {
        let bytes = &mut self.control_bytes;
        self.control.retain(|it| {
            let void = is_void(&it.frame);
            *bytes -= if void { it.bytes } else { 0 };
            !void
        });
    }

    /// The next control frame alone.
    pub fn pop_control(&mut self) -> Option<F> {
        let Control { frame, bytes } = self.control.pop_front()?;
        self.control_bytes -= bytes;
        Some(frame)
    }

    /// A data frame, behind the transfers that carry its payloads.
    pub fn push_data(&mut self, frame: F, transfers: Vec<Transfer>, tag: T) {
        let cost = frame.cost();
        let item = Item { frame, cost, tag };
        if transfers.is_empty() {
            self.waiting_bytes += cost;
            return self.small.push_back(item);
        }
        let (transfers, begun) = (transfers.into(), false);
        let large = Large {
            transfers,
            begun,
            item,
        };
        self.waiting_bytes += large.bytes_left();
        self.large.push_back(large);
    }

    /// The peer took in so many bytes, or allows so many more.
    pub fn allow(&mut self, bytes: usize) {
        self.allowance = self.allowance.saturating_add(bytes).min(self.allowance_max);
    }

    /// Bytes of data that wait here.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Data frames without transfers that wait here.
    pub fn small_len(&self) -> usize {
        self.small.len()
    }

    /// Control frames that wait here.
    pub fn control_len(&self) -> usize {
        self.control.len()
    }

    /// Bytes of control frames that wait here.
    pub fn control_bytes(&self) -> usize {
        self.control_bytes
    }

    /// Bytes of data that ever left: where the latest data frame ends in the stream.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Whether nothing waits at all.
    pub fn is_empty(&self) -> bool {
        self.control.is_empty() && self.small.is_empty() && self.large.is_empty()
    }

    /// The next frame that may leave now.
    pub fn pop(&mut self) -> Option<Leaving<F, T>> {
        if let Some(frame) = self.pop_control() {
            return Some(Leaving { frame, tag: None });
        }
        let leaving = match self.large_is_next {
            true => self.pop_large().or_else(|| self.pop_small()),
            false => self.pop_small().or_else(|| self.pop_large()),
        };
        self.large_is_next = !self.large_is_next;
        leaving
    }

    fn pop_small(&mut self) -> Option<Leaving<F, T>> {
        if self.small.front()?.cost > self.allowance {
            return None;
        }
        let item = self.small.pop_front()?;
        self.spend(item.cost, item.cost);
        Some(item.leave())
    }

    fn pop_large(&mut self) -> Option<Leaving<F, T>> {
        let mut large = self.large.pop_front()?;
        let reserve = self.allowance_max / 2;
        if large.next_cost_max() + reserve > self.allowance {
            self.large.push_front(large);
            return None;
        }
        let Some(part) = large.next_part() else {
            self.spend(large.item.cost, large.item.cost);
            return Some(large.item.leave());
        };
        self.large.push_back(large);
        let waited = part.data.len();
        let frame = F::of_part(part);
        self.spend(frame.cost(), waited);
        Some(Leaving { frame, tag: None })
    }

    fn spend(&mut self, cost: usize, waited: usize) {
        self.allowance -= cost;
        self.sent_bytes += cost as u64;
        self.waiting_bytes -= waited;
    }

    /// Takes out what is unwanted and has not begun to leave.
    pub fn take_unsent(&mut self, unwanted: impl Fn(&T) -> bool) -> Vec<T> {
        let small = take(&mut self.small, |item| unwanted(&item.tag));
        let large = take(&mut self.large, |large| {
            !large.begun && unwanted(&large.item.tag)
        });
        let bytes = |item: &Item<F, T>| item.cost;
        self.waiting_bytes -= small.iter().map(bytes).sum::<usize>();
        self.waiting_bytes -= large.iter().map(Large::bytes_left).sum::<usize>();
        let large = large.into_iter().map(|large| large.item);
        small
            .into_iter()
            .chain(large)
            .map(|item| item.tag)
            .collect()
    }

    /// Empties the lanes for good; returns the data that did not leave as a whole.
    pub fn take_all(&mut self) -> Vec<T> {
        self.control.clear();
        self.control_bytes = 0;
        self.waiting_bytes = 0;
        let large = self.large.drain(..).map(|large| large.item);
        self.small
            .drain(..)
            .chain(large)
            .map(|item| item.tag)
            .collect()
    }
}

fn take<I>(queue: &mut VecDeque<I>, unwanted: impl Fn(&I) -> bool) -> Vec<I> {
    let (taken, left) = queue.drain(..).partition(unwanted);
    *queue = left;
    Vec::from_iter::<VecDeque<I>>(taken)
}

impl<F, T> Item<F, T> {
    fn leave(self) -> Leaving<F, T> {
        let tag = Some(self.tag);
        Leaving {
            frame: self.frame,
            tag,
        }
    }
}

impl<F: Frame, T> Large<F, T> {
    fn bytes_left(&self) -> usize {
        self.item.cost
            + self
                .transfers
                .iter()
                .map(Transfer::bytes_left)
                .sum::<usize>()
    }

    fn next_cost_max(&self) -> usize {
        const ENVELOPE: usize = 64;
        match self.transfers.front() {
            Some(transfer) => transfer.bytes_left().min(PART_BYTES_MAX) + ENVELOPE,
            None => self.item.cost,
        }
    }

    fn next_part(&mut self) -> Option<Part> {
        let transfer = self.transfers.front_mut()?;
        let part = transfer.next_part();
        if transfer.bytes_left() == 0 {
            self.transfers.pop_front();
        }
        self.begun = true;
        part
    }
}

#[cfg(test)]
mod tests;
