//! The integration tests, one binary: a module for each capability.

mod config;
mod layers;
mod bridge;
mod harness;
mod http2;
mod lifecycle;
mod limits;
mod proxy;
