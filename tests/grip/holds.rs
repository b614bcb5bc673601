//! Streams and responses that wait.

use jsonwebtoken::{DecodingKey, Validation, decode};
use serde_json::{Value, json};

use super::{KEY, answer, fixture};
use tokio::net::TcpStream;

use crate::harness::{Door, Wire, until, within};

#[tokio::test]
async fn the_app_gets_a_signature_and_nothing_of_grip_from_a_client() {
    let fixture = fixture("", "issuer = 'door'\n", "").await;
    let mut client = fixture.door.plain().await;
    let claims = "Grip-Sig: x\r\nGrip_Sig: x\r\nGrip-Last: a; last-id=1\r\nConnection-Id: 1\r\nMeta-User: root\r\n\
                  Accept-Encoding: gzip\r\nX-Other: stays\r\n";
    client.send(Door::get("/", claims)).await;
    let mut app = fixture.app.accept().await;
    let head = app.head().await;
    for name in [
        "grip_sig",
        "grip-last",
        "connection-id",
        "meta-user",
        "accept-encoding",
    ] {
        assert_eq!(head.all(name), [""; 0], "{name}");
    }
    assert_eq!(head.one("x-other"), Some("stays"));
    assert!(
        head.one("grip-feature")
            .unwrap()
            .starts_with("status, session, link:next, link:gone, filter:")
    );
    let mut validation = Validation::default();
    validation.set_required_spec_claims(&["exp"]);
    let key = DecodingKey::from_base64_secret(KEY).unwrap();
    let signed = decode::<Value>(head.one("grip-sig").unwrap(), &key, &validation).unwrap();
    assert_eq!(signed.claims["iss"], "door");
    answer(&mut app, "Content-Type: text/plain\r\n", "as ever").await;
    assert_eq!(client.answer().await.text(), "as ever");
}

#[tokio::test]
async fn a_held_stream_frees_the_worker_and_gets_messages_until_it_is_closed() {
    let fixture = fixture("workers = 1\n", "", "").await;
    let lines =
        "Content-Type: text/plain\r\nGrip-Hold: stream\r\nGrip-Channel: room\r\nX-Own: yes\r\n";
    let (mut client, mut app) = fixture.hold(lines, "welcome\n").await;
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    assert_eq!(head.one("x-own"), Some("yes"));
    assert!(
        head.lines().iter().all(|line| !line.starts_with("grip-")),
        "{head:?}"
    );
    assert_eq!(client.input.chunk().await, b"welcome\n");

    let mut other = fixture.door.plain().await;
    other.send(Door::get("/other", "")).await;
    let asked = app.head().await;
    assert_eq!(asked.start, "GET /other HTTP/1.1");
    answer(&mut app, "", "served").await;
    assert_eq!(other.answer().await.text(), "served");

    fixture.say("one\n").await;
    assert_eq!(client.input.chunk().await, b"one\n");
    fixture
        .publish(json!({"channel": "hall", "http-stream": {"content": "elsewhere"}}))
        .await;
    fixture
        .publish(json!({"channel": "room", "http-stream": {"content-bin": "AP8="}}))
        .await;
    assert_eq!(client.input.chunk().await, [0, 255]);
    fixture
        .publish(json!({"channel": "room", "http-stream": {"action": "close"}}))
        .await;
    assert_eq!(client.input.chunk().await, b"");
}

#[tokio::test]
async fn a_held_response_is_the_first_message() {
    let fixture = fixture("", "", "").await;
    let item = json!({"code": 201, "headers": {"X-New": "1"}, "body": "made"});
    let patch = json!({"body-patch": [{"op": "replace", "path": "/n", "value": 2}]});
    for (id, (form, status, body)) in [(item, 201, "made"), (patch, 200, "{\"n\":2}\n")]
        .into_iter()
        .enumerate()
    {
        // Whichever comes first, the message or the client: the history has it.
        let lines = format!(
            "Content-Type: application/json\r\nGrip-Hold: response\r\n\
             Grip-Channel: room; prev-id={id}\r\nX-Own: yes\r\n"
        );
        let (mut client, _app) = fixture.hold(&lines, "{\"n\": 1}\n").await;
        let (id, previous) = ((id + 1).to_string(), id.to_string());
        fixture
            .publish(
                json!({"channel": "room", "id": id, "prev-id": previous, "http-response": form}),
            )
            .await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text()), (status, body));
        assert_eq!(answer.head.one("x-own"), Some("yes"));
        assert_eq!(
            answer.head.one("content-length"),
            Some(body.len().to_string().as_str())
        );
    }
}

#[tokio::test]
async fn an_instruction_in_the_body_is_followed() {
    let fixture = fixture("", "", "").await;
    let instruct = json!({
        "hold": {"mode": "stream", "channels": [{"name": "room"}]},
        "response": {"code": 203, "headers": {"X-Own": "yes"}, "body-bin": "d2VsY29tZQ=="}
    });
    let lines = "Content-Type: application/grip-instruct\r\n";
    let (mut client, _app) = fixture.hold(lines, &instruct.to_string()).await;
    let head = client.head().await;
    assert_eq!((head.status(), head.one("x-own")), (203, Some("yes")));
    assert_eq!(head.one("content-type"), None);
    assert_eq!(client.input.chunk().await, b"welcome");
    fixture.say("one").await;
    assert_eq!(client.input.chunk().await, b"one");
}

