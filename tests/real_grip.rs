//! Apps with unmodified libraries of GRIP (django-grip, django-eventstream, gripcontrol, serve-grip) behind the door,
//! and behind Debian's Pushpin for comparison.

mod browser;
mod signatures;

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::support::{Door, Peer, ask, free_port, path, run, scratch, until};

/// The key of the app in base64.
const KEY: &str = "6b6579206f6620746865206170702c206f66207468697274792d74776f206279";

/// A door, and an app of `examples/grip` behind it.
struct Fixture {
    door: Door,
    app: Peer,
    directory: tempfile::TempDir,
}

impl Fixture {
    #[track_caller]
    fn open(example: &str) -> Self {
        Self::signing(example, &[], None)
    }

    /// A door that signs with the first of these keys, and an app that believes the public key in this file.
    #[track_caller]
    fn signing(example: &str, signers: &[&str], believed: Option<&str>) -> Self {
        let directory = scratch();
        let key = path(&directory, "grip.key");
        fs::write(&key, KEY).expect("the key written");
        let keys = [signers, &[key.as_str()]].concat().join("', '");
        let port = free_port();
        let door = Door::open(&format!(
            "[admin]\nsocket = '{}'\n[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'grip'\n\
             [[app]]\nname = 'app'\nurl = 'http://127.0.0.1:{port}'\nworkers = 4\nrestart-wait = '20s'\n\
             [app.grip]\nkeys = ['{keys}']\n",
            path(&directory, "admin.sock"),
        ));
        let publishers = until("the control endpoint", || {
            let log = door.log();
            let mut lines = log.lines();
            let line =
                lines.find(|line| line.contains("listening") && line.ends_with("protocol=grip"))?;
            let (_, rest) = line.split_once("address=")?;
            Some(rest.split_ascii_whitespace().next()?.to_owned())
        });
        let app = start_app(example, &publishers, port, believed);
        Self {
            door,
            app,
            directory,
        }
    }

    fn get(&self, path: &str) -> String {
        ask(&self.door, path).gets(200).text()
    }

    /// A client that stays.
    fn client(&self, name: &str, path: &str, header: &str) -> Client {
        let request = ask(&self.door, path)
            .with("--max-time", "60")
            .header(header);
        Client::start(request.into_command(), &self.directory, name)
    }
}

/// An app of `examples/grip` that publishes at this address. It verifies the signatures of the proxy with the same key,
/// or with the public key in a file.
#[track_caller]
fn start_app(example: &str, publishers: &str, port: u16, believed: Option<&str>) -> Peer {
    let example = format!("{}/examples/grip/{example}", env!("CARGO_MANIFEST_DIR"));
    let port = port.to_string();
    let mut arguments = vec![example.as_str(), publishers, KEY, &port];
    arguments.extend(believed);
    Peer::start_in_venv("grip_app.py", &arguments)
}

/// curl in the background, and its output.
struct Client {
    child: Child,
    output: String,
}

impl Client {
    fn start(mut command: Command, directory: &tempfile::TempDir, name: &str) -> Self {
        let output = path(directory, name);
        let file = fs::File::create(&output).expect("a file for the output");
        let child = command
            .arg("--no-buffer")
            .stdin(Stdio::null())
            .stdout(file)
            .spawn();
        Self {
            child: child.expect("curl is installed"),
            output,
        }
    }

