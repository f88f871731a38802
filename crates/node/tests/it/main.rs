//! A whole node over real HTTP and real gRPC on loopback.

mod world;
mod modern;
mod legacy;
mod batches;
mod pairs;
mod older;
mod eras;
mod probes;
mod gating;
mod disconnect;
mod resume;
mod states;
mod tasks;
mod strangers;
mod hostile;
mod restart;
mod fleet;
