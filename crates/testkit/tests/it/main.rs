//! Bounded runs of the simulation. Many more: `cargo xtask sim`.

mod sim;
