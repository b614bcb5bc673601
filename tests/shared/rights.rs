//! View-only by token, link and list, and the end of rights: of that viewer and nobody else.

use std::fs;

use noren::Config;
use noren::config::Signed;

use super::{Serial, closed, keys, output_until};
use crate::harness::{Backend, Door};

#[tokio::test]
async fn whoever_may_only_look_never_has_the_keyboard() {
    let directory = tempfile::tempdir().unwrap();
    let guest = Backend::unix(&directory.path().join("vm"));
    let tokens = directory.path().join("tokens");
    let address = guest.address().replace("unix:", "unix_socket:");
    fs::write(
        &tokens,
        format!("look: {address} view-only\nvm: {address}\n"),
    )
    .unwrap();
    let door = Door::open(&format!(
        "[[bridge.tokens]]\nsource = 'file'\npath = '{}'\nshared = {{ typing = 'all', linger = '0s' }}\n",
        tokens.display()
    ))
    .await;
    let mut looking = door.websocket("/websockify?token=look").await;
    let mut wire = guest.accept().await;
    let mut typing = door.websocket("/websockify?token=vm").await;
    says_nothing(&mut looking).await;
    keys(&mut typing, "yes").await;
    assert_eq!(wire.take(3).await, b"yes");
    wire.send("#").await;
    assert_eq!(output_until(&mut looking, "#").await, "#");
    drop((looking, typing));
    assert_eq!(wire.rest().await, b"");
}

