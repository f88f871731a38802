//! Compiled JSON schemas of workers, with every cost bounded.
//!
//! A schema is refused when it could make a check slow ([`crate::cost`]); a check that is large
//! anyway runs in a small pool of blocking threads, so that it delays no other request.

use std::{fmt, sync::Arc};

use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use ostler_env::Env;
use ostler_protocol::Raw;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::{cost, text};

/// Schema visits, roughly a microsecond each, that may run on a runtime thread.
const INLINE_VISITS_MAX: u64 = 20_000;
/// JSON nodes are about this long on average; good enough to compare costs.
const BYTES_PER_NODE: u64 = 8;
/// Checks in the pool at once. More wait, in order.
const POOL_MAX: usize = 2;
/// Memory of one compiled pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Steps of one match of a pattern with look-around, which has no linear engine.
const BACKTRACKS_MAX: usize = 10_000;
const MESSAGE_BYTES_MAX: usize = 1 << 10;

/// Where large checks run.
pub struct Pool {
    env: Env,
    permits: Arc<Semaphore>,
}

impl Pool {
    pub fn new(env: &Env) -> Arc<Self> {
        Arc::new(Self {
            env: env.clone(),
            permits: Arc::new(Semaphore::new(POOL_MAX)),
        })
    }

    /// Runs a check in the pool. Dropping the future does not free its place before it ends.
    async fn run(
        &self,
        check: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let work = move || {
            let _permit = permit;
            check()
        };
        match self.env.spawn_blocking("validate", work).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err("the node is shutting down".to_owned()),
            },
        }
    }
}

/// A schema that can be checked against.
#[derive(Clone)]
pub struct Schema {
    validator: Arc<Validator>,
    /// Schema visits per JSON node, at worst.
    visits_per_node: u64,
    pool: Arc<Pool>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({} visits per node)", self.visits_per_node)
    }
}

impl Schema {
    /// Compiles a schema, or says what is wrong with it, for the author of the worker.
    /// No reference is ever fetched [T-7].
    pub fn compile(schema: &Value, pool: &Arc<Pool>) -> Result<Self, String> {
        let draft = draft_of(schema)?;
        let visits_per_node = cost::estimate(schema)?;
        let validator = build(schema, draft).map_err(|error| describe(&error))?;
        Ok(Self {
            validator: Arc::new(validator),
            visits_per_node,
            pool: pool.clone(),
        })
    }

    /// Checks on this thread. The message may hold parts of the value.
    pub fn check(&self, value: &Raw) -> Result<(), String> {
        let value = to_value(value)?;
        self.validator.validate(&value).map_err(|e| describe(&e))
    }

    /// The same, with a message fit for logs: it holds no part of the value.
    pub fn check_without_values(&self, value: &Raw) -> Result<(), String> {
        let value = to_value(value)?;
        self.validator
            .validate(&value)
            .map_err(|e| describe_masked(&e))
    }

    pub fn is_cheap(&self, value: &Raw) -> bool {
        let nodes = value.bytes().len() as u64 / BYTES_PER_NODE + 1;
        nodes.saturating_mul(self.visits_per_node) <= INLINE_VISITS_MAX
    }

    /// As [`Schema::check`], on this thread if it is cheap and in the pool if not.
    pub async fn check_anywhere(&self, value: &Raw) -> Result<(), String> {
        self.anywhere(value, Self::check).await
    }

    /// As [`Schema::check_without_values`], on this thread if it is cheap and in the pool if not.
    pub async fn check_without_values_anywhere(&self, value: &Raw) -> Result<(), String> {
        self.anywhere(value, Self::check_without_values).await
    }

    async fn anywhere(
        &self,
        value: &Raw,
        check: fn(&Self, &Raw) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.is_cheap(value) {
            return check(self, value);
        }
        let (schema, value) = (self.clone(), value.clone());
        let pool = self.pool.clone();
        pool.run(move || check(&schema, &value)).await
    }
}

/// Patterns run on the linear engine where it can: only look-around and back references need
/// the other one, and that is cut off after a number of steps.
fn build(schema: &Value, draft: Draft) -> Result<Validator, ValidationError<'static>> {
    let linear = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX);
    let bounded = PatternOptions::fancy_regex()
        .backtrack_limit(BACKTRACKS_MAX)
        .size_limit(PATTERN_BYTES_MAX);
    let options = jsonschema::options().with_draft(draft).offline();
    let validator = options.clone().with_pattern_options(linear).build(schema);
    validator.or_else(|_| options.with_pattern_options(bounded).build(schema))
}

/// The dialect a schema names; 2020-12 if it names none [T-4].
fn draft_of(schema: &Value) -> Result<Draft, String> {
    let Some(dialect) = schema.get("$schema") else {
        return Ok(Draft::Draft202012);
    };
    let text = dialect.as_str().unwrap_or_default();
    let bare = text.trim_end_matches('#');
    let bare = bare
        .strip_prefix("https://")
        .or_else(|| bare.strip_prefix("http://"));
    match bare {
        Some("json-schema.org/draft/2020-12/schema") => Ok(Draft::Draft202012),
        Some("json-schema.org/draft-07/schema") => Ok(Draft::Draft7),
        _ => Err(format!(
            "$schema {dialect} is not supported; use \
             https://json-schema.org/draft/2020-12/schema or draft-07"
        )),
    }
}

fn to_value(raw: &Raw) -> Result<Value, String> {
    raw.to().map_err(|error| error.to_string())
}

fn describe(error: &ValidationError<'_>) -> String {
    let path = error.instance_path().as_str();
    text::shorten(&located(path, &error.to_string()), MESSAGE_BYTES_MAX)
}

fn describe_masked(error: &ValidationError<'_>) -> String {
    let path = error.instance_path().as_str();
    text::shorten(
        &located(path, &error.masked().to_string()),
        MESSAGE_BYTES_MAX,
    )
}

fn located(path: &str, message: &str) -> String {
    match path {
        "" => message.to_owned(),
        path => format!("{path}: {message}"),
    }
}

#[cfg(test)]
mod tests;
