//! A progress bar on standard error, where that is a terminal.

use std::io::{self, Write};

use super::output::{self, Output};

const CELLS: usize = 24;
/// With the bar before it within 80 columns.
const MESSAGE_CHARS_MAX: usize = 44;

pub struct Bar {
    is_on: bool,
    is_shown: bool,
}

impl Bar {
    pub fn new(output: Output) -> Bar {
        Bar {
            is_on: output.err_is_terminal && !output.is_json(),
            is_shown: false,
        }
    }

    pub fn show(&mut self, progress: f64, total: Option<f64>, message: Option<&str>) {
        if self.is_on {
            let line = drawn(progress, total, message);
            let mut error = io::stderr().lock();
            // A terminal that is gone shows nothing.
            let _ = write!(error, "\r\x1b[K{line}").and_then(|()| error.flush());
            self.is_shown = true;
        }
    }

    pub fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let mut error = io::stderr().lock();
            let _ = write!(error, "\r\x1b[K").and_then(|()| error.flush());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

fn drawn(progress: f64, total: Option<f64>, message: Option<&str>) -> String {
    let message = output::line(message.unwrap_or_default(), MESSAGE_CHARS_MAX);
    match total.filter(|total| *total > 0.0) {
        Some(total) => {
            let share = (progress / total).clamp(0.0, 1.0);
            let full = (share * CELLS as f64).round() as usize;
            let cells = "█".repeat(full) + &"░".repeat(CELLS - full);
            format!("{cells} {:3.0} %  {message}", share * 100.0)
        }
        None => format!("… {progress}  {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_stays_within_its_cells() {
        assert!(drawn(50.0, Some(100.0), Some("half")).ends_with(" 50 %  half"));
        assert_eq!(drawn(9.0, Some(1.0), None).matches('█').count(), CELLS);
        assert_eq!(drawn(-1.0, Some(1.0), None).matches('░').count(), CELLS);
        assert_eq!(drawn(3.0, None, Some("a\nb")), "… 3  a");
    }
}
