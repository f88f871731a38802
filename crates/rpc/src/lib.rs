//! The worker protocol: generated code, and the way between it and our nouns.
//!
//! Invariant: whoever holds a converted value holds a checked one; nothing from the wire
//! passes unchecked, and nothing that leaves is larger than a frame may be.
//! Must not know: links, calls in flight, credit, or who answers.
//! Start with `proto/ostler/worker/v1/worker.proto`, then [`convert`], [`transfer`]
//! and [`lanes`].

pub mod convert;
pub mod frame;
pub mod transfer;
pub mod lanes;

/// Generated from `proto/ostler/worker/v1/worker.proto`.
#[allow(clippy::all, clippy::pedantic, reason = "generated code")]
pub mod worker_v1 {
    tonic::include_proto!("ostler.worker.v1");
}

/// The oldest version of the worker protocol that this build speaks.
pub const PROTOCOL_MIN: u32 = 1;
/// The newest version of the worker protocol that this build speaks.
pub const PROTOCOL_MAX: u32 = 1;

/// No frame is encoded larger or decoded when larger.
pub const FRAME_BYTES_MAX: usize = 256 << 10;
