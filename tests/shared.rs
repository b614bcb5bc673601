//! Serial consoles for several: the guest has one connection, whoever comes, leaves, types, sleeps or is thrown out.
//! The tests play guest and viewers byte by byte; pages in a browser are in `real_wok`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod endings;
mod keyboard;
mod presence;
mod rights;
mod slow;

use tempfile::TempDir;

use crate::harness::{Answer, BINARY, Backend, CLOSE, Door, Wire, binary, until};

/// The guest's UNIX socket, and a door that shares what comes from it.
struct Serial {
    guest: Backend,
    door: Door,
    _directory: TempDir,
}

impl Serial {
    /// A guest whose viewers share its connection by these settings, with further tables of the configuration.
    async fn open(shared: &str, tables: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let guest = Backend::unix(&directory.path().join("vm"));
        let target = guest.target("vm");
        let door = Door::open(&format!("{tables}\n{target}shared = {{ {shared} }}\n")).await;
        Self {
            guest,
            door,
            _directory: directory,
        }
    }

    /// One more viewer, who types nothing yet.
    async fn view(&self) -> Wire {
        self.view_as("").await
    }

    /// The same with further parameters of the address.
    async fn view_as(&self, parameters: &str) -> Wire {
        let path = format!("/websockify?token=vm{parameters}");
        self.door.websocket(&path).await
    }

    /// A request that is no WebSocket, with these lines.
    async fn ask(&self, method: &str, parameters: &str, lines: &str) -> Answer {
        let request = format!(
            "{method} /websockify?token=vm{parameters} HTTP/1.1\r\nHost: door.example\r\n\
             Content-Length: 0\r\n{lines}\r\n"
        );
        self.door.tls().await.ask(&request).await
    }

    /// The viewers of the console.
    async fn presence(&self, parameters: &str) -> serde_json::Value {
        let answer = self
            .ask("GET", parameters, "Accept: application/json\r\n")
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Waits until so many viewers are there.
    async fn has_viewers(&self, count: usize) {
        until("the viewers to come and go", || async {
            let presence = self.presence("").await;
            (presence["viewers"].as_array().unwrap().len() == count).then_some(())
        })
        .await;
    }
}

/// Sends keys of a viewer.
async fn keys(viewer: &mut Wire, text: &str) {
    viewer.send(binary(text.as_bytes())).await;
}

/// The output until it ends with this text.
async fn output_until(viewer: &mut Wire, end: &str) -> String {
    let mut read = Vec::new();
    loop {
        let frame = viewer.frame().await;
        assert_eq!(
            frame.opcode,
            BINARY,
            "{frame:?} after {:?}",
            String::from_utf8_lossy(&read)
        );
        read.extend(frame.payload);
        if read.ends_with(end.as_bytes()) {
            return String::from_utf8(read).unwrap();
        }
    }
}

/// The code and the reason of the close frame that comes behind output.
async fn closed(viewer: &mut Wire) -> (u16, String) {
    loop {
        let frame = viewer.frame().await;
        if frame.opcode == CLOSE {
            let code = u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
            return (
                code,
                String::from_utf8(frame.payload[2..].to_vec()).unwrap(),
            );
        }
    }
}

#[tokio::test]
async fn all_who_come_at_once_see_one_guest_that_is_connected_once() {
    let serial = Serial::open("", "").await;
    let (first, second, third) = tokio::join!(serial.view(), serial.view(), serial.view());
    let mut viewers = [first, second, third];
    let mut guest = serial.guest.accept().await;
    guest.send("login: ").await;
    for viewer in &mut viewers {
        assert_eq!(output_until(viewer, "login: ").await, "login: ");
    }
    serial.guest.has_nobody().await;
}

#[tokio::test]
async fn who_comes_later_gets_the_last_lines_and_who_comes_back_finds_the_same_connection() {
    let serial = Serial::open("scrollback = '1KiB', lag = '4KiB', linger = '1h'", "").await;
    let mut first = serial.view().await;
    let mut guest = serial.guest.accept().await;
    let lines: Vec<_> = (0..200)
        .map(|line| format!("line {line} \u{20ac}\r\n"))
        .collect();
    let lines = lines.concat();
    guest.send(&lines).await;
    assert_eq!(
        output_until(&mut first, "line 199 \u{20ac}\r\n").await,
        lines
    );
    let mut second = serial.view().await;
    let seen = output_until(&mut second, "line 199 \u{20ac}\r\n").await;
    assert!(
        seen.starts_with("line 1") && seen.len() > 900 && seen.len() <= 1024,
        "{seen}"
    );
    drop(first);
    drop(second);
    serial.has_viewers(0).await;
    guest.send("meanwhile\r\n").await;
    let mut third = serial.view().await;
    let seen = output_until(&mut third, "meanwhile\r\n").await;
    assert!(seen.contains("line 199"), "{seen}");
    keys(&mut third, "x").await;
    assert_eq!(guest.take(1).await, b"x");
    serial.guest.has_nobody().await;
}

#[tokio::test]
async fn the_page_of_kimchi_shares_too_with_its_own_subprotocol() {
    let serial = Serial::open("typing = 'all'", "").await;
    let mut page = serial.door.tls().await;
    let lines = "Sec-WebSocket-Protocol: base64\r\n";
    let answer = page
        .ask(&Door::handshake("/websockify?token=vm", lines))
        .await;
    assert_eq!(answer.status, 101);
    let mut other = serial.view().await;
    let mut guest = serial.guest.accept().await;
    guest.send("#").await;
    let frame = page.frame().await;
    assert_eq!(
        (frame.opcode, frame.payload),
        (crate::harness::TEXT, b"Iw==".to_vec())
    );
    assert_eq!(output_until(&mut other, "#").await, "#");
    page.send(crate::harness::masked(
        crate::harness::FIN | crate::harness::TEXT,
        b"eA==",
    ))
    .await;
    assert_eq!(guest.take(1).await, b"x");
    keys(&mut other, "y").await;
    assert_eq!(guest.take(1).await, b"y");
}

#[tokio::test]
async fn two_tokens_of_one_socket_are_one_console() {
    let directory = tempfile::tempdir().unwrap();
    let guest = Backend::unix(&directory.path().join("vm"));
    let targets = [guest.target("a"), guest.target("b")];
    let door = Door::open(&format!(
        "[bridge.shared]\nenabled = true\n{}{}",
        targets[0], targets[1]
    ))
    .await;
    let mut a = door.websocket("/websockify?token=a").await;
    let mut b = door.websocket("/websockify?token=b").await;
    let mut wire = guest.accept().await;
    wire.send("x").await;
    assert_eq!(output_until(&mut a, "x").await, "x");
    assert_eq!(output_until(&mut b, "x").await, "x");
    guest.has_nobody().await;
}

#[tokio::test]
async fn more_viewers_than_the_limit_are_refused_and_a_dead_guest_is_no_websocket() {
    let serial = Serial::open("viewer-limit = 1", "").await;
    let _first = serial.view().await;
    let path = "/websockify?token=vm";
    let answer = serial
        .door
        .tls()
        .await
        .ask(&Door::handshake(path, ""))
        .await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        answer.text().contains("as many viewers"),
        "{}",
        answer.text()
    );

    let dead = Door::open(
        "[[bridge.target]]\ntoken = 'vm'\naddress = 'unix:/nonexistent/vm'\nshared = {}\n",
    )
    .await;
    for _ in 0..2 {
        let answer = dead.tls().await.ask(&Door::handshake(path, "")).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
    }
}
