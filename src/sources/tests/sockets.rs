//! Sockets of `listen` sources: their users, modes and limits.

use super::*;

#[tokio::test]
async fn only_the_users_that_are_named_may_write() {
    let other = uid() + 1;
    let mut fixture = Fixture::new(&listening(&format!("users = ['{other}']")));
    let mut refused = UnixStream::connect(fixture.path()).expect("connected");
    let _ = refused.write_all(b"one\n");
    let status = fixture.status_when(|status| status.refused == 1).await;
    assert!(status.last_error.expect("an error").contains("users"));
    let own = listening(&format!("users = ['{other}', '{}']", uid()));
    fixture.reload(&own).expect("taken");
    // The old task may still take one connection, and refuse it.
    eventually(|| {
        let mut stream = UnixStream::connect(fixture.path()).expect("connected");
        let _ = stream.write_all(b"two\n");
        fixture.status().messages > 0
    })
    .await;
    assert_eq!(fixture.next(1).await, ["two"]);
}

#[tokio::test]
async fn an_unknown_user_a_foreign_file_and_a_living_socket_stop_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let refusal = |more: &str| {
        let config = config(directory.path(), &listening(more));
        let started = Sources::start(
            &Hub::new(&config, None).expect("a hub"),
            &config,
            &Shutdown::new(),
        );
        started.expect_err("not started").to_string()
    };
    let text = refusal("users = ['nobody-of-this-name']");
    assert!(text.contains("\"nobody-of-this-name\""), "{text}");
    assert!(text.starts_with("channel a: source unix:/"), "{text}");
    let path = directory.path().join("s");
    fs::write(&path, "precious").expect("written");
    assert!(refusal("").contains("not a socket"));
    assert_eq!(fs::read(&path).expect("read"), b"precious");
    fs::remove_file(&path).expect("removed");
    let _alive = UnixListener::bind(&path).expect("bound");
    assert!(refusal("").contains("another program"));
    assert!(refusal("type = 'datagram'").contains("another program"));
}

#[tokio::test]
async fn a_socket_has_its_mode_and_goes_with_the_server() {
    for kind in ["stream", "datagram"] {
        let fixture = Fixture::new(&listening(&format!("type = '{kind}'\nmode = '0606'")));
        let mode = || {
            let found = fs::symlink_metadata(fixture.path()).expect("the socket");
            found.permissions().mode() & 0o777
        };
        assert_eq!(mode(), 0o606);
        let changed = listening(&format!("type = '{kind}'\nmode = '0600'"));
        fixture.reload(&changed).expect("taken");
        eventually(|| mode() == 0o600).await;
        assert_eq!(
            fixture.shutdown.drain(Duration::from_secs(20)).await.left,
            0
        );
        assert!(!fixture.path().exists());
        assert_eq!(fixture.status().since, None);
    }
}

#[tokio::test]
async fn there_is_room_for_so_many_programs_and_again_when_one_has_left() {
    let mut fixture = Fixture::new(&listening(""));
    let mut programs: Vec<_> = (0..64).map(|_| write(&fixture.path(), "x\n")).collect();
    fixture.status_when(|status| status.connections == 64).await;
    fixture.next(64).await;
    let _refused = UnixStream::connect(fixture.path()).expect("connected");
    fixture.status_when(|status| status.refused == 1).await;
    programs.pop();
    fixture.status_when(|status| status.connections == 63).await;
    let _last = write(&fixture.path(), "y\n");
    assert_eq!(fixture.next(1).await, ["y"]);
}
