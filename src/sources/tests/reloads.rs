//! Sources across a reload, and at a stop.

use super::*;

#[tokio::test]
async fn a_reload_leaves_alone_what_did_not_change() {
    let both = format!(
        "{}[[channel.source]]\nsource = 'listen'\naddress = 'unix:DIR/t'\n",
        listening("")
    );
    let mut fixture = Fixture::new(&both);
    let other = fixture.directory.path().join("t");
    let mut stays = write(&fixture.path(), "one\n");
    assert_eq!(fixture.next(1).await, ["one"]);
    let mut goes = write(&other, "two\n");
    assert_eq!(fixture.next(1).await, ["two"]);
    fixture.reload(&listening("")).expect("taken");
    eventually(|| !other.exists()).await;
    // Reads its end only after the source has stopped.
    let end = tokio::task::spawn_blocking(move || goes.read(&mut [0])).await;
    assert_eq!(end.expect("joined").expect("the end"), 0);
    stays.write_all(b"three\n").expect("still connected");
    assert_eq!(fixture.next(1).await, ["three"]);
    assert_eq!(fixture.status().messages, 2);
    fixture.reload(&both).expect("taken");
    drop(write(&other, "four\n"));
    assert_eq!(fixture.next(1).await, ["four"]);
}

#[tokio::test]
async fn a_reload_with_an_error_changes_nothing() {
    let mut fixture = Fixture::new(&listening(""));
    let more = |last: &str| {
        let source = "[[channel.source]]\nsource = 'listen'\naddress = 'unix:DIR";
        format!(
            "{}{source}/t'\n{source}/{last}'\n",
            listening("mode = '0600'")
        )
    };
    let failed = fixture
        .reload(&more("missing/as-well/u"))
        .expect_err("no directory");
    assert!(failed.to_string().contains("/missing/as-well"), "{failed}");
    assert!(!fixture.directory.path().join("t").exists());
    drop(write(&fixture.path(), "one\n"));
    assert_eq!(fixture.next(1).await, ["one"]);
    let failed = fixture.reload(&listening("type = 'datagram'"));
    assert!(
        failed
            .expect_err("another type")
            .to_string()
            .contains("restart")
    );
    assert_eq!(fixture.sources.status().len(), 1);
    fixture.reload(&more("u")).expect("taken");
    assert_eq!(fixture.sources.status().len(), 3);
}

#[tokio::test]
async fn a_socket_stays_open_when_only_what_is_done_with_it_changes() {
    let mut fixture = Fixture::new(&listening(""));
    let file = |fixture: &Fixture| {
        use std::os::unix::fs::MetadataExt;
        fs::symlink_metadata(fixture.path()).expect("there").ino()
    };
    let before = file(&fixture);
    let to_b = listening("framing = 'json'").replace("name = 'a'", "name = 'b'");
    fixture
        .reload(&format!("{to_b}[[channel]]\nname = 'a'\n"))
        .expect("taken");
    assert_eq!(file(&fixture), before);
    let mut listener = fixture
        .hub
        .subscribe(&[name("b")], From::Earliest, None)
        .expect("subscribed");
    std::mem::swap(&mut listener, &mut fixture.listener);
    // The old task may take one more connection, and end it.
    eventually(|| {
        if let Ok(mut stream) = UnixStream::connect(fixture.path()) {
            let _ = stream.write_all(b"{\"data\":1}\n");
        }
        fixture.status().messages > 0
    })
    .await;
    assert_eq!(
        fixture.status().channel,
        ChannelPattern::parse("b").expect("a name")
    );
}

/// Stops the sources as a hand-over does, which takes a thread of its own.
async fn stop_all(fixture: &Fixture) {
    let sources = fixture.sources.clone();
    let stopped = tokio::task::spawn_blocking(move || sources.pause(Duration::from_secs(20)));
    assert!(stopped.await.expect("no panic"), "it did not stop in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_a_stop_is_published_and_the_next_write_fails() {
    const EACH: usize = 40;
    let mut fixture = Fixture::new(&listening(""));
    let mut programs = Vec::new();
    // Some are not accepted yet at the stop.
    for program in 0..20 {
        let mut stream = UnixStream::connect(fixture.path()).expect("connected");
        let lines: Vec<_> = (0..EACH)
            .map(|line| format!("{program}:{line}\n"))
            .collect();
        stream
            .write_all(lines.concat().as_bytes())
            .expect("written");
        programs.push(stream);
    }
    programs
        .first_mut()
        .expect("a program")
        .write_all(b"half")
        .expect("written");
    stop_all(&fixture).await;
    let mut came = fixture.next(programs.len() * EACH).await;
    came.sort_unstable();
    came.dedup();
    assert_eq!(came.len(), programs.len() * EACH);
    for mut program in programs {
        assert!(
            program.write_all(b"late\n").is_err(),
            "nobody would read it"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_that_were_sent_before_a_stop_are_published_and_the_next_one_fails() {
    let mut fixture = Fixture::new(&listening("type = 'datagram'"));
    let program = UnixDatagram::unbound().expect("a socket");
    program.connect(fixture.path()).expect("connected");
    program.set_nonblocking(true).expect("a socket");
    let mut sent = 0;
    // As many as the kernel takes at once, of those that the source takes meanwhile too.
    while sent < 1000 && program.send(sent.to_string().as_bytes()).is_ok() {
        sent += 1;
    }
    stop_all(&fixture).await;
    let expected: Vec<_> = (0..sent).map(|number| number.to_string()).collect();
    assert_eq!(fixture.next(sent).await, expected);
    assert!(program.send(b"late").is_err(), "nobody would read it");
}
