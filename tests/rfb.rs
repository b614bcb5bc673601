//! Consoles that the door speaks RFB with: who may touch them, and what passes. The tests play host and client byte by
//! byte; real programs are in `real_rfb`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use noren::config::{SecretFile, Signed};
use noren::{LinkOrder, sign_link};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use crate::harness::{Answer, Backend, CLOSE, Door, Wire, binary, within};
use crate::support::Certificates;

const VERSION: &[u8] = b"RFB 003.008\n";
const KEY: [u8; 8] = [4, 1, 0, 0, 0, 0, 0, 65];
const LOOK: [u8; 10] = [3, 0, 0, 0, 0, 0, 0, 9, 0, 9];

/// A console as both ends have it, behind the handshake.
struct Console {
    client: Wire,
    host: Wire,
}

/// Lets the door in without a password.
async fn let_in(host: &mut Wire) {
    host.send(VERSION).await;
    assert_eq!(host.take(VERSION.len()).await, VERSION);
    host.send([1, 1]).await;
    assert_eq!(host.take(1).await, [1]);
    host.send([0; 4]).await;
}

/// Sends the handshake of a WebSocket, and lets the door in at the host while it waits.
async fn knock(door: &Door, host: &Backend, token: &str, cookie: &str) -> (Wire, Wire, Answer) {
    let mut client = door.tls().await;
    let lines = format!("Cookie: wok={cookie}\r\n");
    let path = format!("/websockify?token={token}");
    client.send(Door::handshake(&path, &lines)).await;
    let mut at_host = host.accept().await;
    let_in(&mut at_host).await;
    let answer = client.answer().await;
    (client, at_host, answer)
}

/// The payload of binary frames, as many bytes as that.
async fn payload(client: &mut Wire, length: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < length {
        read.extend(client.frame().await.payload);
    }
    read
}

impl Console {
    async fn open(door: &Door, host: &Backend, token: &str, cookie: &str) -> Self {
        let (mut client, host, answer) = knock(door, host, token, cookie).await;
        assert_eq!(answer.status, 101, "{}", answer.text());
        assert_eq!(payload(&mut client, 12).await, VERSION);
        client.send(binary(VERSION)).await;
        assert_eq!(payload(&mut client, 2).await, [1, 1]);
        client.send(binary(&[1])).await;
        assert_eq!(payload(&mut client, 4).await, [0; 4]);
        Self { client, host }
    }

    /// True if a key reaches the host. The client wants the console for itself.
    async fn may_touch(&mut self) -> bool {
        self.client.send(binary(&[0])).await;
        self.client.send(binary(&[&KEY[..], &LOOK].concat())).await;
        let shared = self.host.take(1).await;
        let first = self.host.take(8).await;
        let touches = first == KEY;
        let rest = if touches { 10 } else { 2 };
        let rest = [
            &first[first.len() * usize::from(touches)..],
            &self.host.take(rest).await,
        ]
        .concat();
        assert_eq!(rest, LOOK);
        assert_eq!(shared, [u8::from(!touches)], "a viewer throws nobody out");
        touches
    }
}

/// An app that knows `cook` as ann of the kitchen, `guest` as bob of the guests, and `eve`.
async fn app() -> String {
    let backend = Backend::tcp().await;
    let settings = backend.app();
    tokio::spawn(async move {
        loop {
            let mut wire = backend.accept().await;
            tokio::spawn(async move {
                loop {
                    let head = wire.head().await;
                    let who = match head.one("cookie") {
                        Some("wok=cook") => "X-User: ann\r\nX-Groups: kitchen\r\n",
                        Some("wok=guest") => "X-User: bob\r\nX-Groups: guests\r\n",
                        _ => "X-User: eve\r\n",
                    };
                    wire.send(format!("HTTP/1.1 200 OK\r\n{who}Content-Length: 0\r\n\r\n"))
                        .await;
                }
            });
        }
    });
    format!(
        "{settings}[session]\npath = '/me'\nname-header = 'X-User'\ngroups-header = 'X-Groups'\n"
    )
}

fn link(directory: &Path, name: &str, view_only: bool) -> String {
    let rules = Signed {
        keys: vec![SecretFile::File(directory.join("key"))],
        ..Signed::default()
    };
    let order = LinkOrder {
        name,
        expires: Duration::from_secs(60),
        single_use: false,
        view_only,
        address: None,
    };
    sign_link(&rules, &order).unwrap()
}

/// A token file with these lines, and a key for links.
fn tokens(lines: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("tokens"), lines).unwrap();
    let secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA";
    fs::write(directory.path().join("key"), secret).unwrap();
    directory
}

fn source(directory: &Path, rfb: &str) -> String {
    let path = |name: &str| directory.join(name).display().to_string();
    format!(
        "[bridge.signed]\nkeys = ['{}']\nstore = '{}'\nrequired = false\n\
         [[bridge.tokens]]\nsource = 'file'\npath = '{}'\n{rfb}\n",
        path("key"),
        path("used"),
        path("tokens"),
    )
}

