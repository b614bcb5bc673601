//! Consoles inside an HTTP/2 connection (RFC 8441), which share it with the requests of the page.

use bytes::Bytes;
use h2::SendStream;

use super::{PATH, console};
use crate::harness::{
    Backend, CLOSE, Door, FIN, Http2, Input, binary, masked, pattern, send_all, until, within,
};

#[tokio::test]
async fn a_console_is_reached_through_an_extended_connect() {
    let (console, door) = console("").await;
    let mut http2 = Http2::open(&door).await;
    let mut client = http2.websocket(PATH).await;
    let mut target = console.accept().await;
    client.send(binary(b"keys")).await;
    assert_eq!(target.take(4).await, b"keys");
    target.send("pixels").await;
    assert_eq!(client.frame().await.payload, b"pixels");
    client
        .send(masked(FIN | CLOSE, &1000_u16.to_be_bytes()))
        .await;
    assert_eq!(target.rest().await, b"");
    drop(target);
    assert_eq!(client.close_code().await, 1000);
    assert_eq!(client.rest().await, b"");
    console.has_nobody().await;
}

#[tokio::test]
async fn a_megabyte_echoes_through_an_http2_stream() {
    let (console, door) = console("").await;
    let mut http2 = Http2::open(&door).await;
    let client = http2.websocket(PATH).await;
    let mut target = console.accept().await;
    let sent = pattern(1 << 20);
    let (mut input, mut output) = (client.input, client.output);
    let echo = async {
        let piece = target.take(sent.len()).await;
        target.send(piece).await;
    };
    let ((), (), got) = tokio::join!(output.send(binary(&sent)), echo, input.messages(sent.len()));
    assert!(got == sent, "the bytes are those that were sent");
}

#[tokio::test]
async fn a_handshake_over_http2_is_refused_for_the_same_reasons() {
    let (console, door) = console("").await;
    let mut http2 = Http2::open(&door).await;
    let status = async |http2: &mut Http2, path: &str| {
        let (answer, _stream) = http2.connect(path).await;
        within("an answer", answer).await.unwrap().status().as_u16()
    };
    assert_eq!(status(&mut http2, "/websockify").await, 400);
    assert_eq!(status(&mut http2, "/websockify?token=unknown").await, 404);
    assert_eq!(status(&mut http2, "/nothing").await, 404);
    console.has_nobody().await;
    assert_eq!(
        status(&mut http2, PATH).await,
        200,
        "the connection is as good as before"
    );
}

#[tokio::test]
async fn a_websocket_over_http2_is_not_offered_where_it_is_switched_off() {
    let (_console, door) = console("http2 = false").await;
    let mut http2 = Http2::open(&door).await;
    assert_eq!(http2.status(Http2::get("/")).await, Some(404));
    assert!(!http2.requests.is_extended_connect_protocol_enabled());
}

#[tokio::test]
async fn consoles_inside_http2_are_connections_of_their_address_and_of_all() {
    for (limit, status) in [
        ("connections-per-address = 3", 429),
        ("connections = 3", 503),
    ] {
        let (console, door) = console(&format!("[limits]\n{limit}")).await;
        let mut http2 = Http2::open(&door).await;
        let first = http2.websocket(PATH).await;
        let second = http2.websocket(PATH).await;
        let mut targets = vec![console.accept().await, console.accept().await];
        let (refused, _stream) = http2.connect(PATH).await;
        let refused = within("an answer", refused).await.unwrap();
        assert_eq!(refused.status(), status, "{limit}");
        assert!(refused.headers().contains_key("retry-after"));
        console.has_nobody().await;
        drop(first);
        let third = until("a place to be free", || {
            let mut http2 = Http2 {
                requests: http2.requests.clone(),
                connection: tokio::spawn(async { Ok(()) }),
            };
            async move {
                let (answer, stream) = http2.connect(PATH).await;
                let answer = within("an answer", answer).await.unwrap();
                (answer.status() == 200).then_some((answer, stream))
            }
        });
        let (third, target) = tokio::join!(third, console.accept());
        targets.push(target);
        drop((second, third));
    }
}

#[tokio::test]
async fn a_stalled_console_ends_its_own_websocket_and_not_the_connection_of_the_page() {
    let console = Backend::tcp().await;
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}path = '/app'\n[bridge]\nupload-buffer = '64KiB'\n{}",
        app.app(),
        console.target("vm")
    ))
    .await;
    let mut page = Http2::open(&door).await;
    let (answer, mut mouse) = page.connect(PATH).await;
    let mut screen = within("an answer", answer).await.unwrap().into_body();
    // It accepts, and never reads.
    let _stalled = console.accept().await;
    // Ten bytes to each frame of HTTP/2, which h2 takes for an attack once some thousands are unread.
    for _ in 0..20 {
        burst(&mut page, &mut mouse, 500).await;
    }
    // Larger ones fill what the kernel and the door keep for the console sooner.
    let frame = Bytes::from(masked(FIN | 2, &[0; 10_000]));
    let flood = async { while send_all(&mut mouse, frame.clone()).await {} };
    let closed = async {
        let mut read = Vec::new();
        while let Some(Ok(piece)) = screen.data().await {
            screen.flow_control().release_capacity(piece.len()).unwrap();
            read.extend_from_slice(&piece);
        }
        Input::new(std::io::Cursor::new(read)).close_code().await
    };
    let ((), code) = within("the end of the WebSocket", async {
        tokio::join!(flood, closed)
    })
    .await;
    assert_eq!(code, 1013);
    // The page goes on in the same connection.
    let (answer, _) = page.begin(Http2::get("/app"), true).await;
    let mut worker = app.accept().await;
    worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(within("an answer", answer).await.unwrap().status(), 200);
    assert!(!page.connection.is_finished());
}

/// Sends that many tiny frames at once, and then asks for something on the same connection.
async fn burst(page: &mut Http2, mouse: &mut SendStream<Bytes>, frames: usize) {
    let frame = Bytes::from(masked(FIN | 2, b"move"));
    for _ in 0..frames {
        assert!(
            send_all(mouse, frame.clone()).await,
            "the stream was closed"
        );
    }
    assert_eq!(page.status(Http2::get("/")).await, Some(404));
}

#[tokio::test]
async fn tiny_frames_that_come_in_bursts_do_not_end_the_connection() {
    let (console, door) = console("").await;
    let mut page = Http2::open(&door).await;
    let (answer, mut mouse) = page.connect(PATH).await;
    let _screen = within("an answer", answer).await.unwrap();
    let mut target = console.accept().await;
    for _ in 0..5 {
        burst(&mut page, &mut mouse, 2_000).await;
        assert_eq!(target.take(8_000).await.len(), 8_000);
    }
}
