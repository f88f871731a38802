//! A panic anywhere in a simulated world is a violation, also one that a supervisor caught.

use std::{cell::RefCell, panic, sync::Once};

thread_local! {
    /// Those of this thread, and so of the world that lives in it.
    static CAUGHT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Writes panics down, besides printing them, for threads with a simulated world in them.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            CAUGHT.with_borrow_mut(|caught| caught.push(info.to_string()));
            print(info);
        }));
    });
    take();
}

/// The panics since the last time.
pub fn take() -> Vec<String> {
    CAUGHT.with_borrow_mut(std::mem::take)
}
