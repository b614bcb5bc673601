//! The viewers of a console: for those on it, for the operator, and in the log.

use super::{Serial, closed, keys, output_until};
use crate::harness::{Backend, Door, Http2, until, within};

/// The admin socket's answer to a request.
async fn admin(socket: &std::path::Path, request: &str) -> crate::harness::Answer {
    let stream = tokio::net::UnixStream::connect(socket).await.unwrap();
    let mut wire = crate::harness::Wire::new(stream);
    wire.ask(&format!(
        "{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    ))
    .await
}

#[tokio::test]
async fn a_page_reads_who_is_there_and_hears_of_each_change() {
    let serial = Serial::open("", "").await;
    // Nobody is, and asking opens nothing.
    let presence = serial.presence("").await;
    assert_eq!(
        presence,
        serde_json::json!({"typing": "first", "connected": false, "viewers": []})
    );
    serial.guest.has_nobody().await;

    let mut first = serial.view_as("&viewer=me").await;
    let guest = serial.guest.accept().await;
    let mut events = serial.door.tls().await;
    events
        .send(Door::get(
            "/websockify?token=vm&viewer=me",
            "Accept: text/event-stream\r\n",
        ))
        .await;
    let head = events.head().await;
    assert_eq!(
        (head.status(), head.one("content-type")),
        (200, Some("text/event-stream"))
    );
    let event = events.input.chunk().await;
    let event = String::from_utf8(event).unwrap();
    let data = event
        .strip_prefix("event: presence\ndata: ")
        .unwrap()
        .trim_end();
    let presence: serde_json::Value = serde_json::from_str(data).unwrap();
    let me = &presence["viewers"][0];
    assert_eq!(
        (&me["you"], &me["types"], &me["user"]),
        (&true.into(), &true.into(), &serde_json::Value::Null)
    );
    let second = serial.view().await;
    let event = String::from_utf8(events.input.chunk().await).unwrap();
    assert!(event.contains("\"number\":2"), "{event}");
    drop(second);
    let event = String::from_utf8(events.input.chunk().await).unwrap();
    assert!(!event.contains("\"number\":2"), "{event}");
    // It ends with the console.
    drop(guest);
    output_until(&mut first, "for it]\r\n").await;
    let event = String::from_utf8(events.input.chunk().await).unwrap();
    assert!(event.contains("\"connected\":false"), "{event}");
}

#[tokio::test]
async fn a_page_of_another_site_and_a_wrong_token_learn_nothing() {
    let serial = Serial::open("", "").await;
    let accept = "Accept: application/json\r\n";
    let refused = serial
        .ask(
            "GET",
            "",
            &format!("{accept}Origin: https://evil.example\r\n"),
        )
        .await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let mut wire = serial.door.tls().await;
    let refused = wire
        .ask(&Door::get("/websockify?token=other", accept))
        .await;
    assert_eq!(refused.status, 404, "{}", refused.text());
    // Without a word about what is wanted it is a WebSocket that is missing, as everywhere.
    let refused = serial.ask("GET", "", "").await;
    assert_ne!(refused.status, 200);
    // Consoles that are not shared have none.
    let plain = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}[bridge.shared]\nenabled = true\nconsoles = 'serial'\n",
        plain.target("vm")
    ))
    .await;
    let refused = door
        .tls()
        .await
        .ask(&Door::get("/websockify?token=vm", accept))
        .await;
    assert_eq!(refused.status, 404, "{}", refused.text());
    plain.has_nobody().await;
}

#[tokio::test]
async fn lines_tell_viewers_of_each_other_where_the_configuration_says_so() {
    let serial = Serial::open("announce = true", "").await;
    let mut first = serial.view().await;
    let mut guest = serial.guest.accept().await;
    output_until(
        &mut first,
        "[noren: viewer 1 has come; 1 viewer, viewer 1 types]\r\n",
    )
    .await;
    // Not in the middle of a control sequence.
    guest.send("a\x1b[3").await;
    output_until(&mut first, "a\x1b[3").await;
    let second = serial.view().await;
    serial.has_viewers(2).await;
    guest.send("1mb").await;
    let seen = output_until(&mut first, "viewer 1 types]\r\n").await;
    assert!(
        seen.starts_with("1mb\r\n\x1b[0m[noren: viewer 2 has come"),
        "{seen:?}"
    );
    drop(second);
    output_until(
        &mut first,
        "[noren: viewer 2 has left; 1 viewer, viewer 1 types]\r\n",
    )
    .await;
}

