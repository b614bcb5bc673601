//! Request targets that are no plain path.

use crate::harness::{Backend, Door, Http2, Wire};

use super::reporting_to;

const HOST: &str = "Host: door.example\r\n";

#[tokio::test]
async fn a_target_without_a_path_is_refused_unless_it_is_a_whole_address() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for target in ["http://door.example#x", "#x", "?x"] {
        let request = format!("GET {target} HTTP/1.1\r\n{HOST}\r\n");
        let answer = door.plain().await.ask(&request).await;
        assert_eq!(answer.status, 400, "{target}");
        let answer = door.tls().await.ask(&request).await;
        assert_eq!(answer.status, 400, "{target}");
    }
    app.has_nobody().await;
    let app = reporting_to(app);
    for (target, seen) in [
        ("http://door.example", "/"),
        ("http://door.example?x", "/?x"),
        ("http://door.example?", "/?"),
        ("http://door.example/?x", "/?x"),
        ("http://door.example//a/b", "//a/b"),
        ("//other.example/a", "//other.example/a"),
        ("/?", "/?"),
        ("/?a=/%23", "/?a=/%23"),
        ("/a%23b", "/a%23b"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\n{HOST}\r\n");
        let answer = door.plain().await.ask(&request).await;
        assert_eq!((answer.status, answer.text()), (200, seen), "{target}");
    }
    app.abort();
}

#[tokio::test]
async fn a_path_of_http2_begins_with_a_slash() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for target in ["#x", "?x", "?", "#", "x", "*"] {
        let mut client = Wire::new(door.tls_stream("h2").await);
        client.send(asking_for(target)).await;
        assert!(is_refused(&mut client).await, "{target}");
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn a_path_of_http2_has_no_fragment() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    for target in ["/a#b", "/#", "/a?b#c", "/a#", "//#x", "/a%23#"] {
        for block in [plain_block(target), coded_block(target)] {
            // In as many frames as h2 takes for one head.
            for frames in 1..=5 {
                let cut = block.len().div_ceil(frames);
                let mut client = Wire::new(door.tls_stream("h2").await);
                client.send(connection(&block, cut)).await;
                assert!(is_refused(&mut client).await, "{target} in {frames}");
            }
        }
    }
    app.has_nobody().await;
    let app = reporting_to(app);
    let mut client = Http2::open(&door).await;
    // Two that are fine, on a connection that goes on behind a refused one.
    for path in ["/a", "/a%23b?c"] {
        let (status, text) = client.ask(Http2::get(path)).await;
        assert_eq!((status, text.as_slice()), (200, path.as_bytes()));
    }
    app.abort();
}

/// A connection of HTTP/2 with one request, as no library would send it.
fn asking_for(path: &str) -> Vec<u8> {
    connection(&plain_block(path), 1000)
}

/// The header block of a request as it is.
fn plain_block(path: &str) -> Vec<u8> {
    // The static table has GET as 2, https as 7, and the names of :authority and :path as 1 and 4 (RFC 7541).
    let mut block = vec![0x82, 0x87];
    for (name, value) in [(1, "door.example"), (4, path)] {
        block.extend([name, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    block
}

/// The same with the path in the Huffman code (RFC 7541 Appendix B).
fn coded_block(path: &str) -> Vec<u8> {
    let each = path.chars().map(|sign| match sign {
        '/' => "011000",
        'a' => "00011",
        'b' => "100011",
        'c' => "00100",
        'x' => "1111001",
        '2' => "00010",
        '3' => "011001",
        '%' => "010101",
        '?' => "1111111100",
        '#' => "111111111010",
        _ => panic!("no code for {sign}"),
    });
    let mut bits: String = each.collect();
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    let coded = bits.as_bytes().chunks(8);
    let coded = coded.map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2));
    let coded: Vec<u8> = coded.map(Result::unwrap).collect();
    let mut block = plain_block("/");
    block.truncate(block.len() - 2);
    block.push(0x80 | u8::try_from(coded.len()).unwrap());
    block.extend(coded);
    block
}

/// A connection of HTTP/2 with this header block in frames of so many bytes.
fn connection(block: &[u8], cut: usize) -> Vec<u8> {
    let frame = |kind, flags, stream, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
        frame.extend(payload);
        frame
    };
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    let pieces: Vec<_> = block.chunks(cut).collect();
    for (number, piece) in pieces.iter().enumerate() {
        let kind = if number == 0 { 1 } else { 9 };
        let ends_stream = u8::from(number == 0);
        let ends_block = 4 * u8::from(number + 1 == pieces.len());
        bytes.extend(frame(kind, ends_stream + ends_block, 1, piece));
    }
    bytes
}

