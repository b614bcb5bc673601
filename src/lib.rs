//! Noren is the front door of a blocking web app: a TLS reverse proxy, a websockify-style bridge and a
//! notification hub in one binary. (A *noren* is the curtain in the doorway of a Japanese restaurant.)
//!
//! # Map
//!
//! The modules are a stack: each names only modules below it, and modules of one layer do not name each
//! other. `tests/layers.rs` holds this list and fails on an upward or sideways use.
//!
//! | layer | module | job | must not know |
//! |---|---|---|---|
//! | 0 | [`text`], then [`config`] | text of others, shown without control sequences and read without a byte order mark, the sections of PEM; the file as types; an invalid [`Config`] cannot exist | sockets, HTTP |
//! | 1 | [`telemetry`], [`shutdown`], [`recording`], `shares` | the log and its lines, metrics, what is open; stop signal, task tracker, drain; the file of a recorded console; what clients share, and the part of each | what is served |
//! | 2 | `net`, `spool`, `jwt`, then `tls` | listener, stream (holds its permits), peer, connect; bodies on disk, bounded; signed tokens and their keys; handshake, certificates | HTTP |
//! | 3 | `http`, then `websocket`; `upstream`; `target` | bodies, heads, headers, refusals; handshake and frames of RFC 6455; the app's connections and queue; token to target | routes, policy |
//! | 4 | `access`, `acme`, `proxy`, `bridge`, `hub`, `files` | who may pass; certificates from an authority; forward one request; relay a WebSocket to a socket; channels: one message to many; files of a directory | each other |
//! | 5 | `admin` | the socket for programs of this machine: publish, listen, look inside | apps, the public listeners |
//! | 6 | `router` | a pure function: host and path to route | I/O |
//! | 7 | `service` | one request: route, ask access, call one handler, make its error an answer | bytes |
//! | 8 | [`server`] | accept, handshake, serve, drain, reload | what a request is for |
//! | | [`guide`] | pages of documentation, no code | |
//!
//! The binary adds the command line, signals, systemd's notifications, and the demo.
//!
//! # Flows
//!
//! The ways of a request, of a console and of a message are below, stage by stage, with the functions that do it.
//!
//! **Several machines.** With `[cluster]` a hub gives no offsets: what is published goes into a stream of a RabbitMQ
//! broker, and comes back from there to every node, in one order, with the offset it has in the stream. From there on
//! it is as above. A node that was cut off goes on reading where it was; what it could not write it writes again.
//!
//! **Start, reload, upgrade, stop.** [`Config::load`], the log, [`Server::bind`], [`Server::run`]. A reload
//! first reads and opens everything that can fail, beside what serves (the plan), and then puts it in force, which
//! cannot fail (the commit): on any error nothing has changed. Certificates
//! whose files change are swapped in the same way, and those that an authority gives (ACME) are files too: a task asks
//! for them, shows the authority what it looks for in a handshake or on a plain listener, and writes what it gets.
//! An upgrade gives the listening sockets and the luggage of the hub to another process ([`Server::take_over`]),
//! which confirms; then this one retires: what is at hand ends, tunnels go on. A stop closes the listeners, ends
//! idle connections, closes tunnels with 1001, waits for the grace, and says what was left.
//!
//! # Invariants
//!
//! - A client can never make the server wait, queue or buffer without a limit; every limit is in the
//!   configuration with a default, or is a named constant.
//! - The app never sees a header that only a proxy may set, a body without a length, or a second request
//!   hidden in a first.
//! - The app never has more requests than workers, whoever leaves and whatever is reloaded, and no client keeps
//!   others out of the queue before it.
//! - A reload that is refused has changed nothing, whatever was new in its file.
//! - Nobody is let in by a mistake: where a session is required, whatever is not a yes of the app is a refusal.
//! - No token, cookie, key or message body reaches a log; no token is compared in a way that leaks time.
//! - No lock is held across an await; nothing is spawned outside the tracker; only `main` exits.
//! - A console target is connected exactly once per accepted upgrade.
//! - A publisher hears that a message was taken, and subscribers see it, when it is as durable as it will be: on
//!   disk, or in the stream. What was refused nobody has seen.
//! - Publishing never waits for a subscriber, and no subscriber for another.
//! - A subscriber gets every message of its channels after its place, in order and once, or is told of the gap.
#![doc = "\n"]
#![doc = include_str!("life.md")]

mod access;
mod acme;
mod admin;
mod bridge;
pub mod config;
mod files;
#[doc(hidden)]
pub mod fuzzing;
pub mod guide;
mod http;
mod hub;
mod jwt;
mod net;
mod proxy;
pub mod recording;
mod router;
pub mod server;
mod service;
mod shares;
pub mod shutdown;
mod spool;
mod target;
pub mod telemetry;
pub mod text;
mod tls;
mod upstream;
mod websocket;

pub use access::{ChannelOrder, OrderError, sign_channel_token};
pub use admin::{Order, Ordered, Orders};
pub use config::{Config, ConfigError};
pub use router::{Destination, Place, places};
pub use server::{Handle, ReloadError, Server, StartError};
pub use shutdown::Drained;
pub use target::{LinkOrder, SignError, encode as encode_token, sign_link};
pub use tls::{TlsError, Trust as TlsTrust, check as check_tls, client as tls_client};
