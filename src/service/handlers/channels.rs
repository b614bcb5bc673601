//! Requests to the hub: determines the resource, and decides between subscribing, publishing, presence, `SockJS` and
//! the page library, which do not know each other. Independent of how a message is sent.

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN, SEC_WEBSOCKET_KEY, VARY,
};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::config::ChannelName;
use crate::http::{Body, Refusal, RequestPath};
use crate::hub::{self, Address, Hub, Parameters};
use crate::push::SockJsResource;
use crate::service::channel_auth::ChannelAuth;
use crate::service::exchange::Exchange;
use crate::service::handlers::page_library::asset;
use crate::service::handlers::page_messages::PageMessages;
use crate::service::handlers::publish::Publish;
use crate::service::handlers::sockjs::SockJsHandler;
use crate::service::handlers::subscribe::Subscribe;
use crate::service::responses::json;
use crate::service::route_auth::{Entrances, permit_page};
use crate::service::shared_parts::SharedParts;
use crate::shutdown::Shutdown;
use crate::websocket::asks_for_websocket;

/// Methods of the resource whose path begins at `at`; `None` if there is no such resource.
pub(super) fn methods(at: usize, path: &RequestPath) -> Option<&'static str> {
    Some(match Address::parse(path.as_str().get(at..)?)? {
        Address::Asset(_) | Address::Presence(_) => "GET, HEAD",
        Address::SockJs(rest) => SockJsResource::parse(rest)?.methods(),
        Address::Channels(_) => "GET, HEAD, POST",
    })
}

/// Handles requests to the hub.
#[derive(Debug)]
pub(super) struct Channels {
    hub: Hub,
    entrances: Arc<Entrances>,
    auth: ChannelAuth,
    sockjs: SockJsHandler,
    subscribe: Subscribe,
    publish: Publish,
    shutdown: Shutdown,
}

impl Channels {
    pub(super) fn new(shared: &SharedParts, sockjs: crate::push::SockJs) -> Self {
        let messages = Arc::new(PageMessages::new(shared));
        Self {
            hub: shared.hub.clone(),
            entrances: Arc::clone(&shared.entrances),
            auth: shared.channels.clone(),
            sockjs: SockJsHandler::new(shared, sockjs, Arc::clone(&messages)),
            subscribe: Subscribe::new(shared, Arc::clone(&messages)),
            publish: Publish::new(shared, messages),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Responds to a request below the hub's path, whose length is `at`.
    pub(super) async fn handle(
        &self,
        at: usize,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let rest = exchange.head.path.as_str().get(at..).unwrap_or_default();
        let Some(address) = Address::parse(rest) else {
            let refusal = Refusal::not_found(
                "this is not the name of a channel: that is words of letters, digits, - and _, joined by dots",
            );
            return Err(exchange.refuse(refusal, &self.shutdown));
        };
        if let Err(denied) = self.permit_origin(&mut exchange) {
            return Err(exchange.refuse(denied, &self.shutdown));
        }
        let origin = exchange.request.headers().get(ORIGIN).cloned();
        let mut response = match address {
            Address::Asset(file) => asset(file, exchange.request.headers())?,
            Address::Presence(name) => {
                let (visitor_parts, audit) = exchange.visitor_parts();
                let names = std::slice::from_ref(&name);
                self.auth.permit(names, visitor_parts, audit).await?;
                self.presence(&name)?
            }
            Address::SockJs(rest) => self.sockjs.handle(rest, exchange).await?,
            Address::Channels(names) => {
                exchange.audit.set_object(hub::channels_named(&names));
                self.channels(names, exchange).await?
            }
        };
        // A page of another origin may only read a response that permits it (Fetch §3.2).
        if let Some(origin) = origin {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        Ok(response)
    }

    fn permit_origin(&self, exchange: &mut Exchange<'_>) -> Result<(), Refusal> {
        let headers = exchange.request.headers();
        // Pages of the same site send no Origin with a GET, and neither do programs. Over HTTP/2 a WebSocket has no
        // key, so the method tells it.
        let is_socket =
            asks_for_websocket(&exchange.request) || headers.contains_key(SEC_WEBSOCKET_KEY);
        if !headers.contains_key(ORIGIN) && !is_socket {
            return Ok(());
        }
        permit_page(&self.entrances.hub, exchange.visitor_parts().0)
    }

    async fn channels(
        &self,
        names: Vec<ChannelName>,
        exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let parameters = Parameters::parse(exchange.request.uri().query())
            .map_err(|fault| Refusal::new(StatusCode::BAD_REQUEST, fault))?;
        if asks_for_websocket(&exchange.request) {
            return self.subscribe.socket(names, &parameters, exchange).await;
        }
        let method = exchange.request.method();
        if matches!(*method, Method::GET | Method::HEAD) {
            return self.subscribe.get(&names, &parameters, exchange).await;
        }
        let refusal = if *method == Method::POST {
            match <[ChannelName; 1]>::try_from(names) {
                Ok([name]) => return self.publish.post(name, &parameters, exchange).await,
                Err(_) => Refusal::bad_request("a message goes into one channel"),
            }
        } else {
            let reason = "the only protocol for CONNECT known here is websocket";
            Refusal::new(StatusCode::NOT_IMPLEMENTED, reason)
        };
        Err(exchange.refuse(refusal, &self.shutdown))
    }

    fn presence(&self, name: &ChannelName) -> Result<Response<Body>, Refusal> {
        let told = self.hub.rules(name).is_some_and(|rules| rules.presence);
        if !told {
            return Err(Refusal::not_found(format!(
                "there is no channel {name} that reports its subscribers"
            )));
        }
        let presence = self.hub.presence(name);
        let object = serde_json::json!({
            "channel": name.as_str(),
            "count": presence.count,
            "names": presence.names,
        });
        Ok(json(StatusCode::OK, &object))
    }
}
