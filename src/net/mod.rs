//! Sockets: listeners, accepted streams with the permits they hold, peers, and connections to endpoints.
//!
//! Independent of TLS and HTTP.

mod accept;
mod address_limit;
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

pub use accept::{AcceptLoop, AcceptReport};
pub use address_limit::{AddressLimit, AddressPermit};
pub use backoff::{Backoff, LONGEST_PAUSE, random};
pub use connect::{ConnectError, connect, connect_if};
pub use connection_limit::{NoSlot, Slot, Slots};
pub use descriptors::{most_descriptors, raise_descriptors};
pub use fd_passing::{receive_sockets, send_sockets};
pub use listener::{BindError, Inherited, Listener};
pub use machine::{host_name, is_own_address};
pub use peer::Peer;
pub use socket::{Socket, Stream};
pub use trusted_proxies::{Proxies, source as proxy_source};
pub use unix::{OwnedPath, bind_unix_datagram, listen_unix, look_at_unix};
