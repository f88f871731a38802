//! The SDK against a scripted hub: a real gRPC service over an in-memory wire, with driven time.

mod hub;
mod calls;
mod asks;
mod links;
mod catalog;
mod example;
