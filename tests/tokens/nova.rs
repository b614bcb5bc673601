//! OpenStack's Nova as a source of tokens: the login at Keystone, the question, and what happens when either is away.
//! The cloud is played here; the real ones are in `real_nova`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use crate::harness::{Answer, Backend, Door, Wire, within};

const TOKEN: &str = "8e1f4b2a-9d3c-4c5e-8f6a-0b1c2d3e4f50";
const OTHER: &str = "11111111-2222-3333-4444-555555555555";
const SERVER: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
const NOT_FOUND: &str = r#"{"itemNotFound": {"code": 404, "message": "Token not found"}}"#;

/// The state of the cloud, which a test changes as it goes.
struct Cloud {
    /// Status of logins; 201 lets Noren in.
    keystone: u16,
    /// Seconds from the beginning of a login to its end.
    lifetime: u64,
    /// The bodies of logins.
    logins: Vec<String>,
    /// The login that Nova takes, by number.
    valid: usize,
    /// Answers of Nova, by path.
    answers: BTreeMap<String, (u16, String)>,
    /// The paths that Nova was asked for.
    asked: Vec<String>,
}

/// Keystone and Nova at one address, a console, and the file of the password.
struct Stack {
    cloud: Arc<Mutex<Cloud>>,
    address: String,
    console: Backend,
    directory: tempfile::TempDir,
}

impl Stack {
    async fn new() -> Self {
        let cloud = Arc::new(Mutex::new(Cloud {
            keystone: 201,
            lifetime: 3600,
            logins: Vec::new(),
            valid: 0,
            answers: BTreeMap::new(),
            asked: Vec::new(),
        }));
        let backend = Backend::tcp().await;
        let address = backend.address().to_owned();
        let (shared, own) = (Arc::clone(&cloud), address.clone());
        tokio::spawn(async move {
            loop {
                let wire = backend.accept().await;
                tokio::spawn(serve(wire, Arc::clone(&shared), own.clone()));
            }
        });
        let stack = Self {
            cloud,
            address,
            console: Backend::tcp().await,
            directory: tempfile::tempdir().unwrap(),
        };
        stack.secret("s3cr3t", 0o600);
        stack.knows(TOKEN, "null");
        stack
    }

    fn secret(&self, text: &str, mode: u32) {
        let file = self.directory.path().join("password");
        fs::write(&file, format!("{text}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Makes Nova answer with the console for this token.
    fn knows(&self, token: &str, path: &str) {
        let (host, port) = self.console.address().split_once(':').unwrap();
        let body = format!(
            r#"{{"console": {{"instance_uuid": "{SERVER}", "host": "{host}", "port": {port},
                "internal_access_path": {path}}}}}"#
        );
        self.answer(&format!("os-console-auth-tokens/{token}"), 200, &body);
    }

    fn answer(&self, path: &str, status: u16, body: &str) {
        let answers = &mut self.cloud.lock().unwrap().answers;
        answers.insert(format!("/v2.1/{path}"), (status, body.to_owned()));
    }

    fn with<T>(&self, change: impl FnOnce(&mut Cloud) -> T) -> T {
        change(&mut self.cloud.lock().unwrap())
    }

    /// Waits until something is true of the cloud.
    async fn until(&self, what: &str, is_true: impl Fn(&mut Cloud) -> bool) {
        within(what, async {
            while !self.with(&is_true) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn door(&self, bridge: &str, keys: &str) -> Door {
        Door::open(&self.settings(bridge, keys)).await
    }

    fn settings(&self, bridge: &str, keys: &str) -> String {
        format!(
            "[bridge]\n{bridge}\n[[bridge.tokens]]\nsource = 'nova'\nauth-url = 'http://{}/identity'\nuser = 'noren'\n\
             project = 'service'\npassword = '{}'\nallow = ['127.0.0.1:*']\n{keys}\n",
            self.address,
            self.directory.path().join("password").display()
        )
    }

    /// Opens the console, and sees that it is the one behind the door.
    async fn open(&self, door: &Door, path: &str, lines: &str) -> (Wire, Wire) {
        let mut client = door.tls().await;
        client.send(Door::handshake(path, lines)).await;
        let mut console = self.console.accept().await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 101, "{}", answer.text());
        console.send("hello").await;
        assert_eq!(client.frame().await.payload, b"hello");
        (client, console)
    }
}

async fn serve(mut wire: Wire, cloud: Arc<Mutex<Cloud>>, address: String) {
    let head = wire.head().await;
    let length = head
        .one("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let body = String::from_utf8(wire.take(length).await).unwrap();
    let (method, path) = head.start.split_once(' ').unwrap();
    let path = path.split(' ').next().unwrap();
    let answer = {
        let mut cloud = cloud.lock().unwrap();
        if method == "POST" {
            assert_eq!(path, "/identity/v3/auth/tokens");
            log_in(&mut cloud, body, &address)
        } else {
            assert_eq!(head.one("x-openstack-nova-api-version"), Some("2.31"));
            assert_eq!(head.one("openstack-api-version"), Some("compute 2.31"));
            cloud.asked.push(path.to_owned());
            let valid = format!("login-{}", cloud.valid);
            let (status, body) = match cloud.answers.get(path) {
                _ if head.one("x-auth-token") != Some(valid.as_str()) => (401, String::new()),
                Some((status, body)) => (*status, body.clone()),
                None => (404, NOT_FOUND.to_owned()),
            };
            response(status, "", &body)
        }
    };
    wire.send(answer).await;
}

fn log_in(cloud: &mut Cloud, body: String, address: &str) -> String {
    cloud.logins.push(body);
    cloud.valid = cloud.logins.len();
    if cloud.keystone != 201 {
        return response(cloud.keystone, "", "{}");
    }
    let minutes = cloud.lifetime / 60;
    let seconds = cloud.lifetime % 60;
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let body = format!(
        r#"{{"token": {{"issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2026-01-01T{hours:02}:{minutes:02}:{seconds:02}.000000Z",
            "catalog": [{{"type": "compute", "endpoints": [
                {{"interface": "public", "region_id": "North", "region": "North", "url": "http://{address}/v2.1"}}
            ]}}]}}}}"#
    );
    response(
        201,
        &format!("X-Subject-Token: login-{}\r\n", cloud.valid),
        &body,
    )
}

