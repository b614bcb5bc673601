//! HTTP APIs that want headers, and whose answer says more than an address: a path to connect to, and an end.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::{Backend, CLOSE, Door, Wire};

const CONNECT: &[u8] = b"CONNECT a/b?c HTTP/1.1\r\n\r\n";

/// An API and a console behind it, with a key that is in a file.
struct Cloud {
    api: Backend,
    console: Backend,
    directory: tempfile::TempDir,
}

impl Cloud {
    async fn new() -> Self {
        Self {
            api: Backend::tcp().await,
            console: Backend::tcp().await,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn key(&self, text: &str) {
        std::fs::write(self.directory.path().join("key"), text).unwrap();
    }

    async fn door(&self) -> Door {
        self.door_with("").await
    }

    /// A door with these settings of the bridge.
    async fn door_with(&self, bridge: &str) -> Door {
        let settings = format!(
            "{bridge}[[bridge.tokens]]\nsource = 'http'\nurl = 'http://{}/{{token}}'\nallow = ['127.0.0.1:*']\n\
             headers = {{ X-Version = '2.31' }}\nsecret-headers = {{ X-Key = '{}' }}\n\
             answer = {{ host = '/console/host', port = '/console/port', path = '/console/path', \
             expires = '/until' }}\n",
            self.api.address(),
            self.directory.path().join("key").display(),
        );
        Door::open(&settings).await
    }

    /// Asks for the console, and answers in the place of the API.
    async fn ask(&self, door: &Door, key: &str, more: &str) -> Wire {
        let mut client = door.tls().await;
        client
            .send(Door::handshake("/websockify?token=vm", ""))
            .await;
        self.answer(key, more).await;
        client
    }

    /// Answers the next question in the place of the API.
    async fn answer(&self, key: &str, more: &str) {
        let mut api = self.api.accept().await;
        let head = api.head().await;
        assert_eq!(
            (head.one("x-version"), head.one("x-key")),
            (Some("2.31"), Some(key))
        );
        let (host, port) = self.console.address().split_once(':').unwrap();
        let body =
            format!("{{\"console\":{{\"host\":\"{host}\",\"port\":{port},\"path\":null{more}}}");
        let length = body.len();
        api.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[tokio::test]
async fn an_api_gets_its_headers_and_is_read_where_the_configuration_says() {
    let cloud = Cloud::new().await;
    let door = cloud.door().await;
    // The key is read at each question.
    for key in ["soup", "rice"] {
        cloud.key(&format!("{key}\n"));
        let mut client = cloud.ask(&door, key, "}").await;
        let mut console = cloud.console.accept().await;
        assert_eq!(client.answer().await.status, 101);
        console.send("hello").await;
        assert_eq!(client.frame().await.payload, b"hello");
    }
    std::fs::remove_file(cloud.directory.path().join("key")).unwrap();
    let handshake = Door::handshake("/websockify?token=vm", "");
    assert_eq!(door.tls().await.ask(&handshake).await.status, 502);
}

#[tokio::test]
async fn a_host_is_asked_to_connect_before_the_console_begins() {
    let cloud = Cloud::new().await;
    cloud.key("soup");
    let door = cloud.door().await;
    for (answer, status) in [
        ("HTTP/1.1 200 Connected\r\nA: b\r\n\r\nhello", 101),
        ("HTTP/1.1 404 Not Found\r\n\r\n", 502),
        ("SSH-2.0 200 x\r\n\r\n", 502),
    ] {
        let more = ",\"path\":\"a/b?c\"}";
        let mut client = cloud.ask(&door, "soup", more).await;
        let mut console = cloud.console.accept().await;
        assert_eq!(console.take(CONNECT.len()).await, CONNECT);
        console.send(answer).await;
        assert_eq!(client.answer().await.status, status, "{answer}");
        if status == 101 {
            assert_eq!(client.frame().await.payload, b"hello");
        }
    }
}

#[tokio::test]
async fn a_console_ends_with_the_token_that_has_an_end() {
    let cloud = Cloud::new().await;
    cloud.key("soup");
    let door = cloud.door().await;
    let mut client = cloud
        .ask(&door, "soup", &format!("}},\"until\":{}", now()))
        .await;
    assert_eq!(client.answer().await.status, 404);
    let mut client = cloud
        .ask(&door, "soup", &format!("}},\"until\":{}", now() + 2))
        .await;
    let _console = cloud.console.accept().await;
    assert_eq!(client.answer().await.status, 101);
    let frame = client.frame().await;
    assert_eq!(
        (frame.opcode, &frame.payload[..2]),
        (CLOSE, &4404_u16.to_be_bytes()[..])
    );
}

#[tokio::test]
async fn a_console_ends_when_its_token_leads_elsewhere_on_the_same_host() {
    let cloud = Cloud::new().await;
    cloud.key("soup");
    let door = cloud.door_with("[bridge]\nrecheck-tokens = '20ms'\n").await;
    let path = |path: &str| format!(",\"path\":\"{path}\"}}");
    let mut client = cloud.ask(&door, "soup", &path("a/b?c")).await;
    let mut console = cloud.console.accept().await;
    assert_eq!(console.take(CONNECT.len()).await, CONNECT);
    console.send("HTTP/1.1 200 OK\r\n\r\nhello").await;
    assert_eq!(client.answer().await.status, 101);
    assert_eq!(client.frame().await.payload, b"hello");
    for more in [path("a/b?c"), path("other")] {
        cloud.answer("soup", &more).await;
    }
    assert_eq!(client.close_code().await, 4404);
}

#[tokio::test]
async fn one_address_has_half_of_the_look_ups_of_a_source_that_is_slow() {
    let api = Backend::tcp().await;
    let settings = format!(
        "[server]\nhosts = ['door.example']\n[[bridge.tokens]]\nsource = 'http'\nurl = 'http://{}/{{token}}'\n\
         allow = ['127.0.0.1:*']\ntimeout = '20s'\n",
        api.address()
    );
    let door = Door::open(&settings).await;
    let ask = |wire: Wire| async {
        let mut wire = wire;
        wire.send(Door::handshake("/websockify?token=vm", "")).await;
        wire
    };
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(ask(door.plain().await).await);
    }
    let mut asked = Vec::new();
    for _ in 0..8 {
        asked.push(api.accept().await);
    }
    api.has_nobody().await;
    clients.push(ask(door.plain_from("127.0.0.2").await).await);
    asked.push(api.accept().await);
    // Those that wait come when others have their answer.
    let unknown = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    asked[0].send(unknown).await;
    api.accept().await.head().await;
}
