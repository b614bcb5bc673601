//! A WebSocket that sends each message back, for the Autobahn test suite: with the handshake, the reader and the
//! compression of a channel's WebSockets. A channel itself sends no message back as it came.

use std::future::poll_fn;
use std::io;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::hub::{deflated, frame};
use crate::websocket::{
    Accepts, Handshake, MessageReader, Opcode, ReadFault, Received, Window, close_frame,
    control_frame,
};

/// Size limit of a message: more than the largest of the suite.
const LARGEST: usize = 32 << 20;

/// Serves one client until it leaves.
///
/// # Errors
/// If the connection breaks, or the handshake is none.
pub async fn echo<C: AsyncRead + AsyncWrite + Unpin>(mut client: C) -> io::Result<()> {
    let mut handshake = Handshake::check(&request(&mut client).await?)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let window = handshake.accept_deflate();
    let mut head = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
    for (name, value) in handshake.accept(None).headers() {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    client.write_all(&head).await?;
    let mut reader = MessageReader::new(Accepts::All, LARGEST).with_deflate(window.is_some());
    loop {
        let response = match poll_fn(|cx| reader.poll(&mut client, cx)).await {
            Ok(Some(Received::Text(text))) => message(Opcode::Text, text.as_bytes(), window),
            Ok(Some(Received::Binary(data))) => message(Opcode::Binary, &data, window),
            Ok(Some(Received::Ping(payload))) => control_frame(Opcode::Pong, &payload).into(),
            Ok(Some(Received::Close(code))) => return close(client, code, "").await,
            Ok(None) => return Ok(()),
            Err(ReadFault::Broke(error)) => return Err(error),
            Err(ReadFault::Violation(violation)) => {
                return close(client, Some(violation.code), violation.reason).await;
            }
        };
        client.write_all(&response).await?;
    }
}

/// A message as it is sent to a subscriber.
fn message(opcode: Opcode, payload: &[u8], window: Option<Window>) -> Bytes {
    let plain = frame(opcode, payload);
    window.map_or_else(|| plain.clone(), |window| deflated(&plain, window))
}

/// Sends a close frame and ends the connection.
async fn close<C: AsyncWrite + Unpin>(
    mut client: C,
    code: Option<u16>,
    reason: &str,
) -> io::Result<()> {
    client.write_all(&close_frame(code, reason)).await?;
    client.shutdown().await
}

/// Reads the request of a handshake.
async fn request<C: AsyncRead + Unpin>(client: &mut C) -> io::Result<Request<()>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut lines);
    parsed.parse(&head).map_err(io::Error::other)?;
    let mut request = Request::builder().uri(parsed.path.unwrap_or("/"));
    for line in parsed.headers {
        request = request.header(line.name, line.value);
    }
    request.body(()).map_err(io::Error::other)
}