fn response(status: u16, lines: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} Some Words\r\n{lines}Content-Length: {length}\r\n\r\n{body}")
}

async fn knock(door: &Door, token: &str) -> Answer {
    super::knock(door, token).await
}

#[tokio::test]
async fn one_login_opens_consoles_by_every_url_form_of_nova() {
    let stack = Stack::new().await;
    let bridge = "paths = ['/', '/websockify', '/novnc']\ntoken-cookie = 'token'";
    let door = stack.door(bridge, "").await;
    let cookie = format!("Cookie: other=1; token={TOKEN}\r\n");
    for (path, lines) in [
        (format!("/?token={TOKEN}"), ""),
        (format!("/novnc?token={TOKEN}"), ""),
        (format!("/websockify?token={TOKEN}"), ""),
        ("/websockify".to_owned(), cookie.as_str()),
        ("/websockify?token=".to_owned(), &cookie),
        (
            format!("/?token={TOKEN}"),
            "Sec-WebSocket-Protocol: binary, base64\r\n",
        ),
    ] {
        stack.open(&door, &path, lines).await;
    }
    stack.with(|cloud| {
        assert_eq!(cloud.logins.len(), 1);
        let said = &cloud.logins[0];
        for part in [
            r#""name":"noren""#,
            r#""password":"s3cr3t""#,
            r#""name":"Default""#,
            r#""name":"service""#,
        ] {
            assert!(said.contains(part), "{said}");
        }
    });
    // Two different cookies are two readings, and one of nothing is none.
    let two = format!("Cookie: token={TOKEN}; token={OTHER}\r\n");
    for (lines, status) in [(two.as_str(), 400), ("Cookie: token=\r\n", 400), ("", 400)] {
        let handshake = Door::handshake("/websockify", lines);
        assert_eq!(
            door.tls().await.ask(&handshake).await.status,
            status,
            "{lines}"
        );
    }
}

#[tokio::test]
async fn a_token_that_nova_does_not_know_is_not_found_and_one_of_another_form_is_not_asked_for() {
    let stack = Stack::new().await;
    let door = stack.door("", "").await;
    for token in [OTHER, "vm1", "..", "a%2Fb", &TOKEN[1..]] {
        assert_eq!(knock(&door, token).await.status, 404, "{token}");
    }
    let asked = stack.with(|cloud| cloud.asked.clone());
    assert_eq!(asked, [format!("/v2.1/os-console-auth-tokens/{OTHER}")]);
}

