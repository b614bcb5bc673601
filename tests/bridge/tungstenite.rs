//! A client that is not ours: tokio-tungstenite opens, talks and closes.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::{PATH, console};
use crate::harness::{pattern, within};

#[tokio::test]
async fn tungstenite_talks_to_a_console_and_closes_in_order() {
    let (console, door) = console("").await;
    let mut request = format!("wss://door.example{PATH}")
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "binary".parse().unwrap());
    let stream = door.tls_stream("http/1.1").await;
    let opened = within(
        "the handshake",
        tokio_tungstenite::client_async(request, stream),
    )
    .await;
    let (mut client, answer) = opened.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "binary");
    let mut target = console.accept().await;
    let sent = pattern(1 << 20);
    let (given, got) = tokio::join!(
        client.send(Message::binary(sent.clone())),
        target.take(sent.len())
    );
    given.unwrap();
    assert!(got == sent, "the bytes are those that were sent");
    target.send("pixels").await;
    let message = within("a message", client.next()).await.unwrap().unwrap();
    assert_eq!(message, Message::binary(&b"pixels"[..]));
    target.output.finish().await;
    let end = within("the close frame", client.next())
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(end, Message::Close(Some(frame)) if u16::from(frame.code) == 1000));
    assert!(
        within("the end", client.next())
            .await
            .is_none_or(|end| end.is_err())
    );
    assert_eq!(target.rest().await, b"");
}
