//! A request as bytes, and whatever comes back.

use std::net::SocketAddr;
use std::time::Duration;

use http::Request;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::harness::{Http2, PATIENCE, within};

/// Time that a connection may stay silent whose response has no end.
const SILENCE: Duration = Duration::from_millis(500);

/// An answer, as far as it is one.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// None for bytes that are no answer of HTTP/1.1, and for a connection that was closed.
    pub status: Option<u16>,
    pub body: Vec<u8>,
    /// The app's own report of its reading; null in a response of Noren itself.
    pub seen: Value,
}

impl Reply {
    /// A text that the app has told of its reading.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.seen.get(key).and_then(Value::as_str)
    }

    pub(super) fn has(&self, text: &str) -> bool {
        let mut windows = self.body.windows(text.len());
        windows.any(|window| window == text.as_bytes())
    }
}

/// Connects from one of the addresses of this machine.
pub(super) async fn connect(to: SocketAddr, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    within("a connection", socket.connect(to)).await.unwrap()
}

/// Sends one request on a connection of its own, and reads its answer.
pub(super) async fn exchange(to: SocketAddr, from: &str, request: &[u8]) -> Reply {
    let mut stream = connect(to, from).await;
    // A server that closes at the first bad byte may have done so already.
    let _ = within("the request to be taken", stream.write_all(request)).await;
    let head_only = request.starts_with(b"HEAD ");
    let mut read = Vec::new();
    let mut piece = vec![0; 16 * 1024];
    loop {
        if let Some(reply) = whole(&read, head_only, false) {
            return reply;
        }
        let limit = if end_of_head(&read).is_some() || read.is_empty() {
            PATIENCE
        } else {
            SILENCE
        };
        match timeout(limit, stream.read(&mut piece)).await {
            Ok(Ok(length @ 1..)) => read.extend(&piece[..length]),
            Ok(_) | Err(_) => return whole(&read, head_only, true).unwrap_or_default(),
        }
    }
}

/// The same in a stream of HTTP/2.
pub(super) async fn exchange_http2(http2: &Http2, request: Request<()>, body: Vec<u8>) -> Reply {
    let ready = within("a free stream", http2.requests.clone().ready()).await;
    let sent = ready.unwrap().send_request(request, body.is_empty());
    let (answer, mut sender) = sent.unwrap();
    if !body.is_empty() {
        // A refusal may have come first.
        let _ = sender.send_data(body.into(), true);
    }
    let Ok(answer) = within("an answer over HTTP/2", answer).await else {
        return Reply::default();
    };
    let status = answer.status().as_u16();
    let mut stream = answer.into_body();
    let mut read = Vec::new();
    while let Some(Ok(piece)) = within("more of an answer", stream.data()).await {
        let _ = stream.flow_control().release_capacity(piece.len());
        read.extend_from_slice(&piece);
    }
    Reply::of(Some(status), read)
}

fn end_of_head(read: &[u8]) -> Option<usize> {
    read.windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// The answer in these bytes, once all of it is there.
fn whole(read: &[u8], head_only: bool, ended: bool) -> Option<Reply> {
    let Some(end) = end_of_head(read) else {
        return ended.then(|| Reply::of(None, read.to_vec()));
    };
    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
    let status = head
        .strip_prefix("http/1.")
        .and_then(|rest| rest.get(2..5)?.parse().ok());
    let body = &read[end..];
    if head_only || matches!(status, Some(100..200 | 204 | 304)) {
        return Some(Reply::of(status, Vec::new()));
    }
    let field = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name));
    if let Some(length) = field("content-length:") {
        let length: usize = length.trim().parse().unwrap();
        return (body.len() >= length || ended)
            .then(|| Reply::of(status, body[..length.min(body.len())].to_vec()));
    }
    if field("transfer-encoding:").is_some() {
        return (body.ends_with(b"0\r\n\r\n") || ended).then(|| Reply::of(status, joined(body)));
    }
    ended.then(|| Reply::of(status, body.to_vec()))
}

/// The content of chunks, as far as they came.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(at) = body.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&body[..at]).unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let chunk = &body[at + 2..];
        if size == 0 || size + 2 > chunk.len() {
            break;
        }
        content.extend(&chunk[..size]);
        body = &chunk[size + 2..];
    }
    content
}

impl Reply {
    fn of(status: Option<u16>, body: Vec<u8>) -> Self {
        let seen: Value = serde_json::from_slice(&body).unwrap_or_default();
        let seen = if seen.get("page").is_some() {
            seen
        } else {
            Value::Null
        };
        Self { status, body, seen }
    }
}
