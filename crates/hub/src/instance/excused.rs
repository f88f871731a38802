//! Calls whose outcome no worker may be blamed for though no call waits for it.

use std::collections::{HashSet, VecDeque};

use ostler_types::CallId;

/// So many are remembered; the oldest go first.
const LEN_MAX: usize = 20_000;

#[derive(Debug, Default)]
pub(super) struct Excused {
    calls: HashSet<CallId>,
    order: VecDeque<CallId>,
}

impl Excused {
    pub fn add(&mut self, call: CallId) {
        if !self.calls.insert(call) {
            return;
        }
        self.order.push_back(call);
        if self.order.len() > LEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.calls.remove(&oldest);
        }
    }

    /// True once for each.
    pub fn take(&mut self, call: CallId) -> bool {
        self.calls.remove(&call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_excused_once_and_the_oldest_are_not_remembered() {
        let mut excused = Excused::default();
        (0..=LEN_MAX as u128).for_each(|call| excused.add(CallId(call)));
        assert!(!excused.take(CallId(0)));
        assert!(excused.take(CallId(1)));
        assert!(!excused.take(CallId(1)));
        assert_eq!(excused.order.len(), LEN_MAX);
    }
}
