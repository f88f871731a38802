//! Sessions through their public handle: the store in memory, workers that do what a test says,
//! time that is driven.

mod script;
mod tasks;
mod world;

mod batches;
mod fast;
mod streams;
mod questions;
mod followed;
mod resume;
mod restart;
mod sleep;
mod standalone;
mod owners;
mod pair;
mod faults;
mod forged;
mod gate;
