//! A drained address of an app: the command waits for what is in progress there, and an upgrade keeps it drained.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;

use super::{App, Fixture, answer, line};
use crate::support::{PATIENCE, Process, until};

/// One address of an app, whose requests are answered when the test says so.
struct Held(TcpListener);

impl Held {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The request that has come to it, if one has.
    fn request(&self) -> Option<BufReader<TcpStream>> {
        let (stream, _) = self.0.accept().ok()?;
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = BufReader::new(stream);
        // A connection that only tries the address sends nothing.
        line(&mut stream).starts_with("GET ").then_some(stream)
    }

    /// A client's request that this address holds; others go to the other address.
    fn hold(&self, fixture: &Fixture) -> (BufReader<TcpStream>, BufReader<TcpStream>) {
        let mut clients = Vec::new();
        until("a request at this address", || {
            clients.push(fixture.ask("GET / HTTP/1.1"));
            let request = self.request()?;
            Some((clients.pop()?, request))
        })
    }
}

fn waiting(fixture: &Fixture, address: &str, wait: &str) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_noren"))
        .args(["drain", "--socket", &fixture.socket, "app", address, wait])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_drain_waits_for_what_is_in_progress_and_an_upgrade_keeps_the_address_drained() {
    let (held, other) = (Held::open(), App::serve());
    let address = held.address().to_string();
    let fixture = Fixture::open(&format!(
        "[[app]]\nurls = ['http://{address}', 'http://{}']\n",
        other.0
    ));
    let (mut client, mut request) = held.hold(&fixture);
    let late = fixture.noren(&["drain", "app", &address, "--wait=100ms"]);
    assert_eq!(late.status.code(), Some(1), "{}", late.stderr);
    assert!(
        late.stdout.contains("gets no further requests"),
        "{}",
        late.stdout
    );
    assert!(
        late.stderr
            .contains("1 request and 0 WebSockets still in progress"),
        "{}",
        late.stderr
    );
    let wait = waiting(&fixture, &format!("http://{address}"), "--wait");
    request
        .get_mut()
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        .unwrap();
    drop(request);
    assert!(line(&mut client).contains("200"));
    let ended = wait.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(
        said.ends_with("nothing is in progress there any more\n"),
        "{said}"
    );

    let next = Process::after_upgrade(&fixture.noren(&["upgrade"]).well());
    for _ in 0..10 {
        assert!(line(&mut fixture.ask("GET / HTTP/1.1")).contains("200"));
    }
    assert!(
        held.request().is_none(),
        "it is drained after the upgrade too"
    );
    let status = fixture.noren(&["status", "--json"]).well().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(
        status["apps"][0]["addresses"][0]["drained"], true,
        "{status}"
    );

    // Of a request that only the process before knows, the next one cannot say when it ends.
    let _ = fixture.noren(&["drain", "app", &address, "--undo"]).well();
    let (mut client, request) = held.hold(&fixture);
    let wait = waiting(&fixture, &address, "--wait");
    until("the address to be drained", || {
        let status = fixture.noren(&["status", "--json"]).well().stdout;
        status.contains("\"drained\":true").then_some(())
    });
    let last = Process::after_upgrade(&fixture.noren(&["upgrade"]).well());
    let ended = wait.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("another process of Noren serves now"),
        "{said}"
    );
    answer(request);
    assert!(line(&mut client).contains("200"));
    drop((next, last));
}

/// True if the address is drained by a status, if that has it.
fn is_drained(status: &str, address: &str) -> Option<bool> {
    let (_, body) = status.split_once("\r\n\r\n")?;
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let all = body["apps"][0]["addresses"].as_array()?;
    let one = all.iter().find(|one| one["address"] == address)?;
    one["drained"].as_bool()
}

#[test]
fn an_order_during_an_upgrade_is_kept_or_refused() {
    let (one, other) = (App::serve(), App::serve());
    let address = one.0.to_string();
    let fixture = Fixture::open(&format!(
        "[[app]]\nname = 'app'\nurls = ['http://{address}', 'http://{}']\n",
        other.0
    ));
    let order = |method: &str, target: &str| {
        let mut stream = UnixStream::connect(&fixture.socket).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    let mut processes = Vec::new();
    for _ in 0..3 {
        let (upgrade, lost) = thread::scope(|scope| {
            let upgrade = scope.spawn(|| fixture.noren(&["upgrade"]).well());
            let (mut drained, mut lost) = (false, None::<bool>);
            while !upgrade.is_finished() {
                let undo = if drained { "&undo=" } else { "" };
                let done = order("POST", &format!("/drain/app?address={address}{undo}"));
                if !done.is_some_and(|done| done.starts_with("HTTP/1.1 200")) {
                    continue;
                }
                drained = !drained;
                // For a moment both processes take connections; in the end only the one that serves.
                let is_shown = loop {
                    let is_last = upgrade.is_finished();
                    let status = order("GET", "/status?rows=0").unwrap_or_default();
                    if is_drained(&status, &address) == Some(drained) {
                        break true;
                    }
                    if is_last && !status.is_empty() {
                        break false;
                    }
                };
                if !is_shown {
                    lost = Some(drained);
                }
            }
            (upgrade.join().unwrap(), lost)
        });
        // Only now, so that the next process is ended with the test.
        processes.push(Process::after_upgrade(&upgrade));
        assert_eq!(lost, None);
        let _ = order("POST", &format!("/drain/app?address={address}&undo="));
    }
}

#[test]
fn an_order_that_cannot_mean_anything_is_refused() {
    let fixture = Fixture::open("[[app]]\nurls = ['http://127.0.0.1:1', 'http://127.0.0.1:2']\n");
    for (arguments, said) in [
        (
            &["drain", "app", "127.0.0.1:1", "--undo", "--wait"][..],
            "cannot be used with",
        ),
        (
            &["drain", "app", "127.0.0.1:1", "--wait=soon"],
            "is not a duration",
        ),
        (
            &["drain", "app", "127.0.0.1:3"],
            "has no address 127.0.0.1:3",
        ),
    ] {
        let refused = fixture.noren(arguments);
        assert!(!refused.status.success());
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
}
