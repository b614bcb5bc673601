//! Noren is one program in front of a blocking web app: a TLS reverse proxy, a bridge to consoles as websockify has it,
//! and a notification hub. (A *noren* is the curtain in the doorway of a Japanese restaurant.)
//!
//! # Map
//!
//! The modules are a stack: each names only modules below it, and modules of one layer do not name each
//! other. `tests/layers.rs` holds this list and fails on an upward or sideways use.
//!
//! - **Layer 0**, [`text`], `faults`, `sync`, `sweep`, [`clock`], `fs`, then [`config`]: escaping and reading of
//!   foreign text, PEM sections, permissions of files; the list of all faults; locks; sweeps of maps that grow with
//!   their clients; Unix time; files that are written as a whole; the configuration file as types, so that an invalid
//!   [`Config`] cannot exist. Must not know sockets and HTTP.
//! - **Layer 1**, [`telemetry`], [`shutdown`], [`recording`], `shares`: log, access lines, audit, metrics, open
//!   tunnels; stop signal, task tracker, drain; the file format of a recorded console; fair shares of what all
//!   clients use. Must not know what is served.
//! - **Layer 2**, `net`, `spool`, `jwt`, then `tls`: listeners, streams with their permits, peers, connecting; bodies
//!   on disk, bounded; signed tokens and their keys; handshake and certificates. Must not know HTTP.
//! - **Layer 3**, `http2`, then `http`, `amqp`, `rfb`, then `websocket`, `upstream`, `tokens`, [`video`]: connections
//!   of HTTP/2 with their streams; bodies, heads, headers, refusals; connections to a RabbitMQ broker; the handshake
//!   of RFC 6143 with a console; handshake and frames of RFC 6455; the connections, workers and queue of an app; tokens
//!   and their targets; the pictures of a recorded console. Must not know routes and policy.
//! - **Layer 4**, `access`, `acme`, `proxy`, `bridge`, `hub`, `files`: access control; certificates from an
//!   authority; forwarding of one request; relaying of a WebSocket to a socket; channels, which deliver one message
//!   to many subscribers; files of a directory. Must not know each other.
//! - **Layer 5**, `push`, `sources`, `cluster`, `viewers`: the ways from a channel to a client (WebSocket, event
//!   stream, long poll, `SockJS`, GRIP); the ways into a channel beside HTTP (sockets, Wok, RabbitMQ); the stream of a
//!   broker that gives the messages of several nodes one order; the pages that show consoles. Must not know routes,
//!   sessions and the app.
//! - **Layer 6**, `admin`: the socket for programs of this machine, which publish, subscribe and read the status.
//!   Must not know apps and the public listeners.
//! - **Layer 7**, `router`: a pure function from host and path to a route. Must not do I/O.
//! - **Layer 8**, `service`: one request as a pipeline (check, route, authorise, handle, finish), with one handler for
//!   each kind of route; and what outlives a reload. Must not read bodies.
//! - **Layer 9**, [`server`]: accept, handshake, serve, drain, reload. Must not know what a request is for.
//!
//! Beside the layers stand [`guide`], the pages of documentation, and `fuzzing`, the entry points of the fuzz targets.
//!
//! The binary adds the command line, signals, systemd's notifications, and the demo.
//!
//! # Flows
//!
//! The stages of a request, of a console and of a message are below, with their functions.
//!
//! **Several machines.** With `[cluster]` a hub assigns no offsets: published messages go into a stream of a
//! RabbitMQ broker, and come back from there to every node, in one order, with their offset in the stream. From
//! there on everything is as with one machine. A node that was cut off continues reading where it was, and sends again
//! what it could not write.
//!
//! **Start, reload, upgrade, stop.** [`Config::load`], the log, [`Server::bind`], [`Server::run`]. A reload first
//! reads and opens everything that can fail, without any effect (the plan), and then puts it in force, which
//! cannot fail (the commit): on any error nothing has changed. What outlives a reload is one value, which only
//! the commit changes. Certificates whose files change are replaced in the same way, and those of an ACME
//! authority are files too: a task orders them, shows the authority its proofs in a handshake or on a plain
//! listener, and writes the files. An upgrade hands the listening sockets and a snapshot of the hub over to
//! another process ([`Server::take_over`]), which confirms; then this one retires: requests in progress end,
//! tunnels continue. A stop closes the listeners, ends idle connections, closes tunnels with 1001, waits for the
//! grace, and logs what was left.
//!
//! # Invariants
//!
//! - A client can never make the server wait, queue or buffer without a limit; every limit is in the
//!   configuration with a default, or is a named constant.
//! - The app never sees a header that only a proxy may set, a body without a length, or a second request
//!   hidden in a first.
//! - The app never has more requests than workers, even if clients leave or the configuration is reloaded, and no
//!   client keeps others out of the queue in front of it.
//! - A refused reload changes nothing.
//! - Nobody is let in by mistake: where a session is required, only a positive response of the app lets a visitor in.
//! - No token, cookie, key or message body reaches a log; no token is compared in a way that leaks time.
//! - No lock is held across an await; nothing is spawned outside the tracker; only `main` exits.
//! - A console's target is connected to exactly once per accepted upgrade, and a shared one once for all its viewers.
//! - A publisher gets its response, and subscribers see the message, when it is as durable as its channel promises: on
//!   disk, or in the stream. Nobody has seen a refused message.
//! - Publishing never waits for a subscriber, and no subscriber for another.
//! - A subscriber gets every message of its channels after its position, in order and once, or is told of the gap.
#![doc = "\n"]
#![doc = include_str!("life.md")]

mod access;
mod acme;
mod admin;
mod amqp;
mod bridge;
pub mod clock;
mod cluster;
pub mod config;
mod faults;
mod files;
mod fs;
#[doc(hidden)]
pub mod fuzzing;
pub mod guide;
mod http;
mod http2;
mod hub;
mod jwt;
mod net;
mod proxy;
mod push;
pub mod recording;
mod rfb;
mod router;
pub mod server;
mod service;
mod shares;
pub mod shutdown;
mod sources;
mod spool;
mod sweep;
mod sync;
pub mod telemetry;
pub mod text;
mod tls;
mod tokens;
mod upstream;
pub mod video;
mod viewers;
mod websocket;

pub use access::{ChannelOrder, OrderError, sign_channel_token};
pub use admin::{Order, Orders, PendingOrder, status};
pub use config::{Config, ConfigError};
pub use faults::Faults;
pub use http::is_reserved_header;
pub use router::{Destination, RouteInfo, route_infos};
pub use server::{Checked, Handle, Server};
pub use service::SetupError;
pub use shutdown::Drained;
pub use tls::{SelfSigned, TlsError, Trust as TlsTrust, client as tls_client};
pub use tokens::{LinkOrder, SignError, encode as encode_token, sign_link};
