//! Every message that can leave, in the form of each revision, held against the official
//! schemas (`tests/schema`, copies of the published files) and against snapshots.

mod golden;
mod schema;

mod asks;
mod descriptions;
mod errors;
mod extensions;
mod legacy_tasks;
mod lists;
mod notifications;
mod older;
mod results;
mod soundness;
mod tasks;
