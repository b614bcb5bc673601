//! Tests of the messages in a channel when programs write to its sources, over real sockets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use std::io::{Read, Write};

use super::*;
use crate::config::ChannelName;
use crate::hub::{From, Next, Subscription};

/// A hub with sources in a directory of its own.
struct House {
    hub: Hub,
    sources: Sources,
    shutdown: Shutdown,
    listener: Subscription,
    directory: tempfile::TempDir,
}

fn config(directory: &Path, text: &str) -> Config {
    let text = text.replace("DIR", &directory.display().to_string());
    Config::parse(&text, "noren.toml").expect("a configuration")
}

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).expect("a name")
}

impl House {
    /// Subscribes to the channels `a` and, if it exists, `b`.
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(directory.path(), text);
        let hub = Hub::new(&config, None).expect("a hub");
        let shutdown = Shutdown::new();
        let sources = Sources::start(&hub, &config, &shutdown).expect("started");
        let mut names = vec![name("a")];
        names.extend(hub.rules(&name("b")).map(|_| name("b")));
        let listener = hub.subscribe(&names, From::Now, None).expect("subscribed");
        Self {
            hub,
            sources,
            shutdown,
            listener,
            directory,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    fn reload(&self, text: &str) -> Result<(), SourceError> {
        let config = config(self.directory.path(), text);
        let sources = self.sources.plan(&config)?;
        self.hub.commit(self.hub.plan(&config).expect("a plan"));
        self.sources.commit(sources);
        Ok(())
    }

    fn status(&self) -> Status {
        self.sources.status().first().expect("a source").clone()
    }

    /// Returns the next messages; panics at a gap.
    async fn next(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            let next = std::future::poll_fn(|cx| self.listener.poll_next(cx));
            let next = tokio::time::timeout(Duration::from_secs(20), next).await;
            match next {
                Ok(Next::Message(message)) => texts.push(told(&message.draft)),
                other => panic!("{other:?} after {texts:?}"),
            }
        }
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(more) = self.listener.poll_next(&mut cx) {
            panic!("{more:?} after {texts:?}");
        }
        texts
    }

    async fn status_when(&self, fits: impl Fn(&Status) -> bool) -> Status {
        eventually(|| fits(&self.status())).await;
        self.status()
    }
}

fn told(draft: &crate::hub::Draft) -> String {
    let label = |label: &Option<Box<str>>| {
        let label = label.as_ref();
        label.map(|label| format!("{label}=")).unwrap_or_default()
    };
    let data = String::from_utf8_lossy(draft.data.as_bytes());
    format!("{}{}{data}", label(&draft.event), label(&draft.key))
}

async fn eventually(is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen");
}

/// Writes text as an app or a program does.
fn write(path: &Path, text: &str) -> UnixStream {
    let mut stream = UnixStream::connect(path).expect("connected");
    stream.write_all(text.as_bytes()).expect("written");
    stream
}

/// Accepts the next connection to an app.
async fn accepted(app: &UnixListener) -> UnixStream {
    let app = app.try_clone().expect("cloned");
    let accepting = tokio::task::spawn_blocking(move || app.accept());
    accepting.await.expect("joined").expect("accepted").0
}

fn uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").expect("ourselves").uid()
}

const WOK: &str = "[[channel]]\nname = 'a'\n[[channel.source]]\nsource = 'wok'\naddress = \
                   'unix:DIR/s'\n[hub]\nmessage-size = '1KiB'\n";

