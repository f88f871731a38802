//! The client against servers whose every byte is settled, so that each revision and each
//! misbehavior can be had.

mod world;
mod negotiation;
mod modern;
mod legacy;
mod pair;
mod tasks;
mod schemas;
