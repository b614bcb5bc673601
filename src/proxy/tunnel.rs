//! Passes WebSockets of the app itself through (RFC 9110 §7.8, RFC 8441).
//!
//! A browser with an HTTP/2 connection opens its WebSockets on it, so the app must be reachable that way too;
//! towards the app it is always the HTTP/1.1 handshake.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::http::{Body, Incoming, Refusal, Spelling, drop_hop_by_hop, drop_own_headers, empty};
use crate::net::ConnectionPermit;
use crate::proxy::error::{from_upstream, invalid_response};
use crate::proxy::{Forward, request};
use crate::telemetry::{TunnelInfo, TunnelKind, audit};
use crate::upstream::Payload;
use crate::websocket::{Handshake, Upgrade};

/// Buffer size for each direction. An app's own WebSockets are few; the bridge, which is made for many, needs no
/// buffers.
const BUFFER: usize = 16 * 1024;

/// Forwards a valid handshake, and then relays the connection. Client bytes are forwarded only after the app has
/// accepted. `permit` is the tunnel's connection permit, if it has one of its own.
///
/// # Errors
/// The refusal to send. A response of the app other than 101 is an ordinary response.
pub(crate) async fn open(
    forward: Forward<'_>,
    mut request: Request<Incoming>,
    handshake: Handshake,
    permit: Option<ConnectionPermit>,
    opened: impl FnOnce(String) -> audit::Opened,
) -> Result<Response<Body>, Refusal> {
    let app = forward.upstream.settings();
    let client = Upgrade::of(&mut request);
    let over_http2 = request.version() == Version::HTTP_2;
    let (upgrade, key) = upgrade_request(request, forward)?;
    let sent = forward.upstream.upgrade(upgrade, forward.requester).await;
    let (mut response, counted) = sent.map_err(|error| from_upstream(app, &error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(ordinary(response));
    }
    if !agrees(response.headers(), &key) {
        return Err(invalid_response(
            app,
            "switched to another protocol than the requested WebSocket",
        ));
    }
    let upstream = hyper::upgrade::on(&mut response);
    let target = format!("app {}", app.name);
    let tunnel = forward.context.telemetry.tunnels.open(TunnelInfo {
        kind: TunnelKind::App,
        peer: forward.context.peer.to_string(),
        target: target.clone(),
        console: None,
        user: None,
        session: None,
        subprotocol: None,
        rfb: None,
        viewer: None,
    });
    let mut line = opened(target);
    let tasks = forward.tasks.clone();
    // The connection is in use until the tunnel ends, not only until the handshake is answered.
    let busy = forward.context.activity.begin();
    forward.tasks.spawn(async move {
        let asked = poll_fn(|cx| tunnel.poll_close_request(cx));
        let copied = tokio::select! {
            copied = copy(client, upstream, &mut line) => copied,
            () = tasks.tunnels_requested() => Ok("Noren is stopping"),
            () = asked => Ok("closed by an administrator"),
        };
        match copied {
            Ok(reason) => line.because(reason),
            Err(error) => line.because(error.to_string()),
        }
        let (up, down) = line.bytes();
        tunnel.moved(up, down);
        drop((busy, permit, counted));
    });
    Ok(answer(response.headers_mut(), handshake, over_http2))
}

/// The handshake for the app, and its key.
fn upgrade_request(
    request: Request<Incoming>,
    forward: Forward<'_>,
) -> Result<(Request<Payload>, HeaderValue), Refusal> {
    let (mut parts, _) = request.into_parts();
    let mut headers = parts.headers;
    request::clean(&mut headers, forward);
    // Nor has this request a body, whatever a CONNECT over HTTP/2 says.
    headers.remove(CONTENT_LENGTH);
    // Over HTTP/2 there is no key; and a key is no secret, so the client's own will do over HTTP/1.1.
    let key = match headers.get(SEC_WEBSOCKET_KEY) {
        Some(key) if parts.method != Method::CONNECT => key.clone(),
        _ => HeaderValue::try_from(generate_key()).map_err(|_| Refusal::bad_request("no key"))?,
    };
    headers.insert(SEC_WEBSOCKET_KEY, key.clone());
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let mut upgrade = Request::new(Payload::Empty);
    *upgrade.method_mut() = Method::GET;
    *upgrade.uri_mut() = request::origin_form(&parts.uri);
    let spelling = parts.extensions.remove::<Spelling>().unwrap_or_default();
    if let Some(spelled) = spelling.for_hyper(&headers) {
        *upgrade.extensions_mut() = spelled;
    }
    *upgrade.headers_mut() = headers;
    Ok((upgrade, key))
}

fn agrees(headers: &HeaderMap, key: &HeaderValue) -> bool {
    let websocket = headers
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let accept = headers.get(SEC_WEBSOCKET_ACCEPT);
    websocket
        && accept
            .is_some_and(|value| value.as_bytes() == derive_accept_key(key.as_bytes()).as_bytes())
}

fn ordinary(response: Response<hyper::body::Incoming>) -> Response<Body> {
    let mut response = response.map(|body| body.map_err(Into::into).boxed_unsync());
    drop_hop_by_hop(response.headers_mut());
    drop_own_headers(response.headers_mut());
    // The client waits for a WebSocket; whatever it has sent behind the handshake must not become a request.
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Our response: the app's headers without those of its side of the connection.
fn answer(headers: &mut HeaderMap, handshake: Handshake, over_http2: bool) -> Response<Body> {
    let own = handshake.accept(None);
    drop_hop_by_hop(headers);
    drop_own_headers(headers);
    headers.remove(SEC_WEBSOCKET_ACCEPT);
    let mut answer = Response::new(empty());
    *answer.status_mut() = own.status();
    *answer.headers_mut() = std::mem::take(headers);
    if !over_http2 {
        for (name, value) in own.headers() {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

/// Copies in both directions until both have ended, and counts the bytes for the audit, however it ends.
async fn copy(
    client: Upgrade,
    upstream: OnUpgrade,
    line: &mut audit::Opened,
) -> io::Result<&'static str> {
    let (client, upstream) = tokio::join!(client.stream(), upstream);
    let gone = || io::Error::other("the client left during the upgrade");
    let upstream = upstream.map_err(io::Error::other)?;
    let mut client = Counted {
        stream: client.ok_or_else(gone)?,
        line,
    };
    let mut upstream = TokioIo::new(upstream);
    copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER).await?;
    Ok("both sides closed it")
}

/// The client's side of the tunnel, which counts bytes for the audit.
struct Counted<'a, S> {
    stream: S,
    line: &'a mut audit::Opened,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<'_, S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.line.count((buf.filled().len() - before) as u64, 0);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<'_, S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        this.line.count(0, written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
