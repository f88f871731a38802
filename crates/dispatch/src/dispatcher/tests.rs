//! The whole way of a call, on scripted workers. Every test ends with the books balanced.

mod script;
mod world;

mod admit;
mod ends;
mod holds;
mod output;
mod watch;
