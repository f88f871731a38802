//! The real binary, as people and scripts run it.

mod world;
mod commands;
mod asks;
mod refusals;
mod broken;
mod doctor;
mod tls;
mod terminal;
mod killed;
mod store;
mod drain;
mod connect;
mod keep;
mod bridge;