/// The configuration of a channel `a` with a `listen` source, with more keys.
fn listening(more: &str) -> String {
    format!(
        "[hub]\nmessage-size = '1KiB'\n[[channel]]\nname = 'a'\n[[channel.source]]\nsource = \
         'listen'\naddress = 'unix:DIR/s'\n{more}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_may_start_late_cut_its_messages_and_restart() {
    let mut house = House::new(WOK);
    house
        .status_when(|status| status.last_error.is_some() && status.since.is_none())
        .await;
    for round in 0..3 {
        let app = UnixListener::bind(house.path()).expect("bound");
        let mut stream = accepted(&app).await;
        for piece in [format!("POST:/{round}/"), "/EO".into(), "M//PUT:/".into()] {
            stream.write_all(piece.as_bytes()).expect("written");
        }
        assert_eq!(house.next(1).await, [format!("POST:/{round}")]);
        stream
            .write_all("ü//EOM////EOM//half a mess".as_bytes())
            .expect("written");
        assert_eq!(house.next(1).await, ["PUT:/ü"]);
        drop((app, stream));
        house.status_when(|status| status.since.is_none()).await;
        fs::remove_file(house.path()).expect("removed");
    }
    let status = house.status();
    assert_eq!(status.messages, 6);
    assert_eq!(status.refused, 0);
    assert_eq!(status.connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_an_app_that_is_too_large_costs_only_itself() {
    let mut house = House::new(WOK);
    let app = UnixListener::bind(house.path()).expect("bound");
    let mut stream = accepted(&app).await;
    let large = "x".repeat(50_000);
    let text = format!("one//EOM//{large}//EOM//two//EOM//");
    stream.write_all(text.as_bytes()).expect("written");
    assert_eq!(house.next(2).await, ["one", "two"]);
    let status = house.status();
    assert_eq!(status.refused, 1);
    assert!(
        status
            .last_error
            .expect("an error")
            .contains("hub.message-size")
    );
    // Nothing was ever written to the app.
    house.shutdown.begin();
    let mut written = Vec::new();
    stream.read_to_end(&mut written).expect("the end");
    assert!(written.is_empty());
}

#[tokio::test]
async fn lines_of_programs_are_messages() {
    let mut house = House::new(&listening(""));
    drop(write(&house.path(), "one\r\n\ntwo\nthree"));
    assert_eq!(house.next(3).await, ["one", "two", "three"]);
    let large = "x".repeat(5000);
    let mut stays = write(&house.path(), &format!("{large}\nfour\n"));
    assert_eq!(house.next(1).await, ["four"]);
    stays.write_all(b"five\n").expect("still connected");
    assert_eq!(house.next(1).await, ["five"]);
    let status = house.status();
    assert_eq!((status.messages, status.refused), (5, 1));
    assert_eq!(status.bytes, 19);
    assert!(status.since.is_some());
    house.status_when(|status| status.connections == 1).await;
}

#[tokio::test]
async fn half_a_message_with_a_boundary_is_dropped() {
    let mut house = House::new(&listening("framing = 'boundary'"));
    drop(write(&house.path(), "one\n//EOM//half"));
    house.status_when(|status| status.messages == 1).await;
    drop(write(&house.path(), "two//EOM//"));
    assert_eq!(house.next(2).await, ["one\n", "two"]);
}

#[tokio::test]
async fn a_json_object_names_event_key_and_channel_and_a_bad_one_costs_only_itself() {
    let mut house = House::new(&format!(
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
    let _stays = write(&house.path(), &format!("{}\n", lines.join("\n")));
    assert_eq!(
        house.next(3).await,
        [r#"e=k={"n":1}"#, "text", r#"quotes """#]
    );
    assert_eq!(house.status().refused, 6);
}

#[tokio::test]
async fn why_a_channel_was_refused_is_told() {
    let house = House::new(&format!(
        "{}[[channel]]\nname = 'c'\npublish = []\n",
        listening("framing = 'json'")
    ));
    for (channel, reason) in [
        ("c", "has no publish"),
        ("d", "there is no channel d"),
        ("a b", "not the name"),
    ] {
        let line = format!("{{\"data\":1,\"channel\":\"{channel}\"}}\n");
        drop(write(&house.path(), &line));
        house
            .status_when(|status| {
                let error = status.last_error.as_ref();
                error.is_some_and(|error| error.contains(reason))
            })
            .await;
    }
}

#[tokio::test]
async fn an_object_named_like_a_signal_of_the_hub_is_dropped_and_told() {
    let mut house = House::new(&listening("framing = 'json'"));
    let lines = "{\"event\":\"reset\",\"data\":1}\n{\"event\":\"resets\",\"data\":2}\n";
    drop(write(&house.path(), lines));
    assert_eq!(house.next(1).await, ["resets=2"]);
    let status = house.status();
    assert_eq!(status.refused, 1);
    assert!(status.last_error.expect("an error").contains("own signals"));
}

#[tokio::test]
async fn an_object_that_comes_twice_with_its_id_is_published_once() {
    let mut house = House::new(&listening("framing = 'json'"));
    let lines = "{\"id\":\"1\",\"data\":1}\n{\"id\":\"1\",\"data\":1}\n{\"id\":\"2\",\"data\":2}\n";
    drop(write(&house.path(), lines));
    drop(write(&house.path(), lines));
    assert_eq!(house.next(2).await, ["1", "2"]);
    house.status_when(|status| status.messages == 6).await;
    drop(write(&house.path(), "{\"data\":3}\n"));
    assert_eq!(house.next(1).await, ["3"]);
}

#[tokio::test]
async fn each_datagram_is_a_message() {
    let mut house = House::new(&listening("type = 'datagram'"));
    let program = UnixDatagram::unbound().expect("a socket");
    let send = |text: &str| program.send_to(text.as_bytes(), house.path());
    let (fits, large) = ("x".repeat(1024), "y".repeat(1025));
    for text in ["one\ntwo\n", "", "\n", &large, &fits, "three"] {
        send(text).expect("sent");
    }
    assert_eq!(house.next(3).await, ["one\ntwo", fits.as_str(), "three"]);
    assert_eq!(house.status().refused, 1);
}

#[tokio::test]
async fn only_the_users_that_are_named_may_write() {
    let other = uid() + 1;
    let mut house = House::new(&listening(&format!("users = ['{other}']")));
    let mut refused = UnixStream::connect(house.path()).expect("connected");
    let _ = refused.write_all(b"one\n");
    let status = house.status_when(|status| status.refused == 1).await;
    assert!(status.last_error.expect("an error").contains("users"));
    let own = listening(&format!("users = ['{other}', '{}']", uid()));
    house.reload(&own).expect("taken");
    // The old task may still take one connection, and refuse it.
    eventually(|| {
        let mut stream = UnixStream::connect(house.path()).expect("connected");
        let _ = stream.write_all(b"two\n");
        house.status().messages > 0
    })
    .await;
    assert_eq!(house.next(1).await, ["two"]);
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
        let house = House::new(&listening(&format!("type = '{kind}'\nmode = '0606'")));
        let mode = || {
            let found = fs::symlink_metadata(house.path()).expect("the socket");
            found.permissions().mode() & 0o777
        };
        assert_eq!(mode(), 0o606);
        let changed = listening(&format!("type = '{kind}'\nmode = '0600'"));
        house.reload(&changed).expect("taken");
        eventually(|| mode() == 0o600).await;
        assert_eq!(house.shutdown.drain(Duration::from_secs(20)).await.left, 0);
        assert!(!house.path().exists());
        assert_eq!(house.status().since, None);
    }
}

#[tokio::test]
async fn there_is_room_for_so_many_programs_and_again_when_one_has_left() {
    let mut house = House::new(&listening(""));
    let mut programs: Vec<_> = (0..64).map(|_| write(&house.path(), "x\n")).collect();
    house.status_when(|status| status.connections == 64).await;
    house.next(64).await;
    let _refused = UnixStream::connect(house.path()).expect("connected");
    house.status_when(|status| status.refused == 1).await;
    programs.pop();
    house.status_when(|status| status.connections == 63).await;
    let _last = write(&house.path(), "y\n");
    assert_eq!(house.next(1).await, ["y"]);
}

#[tokio::test]
async fn a_reload_leaves_alone_what_did_not_change() {
    let both = format!(
        "{}[[channel.source]]\nsource = 'listen'\naddress = 'unix:DIR/t'\n",
        listening("")
    );
    let mut house = House::new(&both);
    let other = house.directory.path().join("t");
    let mut stays = write(&house.path(), "one\n");
    assert_eq!(house.next(1).await, ["one"]);
    let mut goes = write(&other, "two\n");
    assert_eq!(house.next(1).await, ["two"]);
    house.reload(&listening("")).expect("taken");
    eventually(|| !other.exists()).await;
    // Reads its end only after the source has stopped.
    let end = tokio::task::spawn_blocking(move || goes.read(&mut [0])).await;
    assert_eq!(end.expect("joined").expect("the end"), 0);
    stays.write_all(b"three\n").expect("still connected");
    assert_eq!(house.next(1).await, ["three"]);
    assert_eq!(house.status().messages, 2);
    house.reload(&both).expect("taken");
    drop(write(&other, "four\n"));
    assert_eq!(house.next(1).await, ["four"]);
}

#[tokio::test]
async fn a_reload_with_an_error_changes_nothing() {
    let mut house = House::new(&listening(""));
    let more = |last: &str| {
        let source = "[[channel.source]]\nsource = 'listen'\naddress = 'unix:DIR";
        format!(
            "{}{source}/t'\n{source}/{last}'\n",
            listening("mode = '0600'")
        )
    };
    let failed = house
        .reload(&more("missing/as-well/u"))
        .expect_err("no directory");
    assert!(failed.to_string().contains("/missing/as-well"), "{failed}");
    assert!(!house.directory.path().join("t").exists());
    drop(write(&house.path(), "one\n"));
    assert_eq!(house.next(1).await, ["one"]);
    let failed = house.reload(&listening("type = 'datagram'"));
    assert!(
        failed
            .expect_err("another type")
            .to_string()
            .contains("restart")
    );
    assert_eq!(house.sources.status().len(), 1);
    house.reload(&more("u")).expect("taken");
    assert_eq!(house.sources.status().len(), 3);
}

#[tokio::test]
async fn a_socket_stays_open_when_only_what_is_done_with_it_changes() {
    let mut house = House::new(&listening(""));
    let file = |house: &House| {
        use std::os::unix::fs::MetadataExt;
        fs::symlink_metadata(house.path()).expect("there").ino()
    };
    let before = file(&house);
    let to_b = listening("framing = 'json'").replace("name = 'a'", "name = 'b'");
    house
        .reload(&format!("{to_b}[[channel]]\nname = 'a'\n"))
        .expect("taken");
    assert_eq!(file(&house), before);
    let mut listener = house
        .hub
        .subscribe(&[name("b")], From::Earliest, None)
        .expect("subscribed");
    std::mem::swap(&mut listener, &mut house.listener);
    // The old task may take one more connection, and end it.
    eventually(|| {
        if let Ok(mut stream) = UnixStream::connect(house.path()) {
            let _ = stream.write_all(b"{\"data\":1}\n");
        }
        house.status().messages > 0
    })
    .await;
    assert_eq!(
        house.status().channel,
        ChannelPattern::parse("b").expect("a name")
    );
}

/// Stops the sources as a hand-over does, which takes a thread of its own.
async fn stop_all(house: &House) {
    let sources = house.sources.clone();
    let stopped = tokio::task::spawn_blocking(move || sources.pause(Duration::from_secs(20)));
    assert!(stopped.await.expect("no panic"), "it did not stop in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_a_stop_is_published_and_the_next_write_fails() {
    const EACH: usize = 40;
    let mut house = House::new(&listening(""));
    let mut programs = Vec::new();
    // Some are not accepted yet at the stop.
    for program in 0..20 {
        let mut stream = UnixStream::connect(house.path()).expect("connected");
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
    stop_all(&house).await;
    let mut came = house.next(programs.len() * EACH).await;
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
    let mut house = House::new(&listening("type = 'datagram'"));
    let program = UnixDatagram::unbound().expect("a socket");
    program.connect(house.path()).expect("connected");
    program.set_nonblocking(true).expect("a socket");
    let mut sent = 0;
    // As many as the kernel takes at once, of those that the source takes meanwhile too.
    while sent < 1000 && program.send(sent.to_string().as_bytes()).is_ok() {
        sent += 1;
    }
    stop_all(&house).await;
    let expected: Vec<_> = (0..sent).map(|number| number.to_string()).collect();
    assert_eq!(house.next(sent).await, expected);
    assert!(program.send(b"late").is_err(), "nobody would read it");
}
