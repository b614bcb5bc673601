//! Tests of open connections: listed in the status, and closed from there.

use super::{Fixture, object};
use crate::harness::{Backend, CLOSE, binary, until};

/// A POST without a body to the admin socket.
fn post(target: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn a_tunnel_is_in_the_status_with_target_peer_and_bytes_and_can_be_closed() {
    let console = Backend::tcp().await;
    let fixture = Fixture::open(&console.target("c")).await;
    let mut client = fixture.door.websocket("/websockify?token=c").await;
    let mut target = console.accept().await;
    client.send(binary(b"keys")).await;
    assert_eq!(target.take(4).await, b"keys");
    let tunnel = until("the bytes to be told", || async {
        let status = object(&fixture.get("/status").await);
        assert_eq!(status["tunnel_count"], 1);
        (status["tunnels"][0]["up"] == 4).then(|| status["tunnels"][0].clone())
    })
    .await;
    assert_eq!(tunnel["kind"], "console");
    assert_eq!(tunnel["target"], console.address());
    assert!(tunnel["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(tunnel["since"].as_u64().unwrap() > 1_700_000_000_000);
    let id = tunnel["id"].as_u64().unwrap();
    let answer = fixture.ask(&post(&format!("/close/t{id}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let closed = object(&answer)["closed"][0].as_str().unwrap().to_owned();
    assert!(closed.starts_with(&format!("t{id} to ")), "{closed}");
    let frame = client.frame().await;
    assert_eq!(frame.opcode, CLOSE);
    assert_eq!(frame.payload, b"\x11\x33closed by an administrator");
    assert_eq!(target.rest().await, b"");
    until("the tunnel to be gone", || async {
        (object(&fixture.get("/status").await)["tunnel_count"] == 0).then_some(())
    })
    .await;
    assert_eq!(
        fixture.ask(&post(&format!("/close/t{id}"))).await.status,
        404
    );
}

#[tokio::test]
async fn subscribers_are_in_the_status_by_transport_and_can_be_closed() {
    let fixture = Fixture::open("[[channel]]\nname = 'job.*'\n").await;
    let mut socket = fixture.door.websocket("/events/job.1,job.2").await;
    socket.frame().await;
    let mut stream = fixture.door.tls().await;
    stream
        .send(crate::harness::Door::get(
            "/events/job.1",
            "Accept: text/event-stream\r\n",
        ))
        .await;
    assert_eq!(stream.head().await.status(), 200);
    stream.input.chunk().await;
    let status = object(&fixture.get("/status").await);
    assert_eq!(status["subscribers"], 2);
    let subscriptions = status["subscriptions"].as_array().unwrap();
    let row = |transport| {
        subscriptions
            .iter()
            .find(|row| row["transport"] == transport)
            .unwrap()
    };
    assert_eq!(
        row("websocket")["channels"],
        serde_json::json!(["job.1", "job.2"])
    );
    assert_eq!(row("event stream")["behind"], 0);
    for transport in ["websocket", "event stream"] {
        let id = row(transport)["id"].as_u64().unwrap();
        let answer = fixture.ask(&post(&format!("/close/s{id}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(
        socket.frame().await.payload,
        b"\x11\x33closed by an administrator"
    );
    let last = String::from_utf8(stream.input.chunk().await).unwrap();
    assert_eq!(last, ": closed by an administrator\n\n");
    until("the subscribers to be gone", || async {
        (object(&fixture.get("/status").await)["subscribers"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_status_has_at_most_the_rows_that_were_asked_for_and_whole_counts() {
    let fixture = Fixture::open("[[channel]]\nname = 'wok'\n").await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let mut socket = fixture.door.websocket("/events/wok").await;
        socket.frame().await;
        sockets.push(socket);
    }
    let status = object(&fixture.get("/status?rows=2").await);
    assert_eq!(status["subscriptions"].as_array().unwrap().len(), 2);
    assert_eq!(status["subscription_count"], 3);
    for wrong in ["/close/x", "/close/t", "/close/7"] {
        let answer = fixture.ask(&post(wrong)).await;
        assert!(
            answer.status == 400 || answer.status == 404,
            "{wrong}: {}",
            answer.text()
        );
    }
    let answer = fixture.ask(&post("/close/user=nobody")).await;
    assert_eq!(object(&answer)["closed"], serde_json::json!([]));
}
