//! Wok's notification page, which opens a channel at the URL of the consoles: its token names a channel.
//!
//! Must not know consoles. The channel requires the same permission here as at the hub.

use std::sync::Arc;

use http::Response;

use crate::access::session::Visitor;
use crate::bridge::Subprotocol;
use crate::config::{ChannelName, Config};
use crate::http::{Body, Lease, Refusal};
use crate::hub::{Hub, Parameters, channels_named};
use crate::push::{self, Form, Listening};
use crate::service::channel_auth::ChannelAuth;
use crate::service::exchange::Exchange;
use crate::service::handlers::subscriptions::subscribe;
use crate::service::route_auth::Entrances;
use crate::service::shared_parts::SharedParts;
use crate::shutdown::Shutdown;
use crate::tokens::Token;
use crate::websocket::Handshake;

/// Opens channels for tokens of the bridge.
#[derive(Debug)]
pub(super) struct WokPage {
    hub: Hub,
    auth: ChannelAuth,
    entrances: Arc<Entrances>,
    /// Tokens of the bridge that name channels.
    tokens: Vec<(String, ChannelName)>,
    shutdown: Shutdown,
}

/// A channel that may be opened for a visitor.
pub(super) struct Opening {
    channel: ChannelName,
    subprotocol: Subprotocol,
    lease: Option<Lease>,
}

impl WokPage {
    pub(super) fn new(config: &Config, shared: &SharedParts) -> Self {
        let channels = config.channels.iter();
        Self {
            hub: shared.hub.clone(),
            auth: shared.channels.clone(),
            entrances: Arc::clone(&shared.entrances),
            tokens: channels
                .filter_map(|channel| Some((channel.token.clone()?, channel.name.name()?)))
                .collect(),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// True if no token names a channel.
    pub(super) fn is_unconfigured(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Authenticates a request by the rules of the hub, if any token names a channel. The result matters only if this
    /// token does.
    pub(super) async fn enter(&self, exchange: &mut Exchange<'_>) -> Result<(), Refusal> {
        if self.is_unconfigured() {
            return Ok(());
        }
        self.entrances.enter_hub(exchange).await
    }

    /// The channel that this token names, if any.
    pub(super) fn channel_of(&self, token: &Token) -> Option<ChannelName> {
        let found = self.tokens.iter().find(|(name, _)| token.matches(name));
        found.map(|(_, channel)| channel.clone())
    }

    /// Checks that a visitor, whose session may have been queried already, may subscribe to the channel.
    pub(super) async fn permit(
        &self,
        channel: ChannelName,
        subprotocol: Subprotocol,
        visitor: Option<Visitor>,
        exchange: &mut Exchange<'_>,
    ) -> Result<Opening, Refusal> {
        let names = std::slice::from_ref(&channel);
        let (visitor_parts, audit) = exchange.visitor_parts();
        audit.set_object(channels_named(names));
        let permit = match visitor {
            Some(visitor) => {
                let permitted = self
                    .auth
                    .permit_visitor(names, visitor, visitor_parts, audit);
                permitted.await?
            }
            None => self.auth.permit(names, visitor_parts, audit).await?,
        };
        Ok(Opening {
            subprotocol,
            lease: permit.lease,
            channel,
        })
    }

    /// Opens the channel.
    pub(super) fn open(
        &self,
        opening: Opening,
        mut exchange: Exchange<'_>,
        handshake: Handshake,
    ) -> Result<Response<Body>, Refusal> {
        let parameters = Parameters::parse(exchange.request.uri().query()).unwrap_or_default();
        let rules = self.hub.rules(&opening.channel);
        let names = vec![opening.channel];
        let (visitor_parts, _) = exchange.visitor_parts();
        let subscription = subscribe(&self.hub, &names, &parameters, opening.lease, visitor_parts)?;
        let protocol = opening.subprotocol.name();
        let listening = Listening {
            subscription: subscription
                .identify("websocket", exchange.context.peer)
                .audited(exchange.audit.client(), &names),
            names,
            form: Form::Wok {
                boundary: rules
                    .map_or_else(String::new, |rules| rules.boundary)
                    .into(),
                base64: protocol.as_deref() == Some("base64"),
            },
            receiver: None,
            protocol,
            compress: false,
        };
        Ok(push::open_socket(
            &self.hub,
            exchange.request,
            handshake,
            listening,
            exchange.context,
            &self.shutdown,
        ))
    }
}
