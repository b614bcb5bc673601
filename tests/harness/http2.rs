//! An HTTP/2 client that sends what it is told, frame by frame where that matters.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::door::Door;
use super::wire::Wire;
use super::{until, within};

/// One connection, agreed on by ALPN.
pub(crate) struct Http2 {
    pub requests: SendRequest<Bytes>,
    /// Ends with the connection.
    pub connection: JoinHandle<Result<(), h2::Error>>,
}

impl Http2 {
    pub(crate) async fn open(door: &Door) -> Self {
        Self::open_with(door, &Builder::new()).await
    }

    pub(crate) async fn open_with(door: &Door, builder: &Builder) -> Self {
        let stream = door.tls_stream("h2").await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let opened = within("the HTTP/2 preface", builder.handshake(stream)).await;
        let (requests, connection) = opened.unwrap();
        Self {
            requests,
            connection: tokio::spawn(connection),
        }
    }

    /// A GET for `https://door.example{path}`, to be changed by the test.
    pub(crate) fn get(path: &str) -> Request<()> {
        Request::get(format!("https://door.example{path}"))
            .body(())
            .unwrap()
    }

    /// Sends a head; `end` if there is no body.
    pub(crate) async fn begin(
        &mut self,
        request: Request<()>,
        end: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let ready = within("a free stream", self.requests.clone().ready()).await;
        ready.unwrap().send_request(request, end).unwrap()
    }

    /// Sends a request without a body; the status, or none if the stream was reset.
    pub(crate) async fn status(&mut self, request: Request<()>) -> Option<u16> {
        let (answer, _) = self.begin(request, true).await;
        let answer = within("an answer", answer).await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// Sends a request without a body, and reads all of the answer.
    pub(crate) async fn ask(&mut self, request: Request<()>) -> (u16, Vec<u8>) {
        let (answer, _) = self.begin(request, true).await;
        read_all(within("an answer", answer).await.unwrap()).await
    }

    /// An extended CONNECT (RFC 8441) for a path, after the server has said that it knows it.
    pub(crate) async fn connect(&mut self, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        self.connect_with(path, &[]).await
    }

    /// The same with further header lines.
    pub(crate) async fn connect_with(
        &mut self,
        path: &str,
        lines: &[(&str, &str)],
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let requests = self.requests.clone();
        until("the setting for extended CONNECT", || async {
            requests
                .is_extended_connect_protocol_enabled()
                .then_some(())
        })
        .await;
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("https://door.example{path}"))
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"));
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        self.begin(request.body(()).unwrap(), false).await
    }

    /// An open WebSocket in a stream of this connection.
    pub(crate) async fn websocket(&mut self, path: &str) -> Wire {
        self.websocket_with(path, &[]).await
    }

    /// The same with further header lines.
    pub(crate) async fn websocket_with(&mut self, path: &str, lines: &[(&str, &str)]) -> Wire {
        let (answer, sender) = self.connect_with(path, lines).await;
        let answer = within("an answer", answer).await.unwrap();
        assert_eq!(answer.status(), 200);
        wire(sender, answer.into_body())
    }
}

pub(crate) async fn read_all(answer: Response<RecvStream>) -> (u16, Vec<u8>) {
    let status = answer.status().as_u16();
    let mut stream = answer.into_body();
    let mut body = Vec::new();
    while let Some(piece) = within("more of the answer", stream.data()).await {
        let piece = piece.unwrap();
        stream.flow_control().release_capacity(piece.len()).unwrap();
        body.extend_from_slice(&piece);
    }
    (status, body)
}

/// Sends bytes as fast as the window opens; false if the stream was closed.
pub(crate) async fn send_all(stream: &mut SendStream<Bytes>, mut bytes: Bytes) -> bool {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let Some(Ok(free)) = poll_fn(|cx| stream.poll_capacity(cx)).await else {
            return false;
        };
        let piece = bytes.split_to(free.min(bytes.len()));
        if stream.send_data(piece, false).is_err() {
            return false;
        }
    }
    true
}

/// A stream as an ordinary connection.
fn wire(mut sender: SendStream<Bytes>, mut receiver: RecvStream) -> Wire {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut from_test, mut to_test) = tokio::io::split(far);
    tokio::spawn(async move {
        while let Some(Ok(piece)) = receiver.data().await {
            let _ = receiver.flow_control().release_capacity(piece.len());
            if to_test.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = to_test.shutdown().await;
    });
    tokio::spawn(async move {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from_test.read(&mut piece).await {
            if !send_all(&mut sender, Bytes::copy_from_slice(&piece[..read])).await {
                return;
            }
        }
        let _ = sender.send_data(Bytes::new(), true);
    });
    Wire::new(near)
}
