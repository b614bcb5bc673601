//! `[limits]`: the limits for one client, and for all of them together. Every wait, queue and buffer of the front door
//! has its number here; those of an app and of the bridge are in their own tables.

use std::time::Duration;

use super::reader::Table;
use super::size::{GIB, KIB, MIB};

/// The `[limits]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// `connections`: open at once on all listeners, 1 to 1,000,000; further ones wait in the
    /// kernel's queue. Default 10,000. An upgraded connection still counts.
    pub connections: usize,
    /// `connections-per-address`: open at once from one IPv4 address or one IPv6 /64. Default 256;
    /// 0 is no limit.
    pub connections_per_address: usize,
    /// `address-share`: percent of what all clients share that one address may take: of the subscribers and channels
    /// of the hub, of `request-memory`, of the spool. Of the last quarter only those get something that have less
    /// than a thirty-second of it. Default 50; 100 is no such limit.
    pub address_share: u64,
    /// `session-share`: the same for one session of the hub. Default 10.
    pub session_share: u64,
    /// `request-rate`: requests in a second from one address, and ten times as many at once; beyond, 429. Default
    /// 500; 0 is no limit.
    pub request_rate: u32,
    /// `login-failures`: failed logins in a minute from one address; beyond, 429. Default 30; 0 is no limit.
    pub login_failures: u32,
    /// `login-paths`: the paths at which a request, by any method, is a login. Default `/login`.
    pub login_paths: Vec<String>,
    /// `token-failures`: unknown tokens per minute from one address; beyond, 429. Default 60; 0 is no limit.
    pub token_failures: u32,
    /// `handshake`: until the TLS handshake is done, or the first byte has come on a plain
    /// listener. Default 10 s.
    pub handshake: Duration,
    /// `head`: from the first byte of a request head to its last. Default 10 s.
    pub head: Duration,
    /// `head-size`: bytes in a request head, 8 KiB to 1 MiB. Default 64 KiB.
    pub head_size: usize,
    /// `headers`: header lines in a head, 1 to 10,000. Default 200.
    pub headers: usize,
    /// `keep-alive`: idle between two requests of one connection. Default 75 s.
    pub keep_alive: Duration,
    /// `body-idle`: the time without a byte of a request body (408), or without progress of writing a response
    /// (closed). Default 60 s.
    pub body_idle: Duration,
    /// `minimum-rate`: the minimum average rate, in bytes per second, at which a client sends a request body or reads a
    /// response. Only time in which Noren waits for the client counts. A client that is too slow gets 408 or, during a
    /// response, loses its connection. Default 256; 0 is no limit.
    pub minimum_rate: u64,
    /// `minimum-rate-grace`: the time by which a client may fall behind `minimum-rate`. Default 60 s.
    pub minimum_rate_grace: Duration,
    /// `body-size`: bytes in a request body, beyond which the response is 413. Default 4 GiB; with 0 no request may
    /// have a body.
    pub body_size: u64,
    /// `request-buffer`: bytes of a request body that are read before the app gets the request, at most 1 GiB. A body
    /// without a length must fit (411). Default 256 KiB. It is paid once per request with a body.
    pub request_buffer: usize,
    /// `request-memory`: bytes of request bodies in memory, and of bytes of HTTP/2 clients that no handler has read
    /// yet, all connections together. Bodies that find no room go to the spool sooner; connections wait. Default 128
    /// MiB.
    pub request_memory: u64,
    /// `streams`: concurrent HTTP/2 streams of one connection, 1 to 10,000. Default 100.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 256,
            address_share: 50,
            session_share: 10,
            request_rate: 500,
            login_failures: 30,
            login_paths: vec!["/login".to_owned()],
            token_failures: 60,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            head_size: 64 << 10,
            headers: 200,
            keep_alive: Duration::from_secs(75),
            body_idle: Duration::from_secs(60),
            minimum_rate: 256,
            minimum_rate_grace: Duration::from_secs(60),
            body_size: 4 * GIB,
            request_buffer: 256 << 10,
            request_memory: 128 * MIB,
            streams: 100,
        }
    }
}

impl Limits {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            connections: table.number("connections", default.connections, 1..=1_000_000),
            connections_per_address: table.number(
                "connections-per-address",
                default.connections_per_address,
                0..=1_000_000,
            ),
            address_share: table.number("address-share", default.address_share, 1..=100),
            session_share: table.number("session-share", default.session_share, 1..=100),
            request_rate: table.number("request-rate", default.request_rate, 0..=1_000_000),
            login_failures: table.number("login-failures", default.login_failures, 0..=1_000_000),
            login_paths: table.list("login-paths", default.login_paths, parse_path),
            token_failures: table.number("token-failures", default.token_failures, 0..=1_000_000),
            handshake: table.time_limit("handshake", default.handshake),
            head: table.time_limit("head", default.head),
            // hyper refuses a head buffer below 8 KiB with a panic, so a smaller one must not get
            // through.
            head_size: table.buffer("head-size", default.head_size, 8 * KIB..=MIB),
            headers: table.number("headers", default.headers, 1..=10_000),
            keep_alive: table.time_limit("keep-alive", default.keep_alive),
            body_idle: table.time_limit("body-idle", default.body_idle),
            minimum_rate: table.size("minimum-rate", default.minimum_rate),
            minimum_rate_grace: table.time_limit("minimum-rate-grace", default.minimum_rate_grace),
            body_size: table.size("body-size", default.body_size),
            request_buffer: table.buffer("request-buffer", default.request_buffer, 0..=GIB),
            request_memory: table.size("request-memory", default.request_memory),
            streams: table.number("streams", default.streams, 1..=10_000),
        }
    }
}

fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains(['?', '#', '%', ' ']) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            r#"{text:?} is not a path; write for example "/login""#
        ))
    }
}
