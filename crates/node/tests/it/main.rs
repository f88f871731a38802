//! A whole node over real HTTP and real gRPC on loopback.

mod modern;
mod legacy;
