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
mod host;
mod connect;
mod connect_broken;
mod keep;
mod bridge;
