//! Sockets: listeners, accepted streams with the permits they hold, peers, and connections to endpoints.
//!
//! Independent of TLS and HTTP.

mod accept;
mod address_limit;
mod address_turns;
mod backoff;
mod connect;
mod connection_limit;
mod descriptors;
mod fd_passing;
mod listener;
mod machine;
mod peer;
mod socket;
mod trusted_proxies;
mod unix;

pub(crate) use accept::{AcceptLoop, AcceptReport};
pub(crate) use address_limit::{AddressLimit, AddressPermit};
pub(crate) use address_turns::AddressTurns;
pub(crate) use backoff::{Backoff, LONGEST_PAUSE, random};
pub(crate) use connect::{ConnectError, connect, connect_if};
pub(crate) use connection_limit::{ConnectionPermit, ConnectionPermits, NoPermit};
pub(crate) use descriptors::{most_descriptors, raise_descriptors};
pub(crate) use fd_passing::{receive_sockets, send_sockets};
pub(crate) use listener::{BindError, Inherited, Listener};
pub(crate) use machine::{host_name, is_own_address};
pub(crate) use peer::Peer;
pub(crate) use socket::{Socket, Stream};
pub(crate) use trusted_proxies::{Proxies, source as proxy_source};
pub(crate) use unix::{OwnedPath, bind_unix_datagram, check_unix, listen_unix};