/// True if the response is a 400, or the stream is reset.
async fn is_refused(client: &mut Wire) -> bool {
    loop {
        let head = client.take(9).await;
        let length = usize::from(head[1]) * 256 + usize::from(head[2]);
        let payload = client.take(length).await;
        match (head[3], head[8]) {
            // 400 is 12 in the static table.
            (1, 1) => return payload[0] == 0x8c,
            (3, 1) => return true,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_request_behind_an_upgrade_that_was_none_is_not_read_by_halves() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let _app = reporting_to(app);
    let zeros = "0".repeat(300);
    for line in ["Upgrade: websocket", &format!("Content-Length: {zeros}")] {
        let mut client = door.plain().await;
        let ahead = format!("GET /a HTTP/1.1\r\n{HOST}{line}\r\n\r\n");
        client
            .send(ahead.clone() + &Door::get("/b#c", "") + &Door::get("/d", ""))
            .await;
        assert_eq!(client.answer().await.text(), "/a", "{line}");
        assert_eq!(client.answer().await.status, 400, "{line}");
        assert_eq!(client.rest().await, b"", "{line}");
        // One that waits for the answer is served.
        let mut client = door.plain().await;
        for request in [ahead, Door::get("/b", "")] {
            assert_eq!(client.ask(&request).await.status, 200, "{line}");
        }
    }
}

#[tokio::test]
async fn a_fragment_is_refused_on_every_request_of_a_connection() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let app = reporting_to(app);
    let mut client = door.plain().await;
    let body = "GET /b#c HTTP/1.1\r\n\r\n";
    let length = body.len();
    for _ in 0..3 {
        // Text in a body or a header is no target.
        let post = format!(
            "POST /a HTTP/1.1\r\n{HOST}X: GET /b#c HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        assert_eq!(client.ask(&post).await.status, 200);
    }
    assert_eq!(client.ask(&Door::get("/a#b", "")).await.status, 400);
    // Requests that are sent ahead are looked at too, with and without a body.
    let post = format!("POST /a HTTP/1.1\r\n{HOST}Content-Length: {length}\r\n\r\n{body}");
    for ahead in [Door::get("/a", ""), post] {
        for encrypted in [false, true] {
            let mut client = if encrypted {
                door.tls().await
            } else {
                door.plain().await
            };
            let requests = format!("{ahead}{ahead}{}", Door::get("/a?b#c", ""));
            client.send(requests + &Door::get("/d", "")).await;
            for _ in 0..2 {
                assert_eq!(client.answer().await.text(), "/a", "{ahead}");
            }
            assert_eq!(client.answer().await.status, 400, "{ahead}");
            assert_eq!(client.rest().await, b"", "{ahead}");
        }
    }
    app.abort();
}

#[tokio::test]
async fn a_client_of_http_1_0_needs_no_host_and_a_port_may_be_empty() {
    let app = Backend::tcp().await;
    let settings = format!(
        "{}[[app]]\nname = 'other'\nhosts = ['localhost']\nurl = 'http://127.0.0.1:9'\n",
        app.app()
    );
    let door = Door::open(&settings).await;
    for (request, host) in [
        ("GET /health HTTP/1.0\r\n\r\n".to_owned(), "localhost"),
        (
            "GET http://door.example/health HTTP/1.0\r\n\r\n".to_owned(),
            "door.example",
        ),
        (
            "GET /health HTTP/1.1\r\nHost: door.example:\r\n\r\n".to_owned(),
            "door.example",
        ),
        (
            "GET http://door.example:/health HTTP/1.1\r\nHost: door.example\r\n\r\n".to_owned(),
            "door.example",
        ),
    ] {
        for encrypted in [false, true] {
            let mut client = if encrypted {
                door.tls().await
            } else {
                door.plain().await
            };
            client.send(&request).await;
            let mut worker = app.accept().await;
            let head = worker.head().await;
            assert_eq!(head.start, "GET /health HTTP/1.1", "{request}");
            assert_eq!(head.all("host"), [host], "{request}");
            worker
                .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                .await;
            assert_eq!(client.answer().await.status, 200, "{request}");
        }
    }
}

#[tokio::test]
async fn a_list_of_a_handshake_is_one_over_all_its_lines() {
    let (app, console) = (Backend::tcp().await, Backend::tcp().await);
    let door = Door::open(&format!("{}{}", app.app(), console.target("vm"))).await;
    let handshake = |path: &str, lines: &str| {
        format!(
            "GET {path} HTTP/1.1\r\n{HOST}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n{lines}\r\n"
        )
    };
    for lines in [
        "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: WebSocket\r\n",
        "Connection: Upgrade,keep-alive\r\nUpgrade:  h2c ,websocket\r\n",
    ] {
        let request = handshake("/websockify?token=vm", lines);
        let answer = door.plain().await.ask(&request).await;
        assert_eq!(answer.status, 101, "{lines}");
        console.accept().await;
        // The app's own get one line each.
        let mut client = door.plain().await;
        client.send(handshake("/chat", lines)).await;
        let head = app.accept().await.head().await;
        assert_eq!(head.all("connection"), ["upgrade"], "{lines}");
        assert_eq!(head.all("upgrade"), ["websocket"], "{lines}");
    }
    for lines in [
        "Connection: keep-alive\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: websockets\r\n",
        "Connection: Upgrade\r\n",
        "Connection: Upgraded\r\nUpgrade: websocket\r\n",
    ] {
        let request = handshake("/websockify?token=vm", lines);
        let answer = door.plain().await.ask(&request).await;
        assert_eq!(answer.status, 426, "{lines}");
    }
}