#[tokio::test]
async fn whoever_may_only_look_is_held_to_it_by_link_token_user_and_group() {
    let host = Backend::tcp().await;
    let (raw, address) = (Backend::tcp().await, host.address());
    let directory = tokens(&format!("open: {address}\nlooking: {address} view-only\n"));
    let rfb = "rfb = { viewers = ['group:guests', 'eve'] }";
    let fixed = format!(
        "[[bridge.target]]\ntoken = 'all'\naddress = '{address}'\nrfb = {{ view-only = true }}\n\
         [[bridge.target]]\ntoken = 'cooks'\naddress = '{address}'\nrfb = {{ operators = ['group:kitchen'] }}\n\
         [[bridge.target]]\ntoken = 'raw'\naddress = '{}'\n",
        raw.address()
    );
    let settings = [app().await, source(directory.path(), rfb), fixed];
    let door = Door::open(&settings.concat()).await;
    let looking = link(directory.path(), "open", true);
    let touching = link(directory.path(), "open", false);
    for (token, cookie, touches) in [
        ("open", "cook", true),
        ("open", "guest", false),
        ("open", "eve", false),
        ("looking", "cook", false),
        (&looking, "cook", false),
        (&touching, "cook", true),
        (&touching, "guest", false),
        ("all", "cook", false),
        ("cooks", "cook", true),
        ("cooks", "guest", false),
    ] {
        let mut console = Console::open(&door, &host, token, cookie).await;
        assert_eq!(console.may_touch().await, touches, "{token} {cookie}");
    }
    // Nobody can be held to it where RFB is not spoken.
    let looking = link(directory.path(), "raw", true);
    let path = format!("/websockify?token={looking}");
    let handshake = Door::handshake(&path, "Cookie: wok=cook\r\n");
    let answer = door.tls().await.ask(&handshake).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
}

#[tokio::test]
async fn a_message_that_is_not_known_ends_a_viewer_and_nobody_else() {
    let host = Backend::tcp().await;
    let address = host.address();
    let directory = tokens(&format!("open: {address}\nlooking: {address} view-only\n"));
    let door = Door::open(&source(directory.path(), "rfb = {}")).await;
    let mut console = Console::open(&door, &host, "open", "").await;
    console.client.send(binary(&[1, 127, 0, 9])).await;
    assert_eq!(console.host.take(4).await, [1, 127, 0, 9]);

    let mut console = Console::open(&door, &host, "looking", "").await;
    console.client.send(binary(&[1, 127, 0, 9])).await;
    let frame = console.client.frame().await;
    assert_eq!(
        (frame.opcode, &frame.payload[..2]),
        (CLOSE, &1008_u16.to_be_bytes()[..])
    );
    let reason = String::from_utf8_lossy(&frame.payload[2..]).into_owned();
    assert!(reason.contains("a type that is not known"), "{reason}");
    assert_eq!(console.host.rest().await, [1]);
}

#[tokio::test]
async fn a_console_ends_when_its_token_becomes_one_for_looking_only() {
    let host = Backend::tcp().await;
    let line = format!("vm: {}", host.address());
    let directory = tokens(&line);
    let settings = source(directory.path(), "rfb = {}");
    let door = Door::open(&format!("[bridge]\nrecheck-tokens = '10ms'\n{settings}")).await;
    let mut console = Console::open(&door, &host, "vm", "").await;
    assert!(console.may_touch().await);
    fs::write(directory.path().join("tokens"), format!("{line} view-only")).unwrap();
    let frame = console.client.frame().await;
    assert_eq!(
        (frame.opcode, &frame.payload[..2]),
        (CLOSE, &4404_u16.to_be_bytes()[..])
    );
}

#[tokio::test]
async fn no_clipboard_leaves_the_host_where_the_configuration_says_so() {
    let host = Backend::tcp().await;
    let directory = tokens(&format!("vm: {}", host.address()));
    let settings = source(directory.path(), "rfb = { clipboard = 'to-host' }");
    let door = Door::open(&settings).await;
    let mut console = Console::open(&door, &host, "vm", "").await;
    console.client.send(binary(&[1])).await;
    assert_eq!(console.host.take(1).await, [1]);
    let format = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
    let init = [&[0, 9, 0, 9][..], &format, &[0, 0, 0, 2], b"vm"].concat();
    let secret = [&[3, 0, 0, 0, 0, 0, 0, 4][..], b"soup"].concat();
    let picture = [
        &[0, 0, 0, 1][..],
        &[0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0],
        &[3; 8],
    ]
    .concat();
    console
        .host
        .send([&init[..], &secret, &picture, &secret, &[2]].concat())
        .await;
    let expected = [&init[..], &picture, &[2]].concat();
    assert_eq!(payload(&mut console.client, expected.len()).await, expected);
    // The other way is open.
    let mine = [&[6, 0, 0, 0, 0, 0, 0, 4][..], b"rice"].concat();
    console.client.send(binary(&mine)).await;
    assert_eq!(console.host.take(mine.len()).await, mine);
}

