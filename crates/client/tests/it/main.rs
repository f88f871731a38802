//! The client against servers whose every byte is settled, so that each revision and each
//! misbehavior can be had.

mod world;
mod negotiation;
mod modern;
mod legacy;
mod legacy_asks;
mod legacy_ends;
mod at_once;
mod visits;
mod pair;
mod far;
mod pipe;
mod pipe_asks;
mod pipe_modern;
mod tasks;
mod begun;
mod schemas;
