//! The viewers whose keys reach the guest, and the ways that the keyboard passes from one viewer to another.

use super::{Serial, keys, output_until};
use crate::harness::Wire;

/// Sends keys of one that may not type, and then of one that may; the guest gets the second only.
async fn only_types(
    serial: &Serial,
    guest: &mut Wire,
    silent: &mut Wire,
    typist: &mut Wire,
    text: &str,
) {
    keys(silent, "NO").await;
    // The echo shows that the door has read what was sent before it.
    silent
        .send(crate::harness::masked(
            crate::harness::FIN | crate::harness::PING,
            b"?",
        ))
        .await;
    while silent.frame().await.opcode != crate::harness::PONG {}
    keys(typist, text).await;
    assert_eq!(guest.take(text.len()).await, text.as_bytes());
    serial.guest.has_nobody().await;
}

#[tokio::test]
async fn the_first_types_and_when_it_leaves_the_next() {
    let serial = Serial::open("", "").await;
    let mut first = serial.view().await;
    let mut guest = serial.guest.accept().await;
    let mut second = serial.view().await;
    only_types(&serial, &mut guest, &mut second, &mut first, "first").await;
    drop(first);
    serial.has_viewers(1).await;
    let mut third = serial.view().await;
    only_types(&serial, &mut guest, &mut third, &mut second, "second").await;
}

#[tokio::test]
async fn everybody_types_or_nobody() {
    let serial = Serial::open("typing = 'all'", "").await;
    let mut viewers = [serial.view().await, serial.view().await];
    let mut guest = serial.guest.accept().await;
    for (viewer, text) in viewers.iter_mut().zip(["a", "b"]) {
        keys(viewer, text).await;
        assert_eq!(guest.take(1).await, text.as_bytes());
    }
    let serial = Serial::open("typing = 'none', linger = '0s'", "").await;
    let mut viewer = serial.view().await;
    let mut guest = serial.guest.accept().await;
    guest.send("#").await;
    keys(&mut viewer, "NO").await;
    output_until(&mut viewer, "#").await;
    viewer
        .send(crate::harness::masked(
            crate::harness::FIN | crate::harness::CLOSE,
            &[],
        ))
        .await;
    assert_eq!(guest.rest().await, b"", "nothing was typed");
}

#[tokio::test]
async fn a_stock_page_takes_the_keyboard_by_typing_once_the_other_is_silent() {
    let serial = Serial::open("typing = 'one', hold = '100ms'", "").await;
    let mut first = serial.view().await;
    let mut guest = serial.guest.accept().await;
    let mut second = serial.view().await;
    keys(&mut first, "a").await;
    assert_eq!(guest.take(1).await, b"a");
    // It gets through at last, whenever the hold is over.
    loop {
        keys(&mut second, "b").await;
        if serial.presence("").await["viewers"][1]["types"] == true {
            break;
        }
    }
    assert_eq!(guest.take(1).await, b"b");
}

#[tokio::test]
async fn a_page_that_knows_asks_for_the_keyboard_and_gives_it_away() {
    let serial = Serial::open("typing = 'one', hold = '1h'", "").await;
    let mut first = serial.view_as("&viewer=one").await;
    let mut guest = serial.guest.accept().await;
    let mut second = serial.view_as("&viewer=two").await;
    keys(&mut first, "a").await;
    assert_eq!(guest.take(1).await, b"a");

    let refused = serial.ask("POST", "&viewer=two&keyboard=take", "").await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.head.one("retry-after").is_some());
    let given = serial.ask("POST", "&viewer=one&keyboard=give", "").await;
    assert_eq!(given.status, 200, "{}", given.text());
    let taken = serial.ask("POST", "&viewer=two&keyboard=take", "").await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    let presence: serde_json::Value = serde_json::from_slice(&taken.body).unwrap();
    assert_eq!(presence["viewers"][1]["types"], true);
    assert_eq!(presence["viewers"][1]["you"], true);
    only_types(&serial, &mut guest, &mut first, &mut second, "second").await;

    for (parameters, status) in [
        ("&keyboard=take", 400),
        ("&viewer=nobody&keyboard=take", 404),
        ("&viewer=one&keyboard=steal", 400),
        ("&viewer=a%20b&keyboard=take", 400),
    ] {
        let refused = serial.ask("POST", parameters, "").await;
        assert_eq!(refused.status, status, "{parameters}: {}", refused.text());
    }
    // Another site may not do it for a visitor.
    let refused = serial
        .ask(
            "POST",
            "&viewer=one&keyboard=take",
            "Origin: https://evil.example\r\n",
        )
        .await;
    assert_eq!(refused.status, 403, "{}", refused.text());
}

#[tokio::test]
async fn keys_for_a_guest_that_does_not_read_wait_within_a_bound() {
    let serial = Serial::open("typing = 'all'", "").await;
    let mut first = serial.view().await;
    let mut guest = serial.guest.accept().await;
    let mut second = serial.view().await;
    // More than the door and the sockets between hold.
    let paste = "p".repeat(60_000);
    let (mut input, mut output) = (first.input, first.output);
    let sending = tokio::spawn(async move {
        for _ in 0..200 {
            if output
                .try_send(&crate::harness::binary(paste.as_bytes()))
                .await
                .is_err()
            {
                break;
            }
        }
        output
    });
    // The output goes on for both.
    guest.send("still here\r\n").await;
    output_until(&mut second, "still here\r\n").await;
    assert_eq!(input.frame().await.payload, b"still here\r\n");
    assert_eq!(guest.take(200 * 60_000).await.len(), 200 * 60_000);
    first = Wire {
        input,
        output: sending.await.unwrap(),
    };
    keys(&mut first, "!").await;
    assert_eq!(guest.take(1).await, b"!");
}
