//! The integration tests, one binary: a module for each capability.

mod admin;
mod admission;
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
mod real_messages;
mod real_page;
mod real_session;
mod real_sockjs;
mod real_subscribe;
mod real_vnc;
mod real_wok;
mod session;
mod spool;
mod support;
