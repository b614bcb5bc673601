//! The parts that several handlers share, while a service is built: each handler stores those that it needs.

use std::sync::Arc;

use crate::access::limits::Limit;
use crate::cluster::Cluster;
use crate::hub::Hub;
use crate::service::app_requests::AppRequests;
use crate::service::channel_auth::ChannelAuth;
use crate::service::headers::ResponseHeaders;
use crate::service::request_bodies::RequestBodies;
use crate::service::route_auth::Entrances;
use crate::service::route_limits::RouteLimits;
use crate::service::session_auth::SessionAuth;
use crate::service::token_limit::TokenLimit;
use crate::service::tunnel_permits::TunnelPermits;
use crate::shutdown::Shutdown;

/// Parts of a service that its handlers share. Clones of each are cheap.
pub(super) struct SharedParts {
    pub(super) apps: Arc<AppRequests>,
    pub(super) bodies: RequestBodies,
    pub(super) channels: ChannelAuth,
    pub(super) cluster: Option<Cluster>,
    pub(super) entrances: Arc<Entrances>,
    pub(super) headers: Arc<ResponseHeaders>,
    pub(super) hub: Hub,
    pub(super) permits: TunnelPermits,
    /// The limit on requests of any kind, for messages of pages that come over a WebSocket.
    pub(super) requests: Limit,
    pub(super) route_limits: RouteLimits,
    pub(super) sessions: SessionAuth,
    pub(super) shutdown: Shutdown,
    pub(super) tokens: TokenLimit,
}
