//! Values that may be secret.

use std::{fmt, path::PathBuf};

use ostler_types::Secret;
use serde::Deserialize;

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// As it is written.
    Plain(String),
    /// The content of a file, without the line end.
    File { file: PathBuf },
    /// A variable of the bridge's environment.
    Env { env: String },
}

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("cannot read {path:?}: {why}")]
    File { path: PathBuf, why: std::io::Error },
    #[error("the environment has no variable {0}")]
    Env(String),
}

impl Source {
    pub fn load(&self) -> Result<Secret, SourceError> {
        match self {
            Source::Plain(value) => Ok(Secret::new(value.clone())),
            Source::File { file } => match std::fs::read_to_string(file) {
                Ok(text) => Ok(Secret::new(text.trim_end_matches(['\r', '\n']))),
                Err(why) => Err(SourceError::File {
                    path: file.clone(),
                    why,
                }),
            },
            Source::Env { env } => {
                let value = std::env::var(env).map_err(|_| SourceError::Env(env.clone()))?;
                Ok(Secret::new(value))
            }
        }
    }
}

/// What is written may be a secret, so it is not shown.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Plain(_) => f.write_str("Plain(..)"),
            Source::File { file } => write!(f, "File({file:?})"),
            Source::Env { env } => write!(f, "Env({env})"),
        }
    }
}
