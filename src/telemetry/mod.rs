//! Observability: the log, access lines, the audit, metrics, and the list of open tunnels.
//!
//! Lines have a constant message and their values as fields. No token, cookie, query or body is ever a field.

mod access;
pub mod audit;
mod combined;
mod escaped;
mod fate;
mod flood;
mod inside;
mod log;
mod metrics;
mod pulse;
mod since;
mod times;
mod tunnel;

pub use access::{AccessLine, Measured};
pub use fate::Fate;
pub use flood::Flood;
pub use inside::Inside;
pub use log::{install, set_level};
pub use metrics::{
    AppLabel, AppMetrics, Apps, CONTENT_TYPE, ChannelLabel, ChannelMetrics, Channels, Classes,
    Connections, Failure, FileLabel, Handler, ListenerLabel, Metrics, OfKind, ReasonLabel,
    Requests, Seen, SourceLabel, Sources, SpoolMetrics, Spooled, TunnelKind, TunnelMetrics,
    descriptors, resident_bytes,
};
pub use pulse::Pulse;
pub use since::since;
pub use times::Times;
pub use tunnel::{Begun, OpenTunnel, Tunnel, Tunnels};
