//! What is logged on one thread, for tests to hear.

use std::{cell::RefCell, io, sync::Once};

use tracing_subscriber::{EnvFilter, fmt as lines, util::SubscriberInitExt};

thread_local! {
    static HEARD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Hears all that Ostler logs on this thread until it is dropped, from DEBUG up, as text.
///
/// One log of the whole process hears for all threads. With one for each thread, tracing would
/// remember of a line that another thread logs first, where nobody listens, that nobody wants it.
#[derive(Debug)]
pub struct Ear(());

impl Ear {
    /// Sets up the log of this process if there is none; a process whose log is another one hears
    /// nothing here.
    pub fn listen() -> Ear {
        static SET_UP: Once = Once::new();
        SET_UP.call_once(|| {
            let log = lines()
                .with_env_filter(EnvFilter::new("ostler=debug"))
                .with_writer(|| Pen)
                .with_ansi(false)
                .finish();
            // Whoever set up another log sees there what is said.
            let _ = log.try_init();
        });
        HEARD.replace(Some(String::new()));
        Ear(())
    }

    /// The lines so far.
    pub fn heard(&self) -> String {
        HEARD.with_borrow(|heard| heard.clone().unwrap_or_default())
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        HEARD.replace(None);
    }
}

struct Pen;

impl io::Write for Pen {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        HEARD.with_borrow_mut(|heard| {
            if let Some(heard) = heard {
                heard.push_str(&String::from_utf8_lossy(line));
            }
        });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
