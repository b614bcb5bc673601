//! Sockets: listeners, accepted streams with the permits they hold, peers, and connections to endpoints.
//!
//! Independent of TLS and HTTP.

mod accept;
mod connect;
mod descriptors;
mod handed;
mod listener;
mod machine;
mod peer;
mod proxies;
mod slots;
mod socket;
mod unix;

pub use accept::AcceptRetry;
pub use connect::{ConnectError, connect, connect_if};
pub use descriptors::{most_descriptors, raise_descriptors};
pub use handed::{receive_sockets, send_sockets};
pub use listener::{BindError, Inherited, Listener};
pub use machine::{host_name, is_own_address};
pub use peer::Peer;
pub use proxies::{Proxies, source as proxy_source};
pub use slots::{NoSlot, Slot, Slots};
pub use socket::{Socket, Stream};
pub use unix::{OwnedPath, bind_unix_datagram, listen_unix, look_at_unix};