    fn text(&self) -> String {
        let bytes = fs::read(&self.output).expect("the output so far");
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// Waits until the output ends so.
    #[track_caller]
    fn ends_with(&self, end: &str) -> String {
        until(&format!("the output {end:?}"), || {
            let text = self.text();
            text.ends_with(end).then_some(text)
        })
    }

    fn end(&mut self) -> String {
        let status = self.child.wait().expect("a child");
        assert!(status.success(), "{status}");
        self.text()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const OPENED: &str = "event: stream-open\ndata:\n\n";

fn event(id: u32, text: &str) -> String {
    format!("event: message\nid: time:{id}\ndata: {{\"text\": \"{text}\"}}\n\n")
}

#[test]
fn django_eventstream_sends_events_and_returning_clients_get_what_they_missed() {
    let fixture = Fixture::open("django_app.py");
    let first = fixture.client("first", "/updates/", "Accept: text/event-stream");
    first.ends_with(OPENED);
    fixture.get("/send/?text=one&text=two");
    first.ends_with(&format!("{}{}", event(1, "one"), event(2, "two")));
    drop(first);
    fixture.get("/send/?text=three");
    let second = fixture.client("second", "/updates/", "Last-Event-ID: time:1");
    second.ends_with(&format!("{OPENED}{}{}", event(2, "two"), event(3, "three")));
    fixture.get("/send/?text=four");
    second.ends_with(&event(4, "four"));
    // Each client has cost the app the one request that it made.
    let requests = fixture.get("/requests/");
    let of_clients = requests
        .lines()
        .filter(|line| line.starts_with("GET /updates/"));
    assert_eq!(of_clients.count(), 2, "{requests}");
}

#[test]
fn django_grip_holds_streams_polls_and_websockets_with_four_workers() {
    let fixture = Fixture::open("django_app.py");
    let streams: Vec<_> = (0..12)
        .map(|number| fixture.client(&format!("stream{number}"), "/stream/", "X-Test: 1"))
        .collect();
    for stream in &streams {
        stream.ends_with("welcome\n");
    }
    let mut poll = fixture.client("poll", "/poll/", "X-Test: 1");
    // Until the door holds it, a message is not for it.
    until("the message", || {
        fixture.get("/tell/?text=hello");
        poll.child.try_wait().expect("a child").map(drop)
    });
    assert_eq!(poll.end(), "hello\n");
    for stream in &streams {
        let text = stream.text();
        assert!(text.starts_with("welcome\nhello\n"), "{text}");
    }
    let ran = websocket(
        &fixture.door.url("/chat/").replace("https", "wss"),
        &fixture.door,
    );
    assert_eq!(ran, "you said hi\nbye 1000\n");
}

/// A client of Python's `websockets`: says hi, prints what comes, and closes.
fn websocket(url: &str, door: &Door) -> String {
    let script = "import asyncio, ssl, sys, websockets\n\
        async def main():\n\
        \x20   context = ssl.create_default_context(cafile=sys.argv[2])\n\
        \x20   async with websockets.connect(sys.argv[1], ssl=context) as socket:\n\
        \x20       await socket.send('hi')\n\
        \x20       print(await socket.recv())\n\
        \x20   print('bye', socket.close_code)\n\
        asyncio.run(main())\n";
    let mut command = Command::new("/usr/bin/python3");
    run(command.args(["-c", script, url, &door.file("ca.pem")]))
        .well()
        .stdout
}

#[test]
fn apps_with_gripcontrol_with_serve_grip_and_of_plain_php_hold_and_publish() {
    for example in ["wsgi_app.py", "node_app.mjs", "php_app.php"] {
        let fixture = Fixture::open(example);
        let stream = fixture.client("stream", "/stream", "X-Test: 1");
        stream.ends_with("welcome\n");
        let said = ask(&fixture.door, "/say?text=hello")
            .method("POST")
            .with("--data", "")
            .gets(200);
        assert_eq!(said.text(), "said\n", "{example}");
        stream.ends_with("welcome\nhello\n");
        // Past the door the app holds nothing.
        let direct = format!("http://{}/stream", fixture.app.address);
        ask(&fixture.door, &direct).gets(501);
        if example != "wsgi_app.py" {
            let ran = websocket(
                &fixture.door.url("/chat").replace("https", "wss"),
                &fixture.door,
            );
            assert_eq!(ran, "you said hi\nbye 1000\n");
        }
    }
}

/// Pushpin, and a second app of the same kind behind it.
struct Twin {
    clients: String,
    _pushpin: Peer,
    _app: Peer,
}

impl Twin {
    #[track_caller]
    fn open(example: &str) -> Self {
        let port = free_port();
        let pushpin = Peer::start("pushpin.py", &[&format!("127.0.0.1:{port}"), KEY]);
        let (clients, publishers) = pushpin.address.split_once(' ').expect("two addresses");
        let app = start_app(example, publishers, port, None);
        Self {
            clients: format!("http://{clients}"),
            _pushpin: pushpin,
            _app: app,
        }
    }
}

/// A conversation of one client, and what others make happen meanwhile: a path, its header, and for each step the
/// request of another and the end of the output that shows its effect.
type Conversation = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// All that a client gets behind this address, without the fields of the servers themselves.
fn conversation(
    fixture: &Fixture,
    base: &str,
    (target, header, steps): Conversation,
) -> (Vec<String>, String) {
    let name = format!("{}{}", base.len(), target.replace('/', "_"));
    let request = ask(&fixture.door, &format!("{base}{target}"))
        .with("--max-time", "60")
        .with(
            "--dump-header",
            &path(&fixture.directory, &format!("{name}.head")),
        )
        .header(header);
    let client = Client::start(request.into_command(), &fixture.directory, &name);
    for (step, end) in steps {
        if !step.is_empty() {
            let method = if step.starts_with("/say") {
                "POST"
            } else {
                "GET"
            };
            let answer = ask(&fixture.door, &format!("{base}{step}")).method(method);
            answer.with("--header", "Content-Length: 0").gets(200);
        }
        client.ends_with(end);
    }
    let head =
        fs::read_to_string(path(&fixture.directory, &format!("{name}.head"))).expect("a head");
    let own = [
        "date:",
        "server:",
        "connection:",
        "transfer-encoding:",
        "strict-",
        "x-",
        "content-length:",
        "http/",
        // PHP's own server repeats the name that it was asked by.
        "host:",
    ];
    let lines = head.lines().map(str::to_ascii_lowercase);
    let mut lines: Vec<_> = lines
        .filter(|line| !line.is_empty() && own.iter().all(|own| !line.starts_with(own)))
        .collect();
    lines.sort_unstable();
    (lines, client.text())
}

#[test]
fn clients_get_the_same_through_the_door_and_through_pushpin() {
    let of_wsgi: &[Conversation] = &[
        (
            "/stream",
            "X-Test: 1",
            &[
                ("", "welcome\n"),
                ("/say?text=1", "1\n"),
                ("/say?text=2", "2\n"),
            ],
        ),
        ("/nothing", "X-Test: 1", &[("", "/say\n")]),
    ];
    let of_django: &[Conversation] = &[
        (
            "/stream/",
            "X-Test: 1",
            &[
                ("", "welcome\n"),
                ("/tell/?text=1", "1\n"),
                ("/tell/?text=2", "2\n"),
            ],
        ),
        (
            "/updates/",
            "X-Test: 1",
            &[
                ("", OPENED),
                ("/send/?text=1", "1\"}\n\n"),
                ("/send/?text=%25I&text=2", "2\"}\n\n"),
            ],
        ),
        (
            "/updates/",
            "Last-Event-ID: time:1",
            &[("", "2\"}\n\n"), ("/send/?text=3", "3\"}\n\n")],
        ),
    ];
    for (example, conversations) in [
        ("wsgi_app.py", of_wsgi),
        ("php_app.php", of_wsgi),
        ("django_app.py", of_django),
    ] {
        let fixture = Fixture::open(example);
        let twin = Twin::open(example);
        for talk in conversations {
            let own = conversation(&fixture, &fixture.door.url(""), *talk);
            let other = conversation(&fixture, &twin.clients, *talk);
            assert_eq!(own, other, "{example} {talk:?}");
        }
    }
}