#[tokio::test]
async fn a_filter_leaves_out_or_changes_a_message() {
    let fixture = fixture("", "", "").await;
    let lines = "Grip-Hold: stream\r\nGrip-Channel: room; filter=skip-users; filter=var-subst\r\n\
                 Grip-Set-Meta: user=\"ann\", town=\"Mons\"\r\n";
    let (mut client, _app) = fixture.hold(lines, "").await;
    assert_eq!(client.head().await.status(), 200);
    let stream = json!({"content": "%(town)s 100%%", "content-filters": ["var-subst"]});
    let skipped = json!({"skip_users": "bob,ann"});
    fixture
        .publish(json!({"channel": "room", "meta": skipped, "http-stream": {"content": "not her"}}))
        .await;
    fixture
        .publish(json!({"channel": "room", "http-stream": {"content": "without its filter"}}))
        .await;
    fixture
        .publish(json!({"channel": "room", "http-stream": stream}))
        .await;
    assert_eq!(client.input.chunk().await, b"Mons 100%");
}

#[tokio::test]
async fn an_instruction_that_cannot_be_followed_is_502_and_shows_nothing() {
    let fixture = fixture("", "", "").await;
    for lines in [
        "Grip-Hold: forever\r\nGrip-Channel: room\r\n",
        "Grip-Hold: stream\r\n",
        "Grip-Hold: stream\r\nGrip-Channel: room; filter=skip-user\r\n",
        "Grip-Hold: stream\r\nGrip-Channel: room; prev-id=1\r\n",
        "Grip-Hold: stream\r\nGrip-Channel: room; filter=build-id\r\n",
        "Grip-Hold: stream\r\nGrip-Channel: room; x=\"open\r\n",
        "Grip-Hold: response\r\nGrip-Channel: room\r\nGrip-Timeout: soon\r\n",
        "Grip-Hold: stream\r\nGrip-Channel: room\r\nGrip-Keep-Alive: \\q; format=cstring\r\n",
        "Grip-Hold: stream\r\nGrip-Channel: room\r\nGrip-Link: /next; rel=next\r\n",
        "Grip-Status: 42\r\n",
        "Content-Type: application/grip-instruct\r\n",
    ] {
        let lines = format!("{lines}Connection: close\r\n");
        let (mut client, _app) = fixture.hold(&lines, "secret").await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 502, "{lines}");
        assert!(!answer.text().contains("secret"), "{lines}");
        assert!(
            answer
                .head
                .lines()
                .iter()
                .all(|line| !line.starts_with("grip-")),
            "{lines}"
        );
    }
}

#[tokio::test]
async fn a_status_and_hidden_headers_are_as_the_instruction_says() {
    let fixture = fixture("", "", "").await;
    let lines = "Grip-Status: 304 Not Modified\r\nGrip-Expose-Headers: X-Seen\r\nX-Seen: 1\r\nX-Hidden: 1\r\n";
    let (mut client, _app) = fixture.hold(lines, "").await;
    let head = client.head().await;
    assert_eq!(
        (head.status(), head.one("x-seen"), head.one("x-hidden")),
        (304, Some("1"), None)
    );
}

#[tokio::test]
async fn a_heartbeat_is_sent_while_nothing_else_is() {
    let fixture = fixture("", "", "").await;
    let lines = "Grip-Hold: stream\r\nGrip-Channel: room\r\nGrip-Keep-Alive: :\\n; format=cstring; timeout=1\r\n";
    let (mut client, _app) = fixture.hold(lines, "").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.input.chunk().await, b":\n");
    assert_eq!(client.input.chunk().await, b":\n");
}

#[tokio::test]
async fn a_held_response_is_given_when_the_server_stops_and_the_app_is_not_asked_again() {
    let fixture = fixture("", "", "[admin]\naddress = '127.0.0.1:0'\n").await;
    let lines = "Grip-Hold: response\r\nGrip-Channel: room\r\nX-Own: yes\r\n";
    let (mut client, mut app) = fixture.hold(lines, "nothing yet").await;
    until("the client to be held", async || {
        let mut probe = Wire::new(TcpStream::connect(fixture.door.admin?).await.ok()?);
        let metrics = probe.ask(&Door::get("/metrics", "")).await;
        metrics
            .text()
            .contains("noren_channel_subscribers 1")
            .then_some(())
    })
    .await;
    let stopped = fixture.door.stop();
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text()), (200, "nothing yet"));
    assert_eq!(answer.head.one("x-own"), Some("yes"));
    assert_eq!(within("the end", stopped).await.unwrap().left, 0);
    assert_eq!(within("the end", app.rest()).await, b"");
}
