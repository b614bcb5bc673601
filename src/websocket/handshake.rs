//! The opening handshake: over HTTP/1.1 (RFC 6455 §4.2) and over HTTP/2 (RFC 8441 §5).

use h2::ext::Protocol;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::http::{Body, Refusal, empty};
use crate::websocket::deflate::{self, Window};

/// A valid opening handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    response: Response<Body>,
    offered: Vec<String>,
    /// The response to an offer to compress messages, if there is one that can be accepted.
    deflate: Option<deflate::Accepted>,
}

/// True if a request wants to become a WebSocket, valid or not. A method other than GET without any other part of
/// a handshake is an ordinary request, whose `Upgrade` is ignored (RFC 9110 §7.8).
#[must_use]
pub(crate) fn asks_for_websocket<B>(request: &Request<B>) -> bool {
    if request.method() == Method::CONNECT {
        return protocol_is_websocket(request);
    }
    let is_handshake =
        request.method() == Method::GET || request.headers().contains_key(SEC_WEBSOCKET_KEY);
    is_handshake
        && lists(request.headers(), CONNECTION, "upgrade")
        && lists(request.headers(), UPGRADE, "websocket")
}

/// True if a list header contains a member, in any of its lines (RFC 9110 §5.3, RFC 6455 §4.2.1).
fn lists(headers: &HeaderMap, header: HeaderName, member: &str) -> bool {
    names(headers, header).any(|name| name.eq_ignore_ascii_case(member))
}

impl Handshake {
    /// Checks a handshake.
    ///
    /// # Errors
    /// The refusal to send: 426 for another version of the protocol, else 400.
    pub(crate) fn check<B>(request: &Request<B>) -> Result<Self, Refusal> {
        let headers = request.headers();
        for name in [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION] {
            if headers.get_all(name).iter().nth(1).is_some() {
                return Err(Refusal::bad_request(
                    "a header of the WebSocket handshake is given twice",
                ));
            }
        }
        if let Some(version) = headers.get(SEC_WEBSOCKET_VERSION)
            && version != "13"
        {
            return Err(wrong_version());
        }
        let offered = names(headers, SEC_WEBSOCKET_PROTOCOL)
            .map(str::to_owned)
            .collect();
        let response = if request.method() == Method::CONNECT {
            extended_connect(request)?
        } else {
            upgrade(request)?
        };
        let deflate = deflate::accept(names(headers, SEC_WEBSOCKET_EXTENSIONS));
        Ok(Self {
            response,
            offered,
            deflate,
        })
    }

    /// True if the client offers this subprotocol. Lists are read leniently: websockify's older clients send
    /// spaces, and some several headers.
    #[must_use]
    pub(crate) fn offers(&self, protocol: &str) -> bool {
        self.offered.iter().any(|offered| offered == protocol)
    }

    /// True if the client offers any subprotocol.
    #[must_use]
    pub(crate) fn offers_any(&self) -> bool {
        !self.offered.is_empty()
    }

    /// Accepts an offer to compress messages (RFC 7692), and returns the window for our own; `None` if there is none.
    pub(crate) fn accept_deflate(&mut self) -> Option<Window> {
        let (response, window) = self.deflate.take()?;
        let value = HeaderValue::try_from(response.into_owned()).ok()?;
        self.response
            .headers_mut()
            .insert(SEC_WEBSOCKET_EXTENSIONS, value);
        Some(window)
    }

    /// The response that accepts the handshake: 101, or 200 over HTTP/2.
    #[must_use]
    pub(crate) fn accept(mut self, protocol: Option<&str>) -> Response<Body> {
        // What was offered is a token, and so are the names of the configuration.
        if let Some(Ok(value)) = protocol.map(HeaderValue::from_str) {
            self.response
                .headers_mut()
                .insert(SEC_WEBSOCKET_PROTOCOL, value);
        }
        self.response
    }
}

fn protocol_is_websocket<B>(request: &Request<B>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

fn extended_connect<B>(request: &Request<B>) -> Result<Response<Body>, Refusal> {
    if !protocol_is_websocket(request) {
        return Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "the only protocol for CONNECT known here is websocket",
        ));
    }
    if !request.headers().contains_key(SEC_WEBSOCKET_VERSION) {
        return Err(wrong_version());
    }
    // Chromium keeps the 200 to itself and shows the page an open WebSocket; there is no key to answer.
    Ok(Response::new(empty()))
}

fn upgrade<B>(request: &Request<B>) -> Result<Response<Body>, Refusal> {
    let headers = request.headers();
    // Bytes behind the head belong to the WebSocket, so there cannot be a body.
    if headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::bad_request("a WebSocket handshake has no body"));
    }
    create_response_with_body(&one_line_each(request), empty).map_err(|error| match error {
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => wrong_version(),
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader,
        ) => Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "only WebSockets are served at this address; open the page that belongs to it",
        )
        .with(UPGRADE, HeaderValue::from_static("websocket")),
        Error::Protocol(ProtocolError::InvalidSecWebSocketKey) => {
            Refusal::bad_request("Sec-WebSocket-Key is not 16 bytes in base64")
        }
        Error::Protocol(ProtocolError::MissingSecWebSocketKey) => {
            Refusal::bad_request("the WebSocket handshake has no Sec-WebSocket-Key")
        }
        _ => Refusal::bad_request("a WebSocket handshake is a GET request of HTTP/1.1"),
    })
}

/// The head with each list header joined to one line, which is all that tungstenite reads.
fn one_line_each<B>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    head.method_mut().clone_from(request.method());
    *head.version_mut() = request.version();
    let headers = head.headers_mut();
    for name in [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION] {
        if let Some(value) = request.headers().get(&name) {
            headers.insert(name, value.clone());
        }
    }
    for (name, member) in [(CONNECTION, "upgrade"), (UPGRADE, "websocket")] {
        if lists(request.headers(), name.clone(), member) {
            headers.insert(name, HeaderValue::from_static(member));
        }
    }
    head
}

/// The 426 response, which names the supported version (RFC 6455 §4.4).
fn wrong_version() -> Refusal {
    Refusal::new(
        StatusCode::UPGRADE_REQUIRED,
        "the only version of the WebSocket protocol known here is 13",
    )
    .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
}

/// The trimmed, comma-separated values of all lines of a header.
fn names(headers: &HeaderMap, header: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(header)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
}