#[tokio::test]
async fn the_operator_sees_consoles_hands_the_keyboard_over_and_closes_them() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("admin.sock");
    let tables = format!("[admin]\nsocket = '{}'\n", socket.display());
    let serial = Serial::open("", &tables).await;
    let mut first = serial.view().await;
    let mut guest = serial.guest.accept().await;
    let mut second = serial.view().await;
    guest.send("hello").await;
    output_until(&mut second, "hello").await;
    let status = async || {
        let answer = admin(&socket, "GET /status").await;
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()
    };
    let shown = status().await;
    let console = &shown["consoles"][0];
    assert_eq!(
        (&console["viewers"], &console["typing"]),
        (&2.into(), &"first".into())
    );
    assert_eq!(
        (&console["received"], &console["kept"]),
        (&5.into(), &5.into())
    );
    let (one, two) = (&shown["tunnels"][0], &shown["tunnels"][1]);
    assert_eq!(console["typist"], one["id"]);
    assert_eq!(
        (&one["shared"]["types"], &two["shared"]["types"]),
        (&true.into(), &false.into())
    );
    assert_eq!(one["shared"]["viewers"], 2);

    let handed = admin(&socket, &format!("POST /keyboard/t{}", two["id"])).await;
    assert_eq!(handed.status, 200, "{}", handed.text());
    keys(&mut second, "mine").await;
    assert_eq!(guest.take(4).await, b"mine");
    let shown = status().await;
    assert_eq!(shown["consoles"][0]["typist"], shown["tunnels"][1]["id"]);
    for (what, status) in [("t999", 404), ("s1", 400)] {
        let refused = admin(&socket, &format!("POST /keyboard/{what}")).await;
        assert_eq!(refused.status, status, "{what}");
    }
    // One tunnel is one viewer; the console is all of them, and the guest's connection.
    let closing = admin(&socket, &format!("POST /close/t{}", one["id"])).await;
    assert_eq!(closing.status, 200);
    assert_eq!(closed(&mut first).await.0, 4403);
    guest.send("still").await;
    output_until(&mut second, "still").await;
    let closing = admin(&socket, &format!("POST /close/c{}", console["id"])).await;
    assert_eq!(closing.status, 200, "{}", closing.text());
    assert_eq!(closed(&mut second).await.0, 4403);
    assert_eq!(guest.rest().await, b"");
    until("the console to be gone", || async {
        (status().await["consoles"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn lines_about_viewers_do_not_pile_up_behind_a_sequence_that_the_guest_does_not_end() {
    let serial = Serial::open("announce = true", "").await;
    let mut first = serial.view().await;
    let mut guest = serial.guest.accept().await;
    output_until(&mut first, "viewer 1 types]\r\n").await;
    guest.send("a\x1b[3").await;
    output_until(&mut first, "a\x1b[3").await;
    for _ in 0..60 {
        drop(serial.view().await);
    }
    serial.has_viewers(1).await;
    guest.send("1mb").await;
    let told = output_until(&mut first, "61 has left; 1 viewer, viewer 1 types]\r\n").await;
    assert!(told.starts_with("1mb\r\n"), "{told:?}");
    // Of 120 lines with more than 7,000 bytes.
    assert!(told.len() < 3000, "{} bytes", told.len());
}

#[tokio::test]
async fn a_keyboard_that_is_passed_around_is_told_at_a_pace() {
    let serial = Serial::open("typing = 'one'", "").await;
    let mut viewer = serial.view_as("&viewer=me").await;
    let guest = serial.guest.accept().await;
    let mut events = serial.door.tls().await;
    let begun = std::time::Instant::now();
    let request = Door::get("/websockify?token=vm", "Accept: text/event-stream\r\n");
    events.send(request).await;
    events.head().await;
    let mut pages = serial.door.tls().await;
    for _ in 0..100 {
        for keyboard in ["give", "take"] {
            let answer = pages
                .ask(&format!(
                    "POST /websockify?token=vm&viewer=me&keyboard={keyboard} HTTP/1.1\r\nHost: door.example\r\n\
                     Content-Length: 0\r\n\r\n"
                ))
                .await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    drop(guest);
    output_until(&mut viewer, "for it]\r\n").await;
    let mut count = 0;
    loop {
        let event = String::from_utf8(events.input.chunk().await).unwrap();
        count += 1;
        if event.contains("\"connected\":false") {
            break;
        }
    }
    let most = begun.elapsed().as_millis() / 100 + 2;
    assert!(count <= most, "{count} events, and {most} at most");
}

#[tokio::test]
async fn a_stream_of_presence_inside_of_http2_is_a_connection_of_its_address() {
    let serial = Serial::open("", "[limits]\nconnections-per-address = 3\n").await;
    let mut http2 = Http2::open(&serial.door).await;
    let _viewer = http2.websocket("/websockify?token=vm").await;
    let _guest = serial.guest.accept().await;
    let request = || {
        let mut request = Http2::get("/websockify?token=vm");
        let accept = http::HeaderValue::from_static("text/event-stream");
        request.headers_mut().insert(http::header::ACCEPT, accept);
        request
    };
    let (first, _) = http2.begin(request(), true).await;
    let first = within("an answer", first).await.unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(http2.status(request()).await, Some(429));
}
