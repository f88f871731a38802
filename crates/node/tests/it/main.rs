//! A whole node over real HTTP and real gRPC on loopback.

mod world;
mod modern;
mod legacy;
mod eras;
mod probes;
mod gating;
mod extensions;
mod paging;
mod disconnect;
mod resume;
mod states;
mod strangers;
mod visits;
mod hostile;
mod restart;
mod fleet;
