//! Messages as programs write them, and those that are dropped.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_may_start_late_cut_its_messages_and_restart() {
    let mut fixture = Fixture::new(WOK);
    fixture
        .status_when(|status| status.last_error.is_some() && status.since.is_none())
        .await;
    for round in 0..3 {
        let app = UnixListener::bind(fixture.path()).expect("bound");
        let mut stream = accepted(&app).await;
        for piece in [format!("POST:/{round}/"), "/EO".into(), "M//PUT:/".into()] {
            stream.write_all(piece.as_bytes()).expect("written");
        }
        assert_eq!(fixture.next(1).await, [format!("POST:/{round}")]);
        stream
            .write_all("ü//EOM////EOM//half a mess".as_bytes())
            .expect("written");
        assert_eq!(fixture.next(1).await, ["PUT:/ü"]);
        drop((app, stream));
        fixture.status_when(|status| status.since.is_none()).await;
        fs::remove_file(fixture.path()).expect("removed");
    }
    let status = fixture.status();
    assert_eq!(status.messages, 6);
    assert_eq!(status.refused, 0);
    assert_eq!(status.connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_an_app_that_is_too_large_costs_only_itself() {
    let mut fixture = Fixture::new(WOK);
    let app = UnixListener::bind(fixture.path()).expect("bound");
    let mut stream = accepted(&app).await;
    let large = "x".repeat(50_000);
    let text = format!("one//EOM//{large}//EOM//two//EOM//");
    stream.write_all(text.as_bytes()).expect("written");
    assert_eq!(fixture.next(2).await, ["one", "two"]);
    let status = fixture.status();
    assert_eq!(status.refused, 1);
    assert!(
        status
            .last_error
            .expect("an error")
            .contains("hub.message-size")
    );
    // Nothing was ever written to the app.
    fixture.shutdown.begin();
    let mut written = Vec::new();
    stream.read_to_end(&mut written).expect("the end");
    assert!(written.is_empty());
}

#[tokio::test]
async fn lines_of_programs_are_messages() {
    let mut fixture = Fixture::new(&listening(""));
    drop(write(&fixture.path(), "one\r\n\ntwo\nthree"));
    assert_eq!(fixture.next(3).await, ["one", "two", "three"]);
    let large = "x".repeat(5000);
    let mut stays = write(&fixture.path(), &format!("{large}\nfour\n"));
    assert_eq!(fixture.next(1).await, ["four"]);
    stays.write_all(b"five\n").expect("still connected");
    assert_eq!(fixture.next(1).await, ["five"]);
    let status = fixture.status();
    assert_eq!((status.messages, status.refused), (5, 1));
    assert_eq!(status.bytes, 19);
    assert!(status.since.is_some());
    fixture.status_when(|status| status.connections == 1).await;
}

#[tokio::test]
async fn half_a_message_with_a_boundary_is_dropped() {
    let mut fixture = Fixture::new(&listening("framing = 'boundary'"));
    drop(write(&fixture.path(), "one\n//EOM//half"));
    fixture.status_when(|status| status.messages == 1).await;
    drop(write(&fixture.path(), "two//EOM//"));
    assert_eq!(fixture.next(2).await, ["one\n", "two"]);
}

#[tokio::test]
async fn a_json_object_names_event_key_and_channel_and_a_bad_one_costs_only_itself() {
    let mut fixture = Fixture::new(&format!(
        "{}[[channel]]\nname = 'b'\n[[channel]]\nname = 'c'\npublish = []\n",
        listening("framing = 'json'")
    ));
    let large = format!("{{\"data\":\"{}\"}}", "x".repeat(1500));
    let lines = [
        r#"{"event":"e","key":"k","data":{"n":1}}"#,
        r#"{"data":"text","extra":1}"#,
        r#"{"data":"text","channel":"c"}"#,
        r#"{"data":"text","channel":"d"}"#,
        "nonsense",
        &large,
        r#"{"event":"e\n","data":1}"#,
        r#"{"data":"text","channel":"b"}"#,
        r#"{"data":"quotes \"\"","channel":"a"}"#,
    ];
    let _stays = write(&fixture.path(), &format!("{}\n", lines.join("\n")));
    assert_eq!(
        fixture.next(3).await,
        [r#"e=k={"n":1}"#, "text", r#"quotes """#]
    );
    assert_eq!(fixture.status().refused, 6);
}

#[tokio::test]
async fn why_a_channel_was_refused_is_told() {
    let fixture = Fixture::new(&format!(
        "{}[[channel]]\nname = 'c'\npublish = []\n",
        listening("framing = 'json'")
    ));
    for (channel, reason) in [
        ("c", "has no publish"),
        ("d", "there is no channel d"),
        ("a b", "not the name"),
    ] {
        let line = format!("{{\"data\":1,\"channel\":\"{channel}\"}}\n");
        drop(write(&fixture.path(), &line));
        fixture
            .status_when(|status| {
                let error = status.last_error.as_ref();
                error.is_some_and(|error| error.contains(reason))
            })
            .await;
    }
}

#[tokio::test]
async fn an_object_named_like_a_signal_of_the_hub_is_dropped_and_told() {
    let mut fixture = Fixture::new(&listening("framing = 'json'"));
    let lines = "{\"event\":\"reset\",\"data\":1}\n{\"event\":\"resets\",\"data\":2}\n";
    drop(write(&fixture.path(), lines));
    assert_eq!(fixture.next(1).await, ["resets=2"]);
    let status = fixture.status();
    assert_eq!(status.refused, 1);
    assert!(status.last_error.expect("an error").contains("own signals"));
}

#[tokio::test]
async fn an_object_that_comes_twice_with_its_id_is_published_once() {
    let mut fixture = Fixture::new(&listening("framing = 'json'"));
    let lines = "{\"id\":\"1\",\"data\":1}\n{\"id\":\"1\",\"data\":1}\n{\"id\":\"2\",\"data\":2}\n";
    drop(write(&fixture.path(), lines));
    drop(write(&fixture.path(), lines));
    assert_eq!(fixture.next(2).await, ["1", "2"]);
    fixture.status_when(|status| status.messages == 6).await;
    drop(write(&fixture.path(), "{\"data\":3}\n"));
    assert_eq!(fixture.next(1).await, ["3"]);
}

#[tokio::test]
async fn each_datagram_is_a_message() {
    let mut fixture = Fixture::new(&listening("type = 'datagram'"));
    let program = UnixDatagram::unbound().expect("a socket");
    let send = |text: &str| program.send_to(text.as_bytes(), fixture.path());
    let (fits, large) = ("x".repeat(1024), "y".repeat(1025));
    for text in ["one\ntwo\n", "", "\n", &large, &fits, "three"] {
        send(text).expect("sent");
    }
    assert_eq!(fixture.next(3).await, ["one\ntwo", fits.as_str(), "three"]);
    assert_eq!(fixture.status().refused, 1);
}