#[tokio::test]
async fn a_login_is_made_anew_when_nova_does_not_take_it_and_before_its_end() {
    let stack = Stack::new().await;
    let door = stack.door("", "").await;
    stack
        .open(&door, &format!("/websockify?token={TOKEN}"), "")
        .await;
    // As after a restart of Keystone with other keys.
    stack.with(|cloud| cloud.valid = 99);
    stack
        .open(&door, &format!("/websockify?token={TOKEN}"), "")
        .await;
    assert_eq!(stack.with(|cloud| cloud.logins.len()), 2);
    // A login that is at its end is not used at all.
    stack.with(|cloud| (cloud.lifetime, cloud.valid) = (0, 99));
    for logins in [3, 4] {
        stack
            .open(&door, &format!("/websockify?token={TOKEN}"), "")
            .await;
        assert_eq!(stack.with(|cloud| cloud.logins.len()), logins);
    }
}

#[tokio::test]
async fn a_host_is_asked_for_the_internal_access_path() {
    let stack = Stack::new().await;
    stack.knows(TOKEN, "\"/a/b\"");
    let door = stack.door("", "").await;
    let mut client = door.tls().await;
    let path = format!("/websockify?token={TOKEN}");
    client.send(Door::handshake(&path, "")).await;
    let mut console = stack.console.accept().await;
    let question = b"CONNECT /a/b HTTP/1.1\r\n\r\n";
    assert_eq!(console.take(question.len()).await, question);
    console.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
    assert_eq!(client.answer().await.status, 101);
    assert_eq!(client.frame().await.payload, b"hello");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_again_as_soon_as_the_file_is_another() {
    let stack = Stack::new().await;
    let door = stack.door("", "").await;
    stack.with(|cloud| cloud.keystone = 401);
    for _ in 0..3 {
        assert_eq!(knock(&door, TOKEN).await.status, 502);
    }
    assert_eq!(stack.with(|cloud| cloud.logins.len()), 1);
    stack.with(|cloud| cloud.keystone = 201);
    assert_eq!(knock(&door, TOKEN).await.status, 502);
    stack.secret("another", 0o600);
    stack
        .open(&door, &format!("/websockify?token={TOKEN}"), "")
        .await;
    assert_eq!(stack.with(|cloud| cloud.logins.len()), 2);
}

#[tokio::test]
async fn what_nova_and_keystone_cannot_say_is_a_fault_and_no_unknown_token() {
    let stack = Stack::new().await;
    let door = stack.door("", "timeout = '2s'").await;
    let path = format!("os-console-auth-tokens/{TOKEN}");
    for (status, body) in [
        (403, r#"{"forbidden": {}}"#),
        (400, r#"{"badRequest": {}}"#),
        (406, "{}"),
        (429, "{}"),
        (500, "{}"),
        (503, ""),
        (300, r#"{"choices": []}"#),
        // Of something before Nova, which knows no such path: it must not close consoles.
        (404, "404 Not Found"),
        (404, r#"{"error": "no route"}"#),
        (200, "hello"),
        (200, r#"{"console": {"host": "h", "port": 1}}"#),
        (
            200,
            r#"{"console": {"host": "h", "port": 70000, "instance_uuid": "a"}}"#,
        ),
    ] {
        stack.answer(&path, status, body);
        let answer = knock(&door, TOKEN).await;
        assert_eq!(answer.status, 502, "{status} {body}");
        assert!(!answer.text().contains(TOKEN));
    }
    stack.secret("s3cr3t", 0o644);
    let open = stack.door("", "").await;
    assert_eq!(
        knock(&open, TOKEN).await.status,
        502,
        "a secret for everybody"
    );
    let gone = Stack::new().await;
    let away = format!("http://{}", Backend::tcp().await.address());
    let settings = gone
        .settings("", "")
        .replace(&format!("http://{}", gone.address), &away);
    let door = Door::open(&settings).await;
    assert_eq!(knock(&door, TOKEN).await.status, 502);
}

#[tokio::test]
async fn a_keystone_that_is_slow_is_given_up_within_the_limit_however_many_wait() {
    let silent = Backend::tcp().await;
    let stack = Stack::new().await;
    let slow = format!("http://{}", silent.address());
    let settings = stack
        .settings("", "timeout = '300ms'")
        .replace(&format!("http://{}", stack.address), &slow);
    let door = Door::open(&settings).await;
    let knocks = (0..5).map(|_| knock(&door, TOKEN));
    for answer in futures_util::future::join_all(knocks).await {
        assert_eq!(answer.status, 502);
    }
}

#[tokio::test]
async fn the_next_region_is_asked_and_one_that_is_away_hides_no_other() {
    let (first, second) = (Stack::new().await, Stack::new().await);
    first.with(|cloud| cloud.answers.clear());
    second.knows(OTHER, "null");
    let both = |first: &Stack| {
        let next = second.settings("", "");
        let (_, next) = next.split_once("[[bridge.tokens]]").unwrap();
        format!("{}[[bridge.tokens]]{next}", first.settings("", ""))
    };
    let door = Door::open(&both(&first)).await;
    second
        .open(&door, &format!("/websockify?token={OTHER}"), "")
        .await;
    first.with(|cloud| cloud.keystone = 500);
    let door = Door::open(&both(&first)).await;
    second
        .open(&door, &format!("/websockify?token={OTHER}"), "")
        .await;
    // Nobody can say that this one is not known.
    let unknown = "99999999-2222-3333-4444-555555555555";
    assert_eq!(knock(&door, unknown).await.status, 502);
}

#[tokio::test]
async fn a_console_ends_with_its_token_or_with_its_server_as_the_source_says() {
    for (lifetime, ends_with_token) in [("token", true), ("server", false)] {
        let stack = Stack::new().await;
        stack.answer(&format!("servers/{SERVER}"), 200, "{}");
        let keys = format!("lifetime = '{lifetime}'");
        let door = stack.door("recheck-tokens = '20ms'", &keys).await;
        let path = format!("/websockify?token={TOKEN}");
        let (mut client, mut console) = stack.open(&door, &path, "").await;
        // An API that fails closes nothing, and neither does a router before it that has lost its way.
        let question = format!("os-console-auth-tokens/{TOKEN}");
        for (status, body) in [(500, "{}"), (404, "404 Not Found")] {
            stack.answer(&question, status, body);
            let asked = stack.with(|cloud| cloud.asked.len());
            let more = |cloud: &mut Cloud| cloud.asked.len() >= asked + 2;
            stack.until("two more questions", more).await;
            console.send("still").await;
            assert_eq!(client.frame().await.payload, b"still");
        }
        stack.answer(&question, 404, NOT_FOUND);
        if !ends_with_token {
            let servers = |cloud: &mut Cloud| {
                let asked = cloud.asked.iter();
                asked.filter(|path| path.contains("/servers/")).count() >= 2
            };
            stack.until("questions about the server", servers).await;
            console.send("still").await;
            assert_eq!(client.frame().await.payload, b"still");
            stack.answer(&format!("servers/{SERVER}"), 404, NOT_FOUND);
        }
        assert_eq!(client.close_code().await, 4404, "{lifetime}");
    }
}

#[tokio::test]
async fn displays_are_logged_in_at_and_serial_lines_pass_by_their_ports() {
    let stack = Stack::new().await;
    let port = stack
        .console
        .address()
        .rsplit_once(':')
        .unwrap()
        .1
        .to_owned();
    for (ports, speaks) in [(port.as_str(), true), ("1-2", false)] {
        let door = stack
            .door("", &format!("rfb = {{ ports = ['{ports}'] }}"))
            .await;
        let mut client = door.tls().await;
        let path = format!("/websockify?token={TOKEN}");
        client.send(Door::handshake(&path, "")).await;
        let mut console = stack.console.accept().await;
        console.send("RFB 003.008\n").await;
        if speaks {
            assert_eq!(console.take(12).await, b"RFB 003.008\n");
            console.send([1, 1]).await;
            assert_eq!(console.take(1).await, [1]);
            console.send([0; 4]).await;
        }
        assert_eq!(client.answer().await.status, 101);
        assert_eq!(client.frame().await.payload, b"RFB 003.008\n");
    }
    // Whoever may only look cannot be held to it on a serial line.
    let door = stack
        .door("", "rfb = { ports = ['1-2'], view-only = true }")
        .await;
    assert_eq!(knock(&door, TOKEN).await.status, 403);
}

#[tokio::test]
async fn the_app_is_told_which_consoles_are_serial_by_their_ports() {
    let stack = Stack::new().await;
    let port = stack
        .console
        .address()
        .rsplit_once(':')
        .unwrap()
        .1
        .to_owned();
    for (ports, kind) in [(port.as_str(), "serial"), ("1-2", "graphical")] {
        let app = Backend::tcp().await;
        let keys = format!(
            "serial-ports = ['{ports}']\nrfb = {{ enabled = false }}\n\
             [[app]]\nname = 'site'\nurl = 'http://{}'\n\
             [session]\npath = '/who'\ntoken-path = '/may/{{vm}}/{{kind}}'\n",
            app.address()
        );
        let door = stack.door("", &keys).await;
        let mut client = door.tls().await;
        let path = format!("/websockify?token={TOKEN}");
        client.send(Door::handshake(&path, "Cookie: a=b\r\n")).await;
        let mut app_hears = app.accept().await;
        assert!(app_hears.head().await.start.starts_with("GET /who "));
        let yes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        app_hears.send(yes).await;
        let head = app.accept().await.head().await;
        assert!(
            head.start
                .starts_with(&format!("GET /may/{SERVER}/{kind} ")),
            "{}",
            head.start
        );
        assert_eq!(head.one("noren-console-kind"), Some(kind));
    }
}

#[tokio::test]
async fn the_port_of_one_server_is_not_shared_with_the_next_that_gets_it() {
    let stack = Stack::new().await;
    let kept = stack.directory.path().join("scrollback");
    let keys = format!(
        "shared = {{ linger = '0s', directory = '{}' }}",
        kept.display()
    );
    let door = stack.door("", &keys).await;
    let path = |token: &str| format!("/websockify?token={token}");
    // A host that has crashed says nothing, and the connection to its guest stays.
    let (mut first, mut wire) = stack.open(&door, &path(TOKEN), "").await;
    let (host, port) = stack.console.address().split_once(':').unwrap();
    let body = format!(
        r#"{{"console": {{"instance_uuid": "another", "host": "{host}", "port": {port},
            "internal_access_path": null}}}}"#
    );
    stack.answer(&format!("os-console-auth-tokens/{OTHER}"), 200, &body);
    let (second, mut other) = stack.open(&door, &path(OTHER), "").await;
    first.send(crate::harness::binary(b"mine")).await;
    assert_eq!(wire.take(4).await, b"mine");
    drop(second);
    assert_eq!(other.rest().await, b"");
    // Whose it is is known, so it may be kept for its own visitors.
    drop(first);
    assert_eq!(wire.rest().await, b"");
    crate::harness::until("both to be on disk", || async {
        let files: Vec<_> = fs::read_dir(&kept).ok()?.flatten().collect();
        let says_hello =
            |file: &fs::DirEntry| fs::read(file.path()).is_ok_and(|text| text == b"hello");
        (files.len() == 2 && files.iter().all(says_hello)).then_some(())
    })
    .await;
    let mut client = door.tls().await;
    client.send(Door::handshake(&path(TOKEN), "")).await;
    let _wire = stack.console.accept().await;
    assert_eq!(client.answer().await.status, 101);
    let earlier = client.frame().await.payload;
    assert!(earlier.starts_with(b"hello"), "{earlier:?}");
}

#[tokio::test]
async fn clients_that_leave_do_not_have_logins_tried_again_and_again() {
    let silent = Backend::tcp().await;
    let stack = Stack::new().await;
    let slow = format!("http://{}", silent.address());
    let settings = stack
        .settings("", "timeout = '20s'")
        .replace(&format!("http://{}", stack.address), &slow);
    let door = Door::open(&settings).await;
    let begun = std::time::Instant::now();
    let mut logins = 0;
    while begun.elapsed().as_millis() < 2500 {
        let mut client = door.tls().await;
        let path = format!("/websockify?token={TOKEN}");
        client.send(Door::handshake(&path, "")).await;
        let mut login = silent.accept().await;
        login.head().await;
        logins += 1;
        drop(client);
        assert!(!login.rest().await.is_empty());
    }
    let most = begun.elapsed().as_secs() + 1;
    assert!(logins <= most, "{logins} logins, and {most} at most");
}
