//! Observability: the log, access lines, the audit, metrics, and the list of open tunnels.
//!
//! Lines have a constant message and their values as fields. No token, cookie, query or body is ever a field.

mod access_line;
pub mod audit;
mod close_reason;
mod combined;
mod escaped;
mod heartbeat;
mod log;
mod log_limiter;
mod metrics;
mod server_telemetry;
mod timings;
mod token_sources;
mod tunnels;

pub use access_line::{AccessLine, Measured};
pub use close_reason::CloseReason;
pub use heartbeat::Heartbeat;
pub use log::{install, set_level};
pub use log_limiter::LogLimiter;
pub use metrics::{
    AddressLabel, AddressLimited, AddressState, Addresses, AppLabel, AppMetrics, Apps,
    CONTENT_TYPE, ChannelLabel, ChannelMetrics, Channels, Classes, Connections, Failure, FileLabel,
    Handler, ListenerLabel, Metrics, OfKind, ReasonLabel, Requests, Seen, SourceLabel, Sources,
    SpoolMetrics, Spooled, StreamLabel, TunnelKind, TunnelMetrics, descriptors, resident_bytes,
};
pub use server_telemetry::Telemetry;
pub use timings::Timings;
pub use token_sources::{TokenSourceCounts, TokenSourceStatus};
pub use tunnels::{OpenTunnel, OpenViewer, Rfb, Tunnel, TunnelInfo, Tunnels, ViewerState, Viewing};
