//! `channel-path`: the app is asked about each channel, with the visitor's own session.

use super::{App, COOK, kitchen, knock};
use crate::harness::{CLOSE, Door};

const SETTINGS: &str = "allow-cache = '0s'\ninterval = '10ms'\nchannel-path = '/may/{channel}'\n\
    [[channel]]\nname = 'nova.*'\npresence = true\n";

async fn house() -> (App, Door) {
    let (app, _console, door) = kitchen(SETTINGS).await;
    app.answers("/may/nova.theirs", "403 Forbidden\r\n");
    app.answers("/may/nova.unknown", "404 Not Found\r\n");
    (app, door)
}

#[tokio::test]
async fn a_visitor_listens_to_what_the_app_grants_and_to_nothing_beside_it() {
    let (app, door) = house().await;
    for (path, status) in [
        ("/events/nova.mine", 101),
        ("/events/nova.theirs", 403),
        ("/events/nova.unknown", 403),
        ("/events/nova.mine,nova.theirs", 403),
        ("/events/nova.theirs,nova.mine", 403),
        ("/events/sockjs/nova.theirs/websocket", 403),
    ] {
        assert_eq!(knock(&door, path, COOK).await.status, status, "{path}");
    }
    for (path, status) in [
        ("/events/nova.mine", 200),
        ("/events/nova.theirs", 403),
        ("/events/nova.theirs/presence", 403),
    ] {
        for accept in ["text/event-stream", "text/html", "*/*"] {
            let mut wire = door.tls().await;
            wire.send(Door::get(path, &format!("{COOK}Accept: {accept}\r\n")))
                .await;
            assert_eq!(wire.head().await.status(), status, "{path} {accept}");
        }
    }
    assert!(app.asked("/may/nova.mine") > 0);
}

#[tokio::test]
async fn without_a_session_no_channel_is_asked_about() {
    let (app, door) = house().await;
    app.answers("/tasks", "401 Unauthorized\r\n");
    assert_eq!(knock(&door, "/events/nova.mine", COOK).await.status, 401);
    assert_eq!(app.asked("/may/nova.mine"), 0);
}

#[tokio::test]
async fn what_is_open_is_closed_when_one_of_its_channels_is_not_granted_any_more() {
    let (app, door) = house().await;
    let mut client = door.tls().await;
    let handshake = Door::handshake("/events/nova.a,nova.b", COOK);
    assert_eq!(client.ask(&handshake).await.status, 101);
    app.answers("/may/nova.b", "403 Forbidden\r\n");
    let last = loop {
        let frame = client.frame().await;
        if frame.opcode == CLOSE {
            break frame;
        }
    };
    assert_eq!(last.payload[..2], 4401_u16.to_be_bytes());
}
