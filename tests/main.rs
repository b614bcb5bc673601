//! The integration tests, one binary: a module for each capability.

mod bridge;
mod config;
mod harness;
mod http2;
mod hub;
mod jobs;
mod layers;
mod lifecycle;
mod limits;
mod proxy;
mod real_app;
mod real_clients;
mod real_demo;
mod real_vnc;
mod real_wok;
mod support;
