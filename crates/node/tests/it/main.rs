//! A whole node over real HTTP and real gRPC on loopback.

mod world;
mod raw;
mod modern;
mod legacy;
mod batches;
mod pairs;
mod older;
mod eras;
mod probes;
mod gating;
mod extensions;
mod paging;
mod disconnect;
mod resume;
mod silent;
mod states;
mod tasks;
mod strangers;
mod visits;
mod hostile;
mod restart;
mod fleet;
mod drain;
mod unkept;
mod cancels;
mod reload;
