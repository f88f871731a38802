//! Streams that stay open as long as their client likes: how many each principal may have.

use std::{collections::HashMap, sync::Arc};

use ostler_types::{Caller, Principal, TenantId};
use parking_lot::Mutex;

/// How many such streams each principal has open.
#[derive(Debug)]
pub struct Listens {
    open: Arc<Mutex<HashMap<(TenantId, Principal), usize>>>,
    max: usize,
}

impl Listens {
    pub fn new(max: usize) -> Self {
        Self {
            open: Arc::default(),
            max,
        }
    }

    pub fn enter(&self, caller: &Caller) -> Option<Place> {
        let key = (caller.tenant().clone(), caller.principal().clone());
        let mut open = self.open.lock();
        let count = open.entry(key.clone()).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Place {
            open: self.open.clone(),
            key,
        })
    }
}

/// One stream's place among those of its principal; dropping it frees it.
#[derive(Debug)]
pub struct Place {
    open: Arc<Mutex<HashMap<(TenantId, Principal), usize>>>,
    key: (TenantId, Principal),
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}
