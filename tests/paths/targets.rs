//! Request targets that are no plain path.

use crate::harness::{Backend, Door, Wire};

use super::telling;

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
    let app = telling(app);
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

/// A connection of HTTP/2 with one request, as no library would send it.
fn asking_for(path: &str) -> Vec<u8> {
    // The static table has GET as 2, https as 7, and the names of :authority and :path as 1 and 4 (RFC 7541).
    let mut block = vec![0x82, 0x87];
    for (name, value) in [(1, "door.example"), (4, path)] {
        block.extend([name, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    let frame = |kind, flags, stream, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
        frame.extend(payload);
        frame
    };
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes.extend(frame(1, 5, 1, &block));
    bytes
}

/// Whether the answer is a 400, or the stream is reset.
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
