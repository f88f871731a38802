//! Logs: to standard error, as text for people or as JSON lines for machines.

mod ear;

use std::{fmt, io::IsTerminal};

use tracing_subscriber::{EnvFilter, fmt as lines, util::SubscriberInitExt};

pub use ear::Ear;

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Why the log could not be set up.
#[derive(Debug)]
pub enum LogError {
    /// The filter is not understood.
    Filter(String),
    /// This process has its log already.
    AlreadySet,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Filter(why) => write!(
                f,
                "log filter not understood ({why}): use a level such as info, \
                 or a list such as info,ostler_hub=debug"
            ),
            LogError::AlreadySet => f.write_str("the log is set up already"),
        }
    }
}

impl std::error::Error for LogError {}

/// Whether [`init`] would understand this filter.
pub fn check(filter: &str) -> Result<(), LogError> {
    parse(filter).map(|_| ())
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(filter).map_err(|why| LogError::Filter(why.to_string()))
}

/// Sets up the log of the whole process. `filter` is a level (`info`) or a list of
/// `target=level`.
pub fn init(format: Format, filter: &str) -> Result<(), LogError> {
    let filter = parse(filter)?;
    let lines = lines()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Colours are noise in a file.
        .with_ansi(std::io::stderr().is_terminal());
    let set = match format {
        Format::Text => lines.finish().try_init(),
        Format::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    set.map_err(|_| LogError::AlreadySet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_not_understood_is_explained() {
        let error = init(Format::Text, "info,a=b=c").unwrap_err();
        assert!(error.to_string().contains("ostler_hub=debug"), "{error}");
    }

    #[test]
    fn the_log_is_set_up_once() {
        assert!(init(Format::Json, "info,ostler_hub=debug").is_ok());
        assert!(matches!(
            init(Format::Text, "info"),
            Err(LogError::AlreadySet)
        ));
    }
}