#[tokio::test]
async fn a_link_for_looking_only_is_held_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    fs::write(&key, "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA").unwrap();
    let serial = Serial::open(
        "linger = '0s'",
        &format!(
            "[bridge.signed]\nkeys = ['{}']\nstore = '{}'\nrequired = false\n",
            key.display(),
            directory.path().join("used").display()
        ),
    )
    .await;
    let rules = Signed {
        keys: vec![noren::config::SecretFile::File(key)],
        ..Signed::default()
    };
    let link = |view_only, single_use| {
        let order = noren::LinkOrder {
            name: "vm",
            expires: std::time::Duration::from_secs(60),
            single_use,
            view_only,
            address: None,
        };
        noren::sign_link(&rules, &order).unwrap()
    };
    let path = format!("/websockify?token={}", link(true, false));
    let mut looking = serial.door.websocket(&path).await;
    let mut guest = serial.guest.accept().await;
    keys(&mut looking, "NO").await;
    // The first who may type has the keyboard, although another came before.
    let mut typing = serial.view().await;
    keys(&mut typing, "yes").await;
    assert_eq!(guest.take(3).await, b"yes");
    drop((looking, typing));
    assert_eq!(guest.rest().await, b"");

    // A link for one connection answers questions about that connection only.
    let once = link(false, true);
    let request = |parameters: &str| {
        format!(
            "GET /websockify?token={once}{parameters} HTTP/1.1\r\nHost: door.example\r\n\
             Accept: application/json\r\n\r\n"
        )
    };
    let refused = serial.door.tls().await.ask(&request("")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let path = format!("/websockify?token={once}&viewer=me");
    let viewer = serial.door.websocket(&path).await;
    let answer = serial.door.tls().await.ask(&request("&viewer=me")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let refused = serial.door.tls().await.ask(&request("&viewer=you")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    // What that connection hears of others ends with it.
    let mut events = serial.door.tls().await;
    let stream = request("&viewer=me").replace("application/json", "text/event-stream");
    events.send(stream).await;
    assert_eq!(events.head().await.status(), 200);
    drop(viewer);
    while !events.input.chunk().await.is_empty() {}
    let refused = serial.door.tls().await.ask(&request("&viewer=me")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
}

#[tokio::test]
async fn a_token_that_is_taken_away_ends_its_viewer_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let guest = Backend::unix(&directory.path().join("vm"));
    let tokens = directory.path().join("tokens");
    let address = guest.address().replace("unix:", "unix_socket:");
    fs::write(&tokens, format!("a: {address}\nb: {address}\n")).unwrap();
    let door = Door::open(&format!(
        "[bridge]\nrecheck-tokens = '10ms'\n[[bridge.tokens]]\nsource = 'file'\npath = '{}'\nshared = {{}}\n",
        tokens.display()
    ))
    .await;
    let mut first = door.websocket("/websockify?token=a").await;
    let mut wire = guest.accept().await;
    let mut second = door.websocket("/websockify?token=b").await;
    fs::write(&tokens, format!("b: {address}\n")).unwrap();
    assert_eq!(closed(&mut first).await.0, 4404);
    wire.send("go on").await;
    assert_eq!(output_until(&mut second, "go on").await, "go on");
    keys(&mut second, "mine").await;
    assert_eq!(wire.take(4).await, b"mine");
}

#[tokio::test]
async fn a_reload_does_not_connect_a_second_time_whatever_it_says() {
    let serial = Serial::open("", "").await;
    let mut first = serial.view().await;
    let mut guest = serial.guest.accept().await;
    let plain = format!("{}{}", serial.door.base, serial.guest.target("vm"));
    let config = Config::parse(&plain, "plain.toml").unwrap();
    serial.door.handle.reload(config).unwrap();
    let mut second = serial.view().await;
    guest.send("one").await;
    assert_eq!(output_until(&mut first, "one").await, "one");
    assert_eq!(output_until(&mut second, "one").await, "one");
    serial.guest.has_nobody().await;
}

#[tokio::test]
async fn a_console_that_one_has_alone_is_not_shared_until_that_one_leaves() {
    let directory = tempfile::tempdir().unwrap();
    let guest = Backend::unix(&directory.path().join("vm"));
    let door = Door::open(&guest.target("vm")).await;
    let alone = door.websocket("/websockify?token=vm").await;
    let mut wire = guest.accept().await;
    let shared = format!("{}{}shared = {{}}\n", door.base, guest.target("vm"));
    door.handle
        .reload(Config::parse(&shared, "shared.toml").unwrap())
        .unwrap();
    let handshake = Door::handshake("/websockify?token=vm", "");
    let refused = door.tls().await.ask(&handshake).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    guest.has_nobody().await;
    drop(alone);
    assert_eq!(wire.rest().await, b"");
    crate::harness::until("the console to be free", || async {
        (door.tls().await.ask(&handshake).await.status == 101).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_may_only_look_by_one_source_has_no_keyboard_because_another_shares_the_console() {
    let directory = tempfile::tempdir().unwrap();
    let guest = Backend::unix(&directory.path().join("vm"));
    let tokens = directory.path().join("tokens");
    let address = guest.address().replace("unix:", "unix_socket:");
    fs::write(&tokens, format!("look: {address}\n")).unwrap();
    let looking_only = format!(
        "[[bridge.tokens]]\nsource = 'file'\npath = '{}'\nrfb = {{ ports = ['5900-5999'], view-only = true }}\n",
        tokens.display()
    );
    let target = guest.target("vm");
    let shared = format!("{target}shared = {{ typing = 'all', linger = '0s' }}\n");
    let door = Door::open(&format!("{looking_only}{shared}")).await;
    let alone = Door::handshake("/websockify?token=look", "");
    assert_eq!(door.tls().await.ask(&alone).await.status, 403);
    let mut typing = door.websocket("/websockify?token=vm").await;
    let mut wire = guest.accept().await;
    let mut looking = door.websocket("/websockify?token=look").await;
    says_nothing(&mut looking).await;
    // What the file has said of the console while it was opened holds for as long as it is open.
    let viewers =
        format!("{target}shared = {{ typing = 'all', view-only = true, linger = '0s' }}\n");
    let plain = format!("{}{looking_only}{target}", door.base);
    let reload = |text: &str| {
        let config = Config::parse(text, "other.toml").unwrap();
        door.handle.reload(config).unwrap();
    };
    reload(&plain);
    let mut looking_still = door.websocket("/websockify?token=look").await;
    says_nothing(&mut looking_still).await;
    keys(&mut typing, "yes").await;
    assert_eq!(wire.take(3).await, b"yes");
    drop((typing, looking, looking_still));
    assert_eq!(wire.rest().await, b"");

    reload(&format!("{}{viewers}", door.base));
    let mut first = door.websocket("/websockify?token=vm").await;
    let mut wire = guest.accept().await;
    reload(&format!("{}{target}", door.base));
    let mut second = door.websocket("/websockify?token=vm").await;
    for viewer in [&mut first, &mut second] {
        says_nothing(viewer).await;
    }
    drop((first, second));
    assert_eq!(wire.rest().await, b"");
}

/// Types, and waits until the door has read it.
async fn says_nothing(viewer: &mut crate::harness::Wire) {
    use crate::harness::{FIN, PING, PONG, masked};
    keys(viewer, "NO").await;
    viewer.send(masked(FIN | PING, b"")).await;
    while viewer.frame().await.opcode != PONG {}
}
