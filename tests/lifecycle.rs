//! From the first socket to the last: listeners, certificates, reload and stop.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod drain;
mod handover;
mod tls;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use noren::Config;
use tokio::net::{TcpStream, UnixStream};

use crate::harness::{Backend, Door, Http2, Identity, Wire, bind, until, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// The listener of a server that serves nothing else.
const HTTPS: &str = "[[listener]]\naddress = '127.0.0.1:0'\n";

#[tokio::test]
async fn a_stop_waits_for_the_request_that_is_under_way() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let address = door.http;
    let mut client = door.plain().await;
    client.send(Door::get("/slow", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let stopped = door.stop();
    // New clients are not served any more.
    until("the listener to be closed", || async {
        let refused = TcpStream::connect(address).await;
        refused
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
            .then_some(())
    })
    .await;
    assert!(!stopped.is_finished());
    worker.send(OK).await;
    let answer = client.answer().await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(client.rest().await, b"", "the connection ends after it");
    assert_eq!(within("the drain", stopped).await.unwrap().left, 0);
}

#[tokio::test]
async fn a_stop_waits_for_the_request_in_an_http2_connection_too() {
    let app = Backend::tcp().await;
    let door = Door::open(&app.app()).await;
    let mut client = Http2::open(&door).await;
    let (answer, _) = client.begin(Http2::get("/slow"), true).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let stopped = door.stop();
    worker.send(OK).await;
    let answer = within("an answer", answer).await.unwrap();
    assert_eq!(answer.status(), 200);
    drop(answer);
    assert_eq!(within("the drain", stopped).await.unwrap().left, 0);
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_half_open_ones_at_once() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[server]\ndrain = '1h'\n", app.app())).await;
    let mut silent = door.plain().await;
    let mut handshaking = Wire::new(TcpStream::connect(door.https).await.unwrap());
    let mut idle = door.tls().await;
    assert_eq!(idle.ask(&Door::get("/a/../b", "")).await.status, 400);
    let mut idle = door.tls().await;
    let answer = idle
        .ask("OPTIONS * HTTP/1.1\r\nHost: door.example\r\n\r\n")
        .await;
    assert_eq!(answer.status, 204);
    let mut http2 = Http2::open(&door).await;
    assert_eq!(http2.status(Http2::get("/%00")).await, Some(400));
    let stopped = door.stop();
    assert_eq!(silent.rest().await, b"");
    assert_eq!(handshaking.rest().await, b"");
    assert_eq!(idle.rest().await, b"");
    let ended = within("the end of the HTTP/2 connection", http2.connection).await;
    ended.unwrap().unwrap();
    assert_eq!(within("the drain", stopped).await.unwrap().left, 0);
}

#[tokio::test]
async fn a_stop_counts_what_did_not_end_in_its_grace() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[server]\ndrain = '200ms'\n", app.app())).await;
    let mut client = door.plain().await;
    client.send(Door::get("/endless", "")).await;
    let mut worker = app.accept().await;
    worker.head().await;
    let drained = within("the drain", door.stop()).await.unwrap();
    assert_eq!(drained.left, 1);
}

/// The status of a request on a new connection.
async fn status(door: &Door, path: &str) -> u16 {
    door.plain().await.ask(&Door::get(path, "")).await.status
}

#[tokio::test]
async fn a_reload_changes_the_routes_of_open_connections_too_and_leaves_what_is_under_way() {
    let (old, new) = (Backend::tcp().await, Backend::tcp().await);
    let door = Door::open(&format!("{}path = '/old'\n", old.app())).await;
    let mut open = door.plain().await;
    assert_eq!(open.ask(&Door::get("/new", "")).await.status, 404);
    let mut http2 = Http2::open(&door).await;
    assert_eq!(http2.status(Http2::get("/new")).await, Some(404));
    let mut busy = door.plain().await;
    busy.send(Door::get("/old", "")).await;
    let mut busy_worker = old.accept().await;
    busy_worker.head().await;
    let config = format!("{}{}path = '/new'\n", door.base, new.app());
    door.handle
        .reload(Config::parse(&config, "new.toml").unwrap())
        .unwrap();
    assert_eq!(status(&door, "/old").await, 404);
    let mut client = door.plain().await;
    client.send(Door::get("/new", "")).await;
    let mut worker = new.accept().await;
    worker.head().await;
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    assert_eq!(open.ask(&Door::get("/old", "")).await.status, 404);
    assert_eq!(http2.status(Http2::get("/old")).await, Some(404));
    busy_worker.send(OK).await;
    assert_eq!(
        busy.answer().await.text(),
        "ok",
        "a request ends where it began"
    );
}

#[tokio::test]
async fn a_reload_does_not_touch_an_open_console() {
    let console = Backend::tcp().await;
    let door = Door::open(&console.target("vm")).await;
    let mut client = door.websocket("/websockify?token=vm").await;
    let mut target = console.accept().await;
    let config = format!("{}{}", door.base, console.target("other"));
    door.handle
        .reload(Config::parse(&config, "new.toml").unwrap())
        .unwrap();
    target.send("still here").await;
    assert_eq!(client.frame().await.payload, b"still here");
    let gone = door
        .plain()
        .await
        .ask(&Door::handshake("/websockify?token=vm", ""))
        .await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_taken_leaves_the_old_one_in_force() {
    let door =
        Door::open("[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\npath = '/old'\n")
            .await;
    let new_app = "[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\npath = '/new'\n";
    let missing = "[[tls.certificate]]\ncertificate = '/nonexistent/c'\nkey = '/nonexistent/k'\n";
    for (config, reason) in [
        (format!("{}{missing}{new_app}", door.base), "/nonexistent/c"),
        (
            format!("{HTTPS}{new_app}"),
            "[[listener]] cannot be changed by a reload",
        ),
        (
            format!("{HTTPS}{new_app}[server]\nthreads = 3\n"),
            "[[listener]], server.threads cannot be changed",
        ),
    ] {
        let error = door
            .handle
            .reload(Config::parse(&config, "new.toml").unwrap())
            .unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(status(&door, "/old").await, 503, "the old route");
        assert_eq!(status(&door, "/new").await, 404, "no new route");
    }
}

#[tokio::test]
async fn a_reload_changes_how_many_connections_there_may_be() {
    let door = Door::open("[[app]]\nurl = 'unix:/nonexistent/app'\npath = '/a'\n").await;
    let limit = |limit: &str| {
        let app = "[[app]]\nurl = 'unix:/nonexistent/app'\npath = '/a'\n[limits]\n";
        let config = format!("{}{app}{limit}\n", door.base);
        door.handle
            .reload(Config::parse(&config, "new.toml").unwrap())
            .unwrap();
    };
    let mut first = door.plain().await;
    assert_eq!(first.ask(&Door::get("/", "")).await.status, 404);
    limit("connections-per-address = 1");
    assert_eq!(
        door.plain().await.rest().await,
        b"",
        "a second one is refused"
    );
    assert_eq!(
        first.ask(&Door::get("/", "")).await.status,
        404,
        "the first stays"
    );
    limit("connections = 1");
    let mut waiting = door.plain().await;
    waiting.send(Door::get("/", "")).await;
    assert_eq!(first.ask(&Door::get("/", "")).await.status, 404);
    limit("connections = 2");
    assert_eq!(waiting.answer().await.status, 404, "it was only waiting");
}

#[tokio::test]
async fn a_unix_listener_has_its_mode_replaces_a_stale_file_and_removes_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("door.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a stale socket file");
    let app = Backend::tcp().await;
    let config = format!(
        "[[listener]]\naddress = 'unix:{}'\nprotocol = 'http'\nmode = '0606'\n{}",
        path.display(),
        app.app()
    );
    let server = bind(&config);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o606
    );
    let second = noren::Server::bind(Config::parse(&config, "second.toml").unwrap()).unwrap_err();
    assert!(
        second.to_string().contains("another program listens"),
        "{second}"
    );
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    let mut client = Wire::new(UnixStream::connect(&path).await.unwrap());
    client.send(Door::get("/", "Connection: close\r\n")).await;
    let mut worker = app.accept().await;
    let head = worker.head().await;
    assert!(
        head.all("x-forwarded-for").is_empty(),
        "there is no address to tell"
    );
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    stop.send(()).unwrap();
    assert_eq!(within("the drain", running).await.unwrap().left, 0);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_listener_does_not_remove_a_file_that_is_no_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    fs::write(&path, "data").unwrap();
    let config = format!(
        "[[listener]]\naddress = 'unix:{}'\nprotocol = 'http'\n[[app]]\nurl = 'unix:/a'\n",
        path.display()
    );
    let error = noren::Server::bind(Config::parse(&config, "test.toml").unwrap()).unwrap_err();
    assert!(error.to_string().contains("not a socket"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"data");
}

#[tokio::test]
async fn a_redirect_listener_sends_everybody_to_https_with_path_and_query() {
    let listener = "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'redirect'\n";
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::new(directory.path(), &["door.example"]);
    let server = bind(&format!(
        "{listener}{listener}redirect-port = 8001\n{}[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\n",
        identity.settings
    ));
    let [first, second] = server.local_addrs()[..] else {
        panic!("two listeners");
    };
    let running = tokio::spawn(server.run(std::future::pending()));
    for (address, host, location) in [
        (first, "door.example", "https://door.example/a%20b//c?d=/e"),
        (
            first,
            "door.example:80",
            "https://door.example/a%20b//c?d=/e",
        ),
        (
            second,
            "door.example:8000",
            "https://door.example:8001/a%20b//c?d=/e",
        ),
        (second, "[::1]:80", "https://[::1]:8001/a%20b//c?d=/e"),
    ] {
        let mut client = Wire::new(TcpStream::connect(address).await.unwrap());
        let request = format!("POST /a%20b//c?d=/e HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = client.ask(&request).await;
        assert_eq!(answer.status, 308);
        assert_eq!(answer.head.one("location"), Some(location));
        assert_eq!(answer.head.one("strict-transport-security"), None);
    }
    for host in ["evil.example/x", "user@evil.example"] {
        let mut client = Wire::new(TcpStream::connect(first).await.unwrap());
        let answer = client
            .ask(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        assert_eq!((answer.status, answer.head.one("location")), (400, None));
    }
    running.abort();
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_what_to_write() {
    let door = Door::open("[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\n").await;
    let mut client = Wire::new(TcpStream::connect(door.https).await.unwrap());
    let answer = client.ask(&Door::get("/", "")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("write https:// instead of http://"));
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_before_anything_is_served() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!(
        "[[listener]]\naddress = '{}'\nprotocol = 'http'\n[[app]]\nurl = 'unix:/a'\n",
        taken.local_addr().unwrap()
    );
    let error = noren::Server::bind(Config::parse(&config, "test.toml").unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("another program listens"),
        "{error}"
    );
}