/// Lets the door in by VeNCrypt with X509Plain, and returns what it says of itself.
async fn let_in_by_name(host: &Backend, acceptor: &TlsAcceptor) -> Vec<u8> {
    let mut plain = host.accept_tcp().await;
    for (sent, expected) in [
        (VERSION, VERSION),
        (&[1, 19], &[19]),
        (&[0, 2], &[0, 2]),
        (&[0, 2, 0, 0, 1, 0, 0, 0, 1, 6], &[0, 0, 1, 6]),
    ] {
        plain.write_all(sent).await.unwrap();
        let mut read = vec![0; expected.len()];
        let all = plain.read_exact(&mut read);
        within("the door to answer", all).await.unwrap();
        assert_eq!(read, expected);
    }
    plain.write_all(&[1]).await.unwrap();
    let secured = within("the handshake", acceptor.accept(plain)).await;
    let mut secured = Wire::new(secured.unwrap());
    let lengths = secured.take(8).await;
    let length = usize::from(lengths[3]) + usize::from(lengths[7]);
    let said = secured.take(length).await;
    secured.send([0; 4]).await;
    said
}

#[tokio::test]
async fn a_user_and_a_password_go_to_a_host_with_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    Certificates::new(directory.path()).sign(directory.path(), "host", &["localhost"]);
    let file = |name: &str| directory.path().join(name);
    let chain = CertificateDer::pem_file_iter(file("host.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("host.key")).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let host = Backend::tcp().await;
    fs::write(file("password"), "secret\n").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(file("password"), private).unwrap();
    let door = Door::open(&format!(
        "{}rfb = {{ tls = {{ ca = '{}', name = 'localhost' }}, user = 'noren', password = '{}' }}\n",
        host.target("vm"),
        file("ca.pem").display(),
        file("password").display(),
    ))
    .await;
    let mut client = door.tls().await;
    client
        .send(Door::handshake("/websockify?token=vm", ""))
        .await;
    assert_eq!(let_in_by_name(&host, &acceptor).await, b"norensecret");
    assert_eq!(client.answer().await.status, 101);
}

/// The bytes by which a browser of this version is refused, without the length of the reason and the reason itself.
async fn refused(client: &mut Wire, version: &[u8], form: usize) -> (Vec<u8>, String) {
    assert_eq!(payload(client, 12).await, VERSION);
    client.send(binary(version)).await;
    let mut read = Vec::new();
    let frame = loop {
        let frame = client.frame().await;
        if frame.opcode == CLOSE {
            break frame;
        }
        read.extend(frame.payload);
    };
    assert_eq!(&frame.payload[..2], &1011_u16.to_be_bytes());
    let reason = String::from_utf8(read[form + 4..].to_vec()).unwrap();
    assert_eq!(frame.payload[2..], *reason.as_bytes());
    let length = u32::try_from(reason.len()).unwrap().to_be_bytes();
    assert_eq!(read[form..form + 4], length);
    (read[..form].to_vec(), reason)
}

#[tokio::test]
async fn a_host_that_lets_nobody_in_refuses_the_browser_in_the_words_of_rfb() {
    let host = Backend::tcp().await;
    let target = host.target("vm");
    let door = Door::open(&format!("{target}rfb = {{ timeout = '300ms' }}\n")).await;
    let said = "the console behind this token refuses Noren; the log of Noren says why";
    let slow = "the console behind this token did not respond in time";
    for (first, version, expected, reason) in [
        (&b"SSH-2.0-OpenSSH_9\r\n"[..], VERSION, &[0][..], said),
        (b"RFB 003.008\n\0\0\0\0\x04full", VERSION, &[0], said),
        (b"RFB 003.008\n\x01\x10", b"RFB 003.003\n", &[0; 4], said),
        (b"", VERSION, &[0], slow),
    ] {
        let mut client = door.tls().await;
        let handshake = Door::handshake("/websockify?token=vm", "");
        client.send(handshake).await;
        let mut at_host = host.accept().await;
        at_host.send(first).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 101, "{}", answer.text());
        let (form, told) = refused(&mut client, version, expected.len()).await;
        assert_eq!((form.as_slice(), told.as_str()), (expected, reason));
    }
    // One that is not there is no console at all.
    drop(host);
    let handshake = Door::handshake("/websockify?token=vm", "");
    assert_eq!(door.tls().await.ask(&handshake).await.status, 502);
}

#[tokio::test]
async fn a_browser_that_says_nothing_is_not_refused_for_ever() {
    let host = Backend::tcp().await;
    let target = host.target("vm");
    let door = Door::open(&format!("{target}rfb = {{ timeout = '300ms' }}\n")).await;
    let mut client = door.tls().await;
    let handshake = Door::handshake("/websockify?token=vm", "Sec-WebSocket-Protocol: base64\r\n");
    client.send(handshake).await;
    host.accept().await.send(b"HTTP/1.1 400 \r\n").await;
    assert_eq!(client.answer().await.status, 101);
    assert_eq!(client.frame().await.payload, b"UkZCIDAwMy4wMDgK");
    assert_eq!(client.close_code().await, 1011);
}
