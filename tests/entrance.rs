//! Tests of authentication of a route: origins, passwords and client certificates, before anything behind it is
//! asked.

#![allow(
    clippy::unwrap_used,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;
use std::sync::Arc;

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{Answer, Backend, Door, Wire, client_config, until, within};

const PAGE: &str = "Origin: https://evil.example\r\n";

/// The header that shows a user's password.
fn basic(credential: &str) -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(credential);
    format!("Authorization: Basic {encoded}\r\n")
}

/// A file of users.
fn users(directory: &TempDir, text: &str) -> String {
    let path = directory.path().join("users");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Serves one request of the app, and tells its head.
async fn serve(app: &Backend) -> crate::harness::Head {
    let mut worker = app.accept().await;
    let head = worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    head
}

#[tokio::test]
async fn a_page_of_another_site_opens_no_websocket_of_the_app() {
    let app = Backend::tcp().await;
    for (settings, lines, permitted) in [
        ("", PAGE, false),
        ("", "Origin: null\r\n", false),
        ("", "", true),
        ("missing-origin = false", "", false),
        ("", "Origin: https://door.example\r\n", true),
        ("origins = ['https://evil.example']", PAGE, true),
        (
            "origins = ['https://evil.example']",
            "Origin: https://door.example\r\n",
            false,
        ),
        ("origins = []", "Origin: https://door.example\r\n", false),
    ] {
        let door = Door::open(&format!("{}{settings}", app.app())).await;
        let mut client = door.tls().await;
        client.send(Door::handshake("/chat", lines)).await;
        if permitted {
            let head = app.accept().await.head().await;
            assert_eq!(head.start, "GET /chat HTTP/1.1", "{settings} {lines}");
        } else {
            let answer = client.answer().await;
            assert_eq!(answer.status, 403, "{settings} {lines}");
            assert!(!answer.text().contains("bridge"), "{}", answer.text());
            app.has_nobody().await;
        }
    }
}

#[tokio::test]
async fn an_ordinary_request_of_another_site_is_for_the_app_to_judge() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}origins = []", app.app())).await;
    let mut client = door.tls().await;
    let request = Door::get("/", PAGE);
    let (answer, head) = tokio::join!(client.ask(&request), serve(&app));
    assert_eq!(answer.status, 200);
    assert_eq!(head.one("origin"), Some("https://evil.example"));
}

#[tokio::test]
async fn a_refusal_names_the_list_that_refuses() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}[[channel]]\nname = 'news'", app.app())).await;
    for (path, table) in [
        ("/chat", "app.app.origins"),
        ("/events/news", "hub.origins"),
    ] {
        let answer = door.tls().await.ask(&Door::handshake(path, PAGE)).await;
        let said =
            format!("the page comes from https://evil.example, which {table} does not list\n");
        assert_eq!((answer.status, answer.text()), (403, said.as_str()));
    }
}

#[tokio::test]
async fn a_console_with_users_is_opened_with_a_password_only_and_the_app_does_not_see_it() {
    let directory = tempfile::tempdir().unwrap();
    let users = users(&directory, "cook:wok:1\n");
    let (app, console) = (Backend::tcp().await, Backend::tcp().await);
    let door = Door::open(&format!(
        "{}{}[bridge]\nusers = '{users}'\nrealm = 'Consoles'\n[session]\npath = '/tasks'\n",
        app.app(),
        console.target("vm")
    ))
    .await;
    for lines in [
        String::new(),
        basic("cook:wok"),
        basic("guest:wok:1"),
        "Authorization: Bearer Y29vazp3b2s6MQ==\r\n".to_owned(),
    ] {
        for path in [
            "/websockify?token=vm",
            "/websockify?token=nobody",
            "/websockify",
        ] {
            let answer = door.tls().await.ask(&Door::handshake(path, &lines)).await;
            assert_eq!(answer.status, 401, "{path} {lines}");
            let challenge = answer.head.one("www-authenticate");
            assert_eq!(
                challenge,
                Some("Basic realm=\"Consoles\", charset=\"UTF-8\"")
            );
        }
    }
    let twice = format!("{}{}", basic("cook:wok:1"), basic("cook:wok"));
    let handshake = Door::handshake("/websockify?token=vm", &twice);
    assert_eq!(door.tls().await.ask(&handshake).await.status, 400);
    app.has_nobody().await;
    let mut client = door.tls().await;
    let handshake = Door::handshake("/websockify?token=vm", &basic("cook:wok:1"));
    let (answer, asked) = tokio::join!(client.ask(&handshake), serve(&app));
    assert_eq!(answer.status, 101, "{}", answer.text());
    assert_eq!(asked.one("authorization"), None);
    console.accept().await;
}

#[tokio::test]
async fn an_app_with_users_is_told_who_it_is_and_nothing_a_client_says_of_that() {
    let directory = tempfile::tempdir().unwrap();
    let hash = bcrypt_of("tea");
    let users = users(&directory, &format!("# staff\nwaiter:{hash}\n"));
    let app = Backend::tcp().await;
    let settings = format!(
        "{}users = '{users}'\nuser-header = 'X-Remote-User'\n",
        app.app()
    );
    let door = Door::open(&settings).await;
    let lie = "X-Remote-User: root\r\nX_Remote_User: root\r\n";
    let mut client = door.tls().await;
    assert_eq!(client.ask(&Door::get("/", lie)).await.status, 401);
    let request = Door::get("/", &format!("{lie}{}", basic("waiter:tea")));
    let mut client = door.tls().await;
    let (answer, head) = tokio::join!(client.ask(&request), serve(&app));
    assert_eq!(answer.status, 200);
    assert_eq!(head.all("x-remote-user"), ["waiter"]);
    assert_eq!(head.one("x_remote_user"), None);
    assert_eq!(head.one("authorization"), None);
}

/// The hash that `htpasswd` would write; the cost is the least there is.
fn bcrypt_of(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

#[tokio::test]
async fn without_users_the_header_for_them_is_empty_and_a_password_is_the_apps() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!("{}user-header = 'X-Remote-User'\n", app.app())).await;
    let request = Door::get(
        "/",
        &format!("X-Remote-User: root\r\n{}", basic("cook:wok")),
    );
    let mut client = door.tls().await;
    let (answer, head) = tokio::join!(client.ask(&request), serve(&app));
    assert_eq!(answer.status, 200);
    assert_eq!(head.one("x-remote-user"), None);
    assert_eq!(head.one("authorization"), Some("Basic Y29vazp3b2s="));
}

#[tokio::test]
async fn channels_with_users_are_heard_with_a_password_only() {
    let directory = tempfile::tempdir().unwrap();
    let users = users(&directory, "cook:wok");
    let door = Door::open(&format!(
        "[hub]\nusers = '{users}'\n[[channel]]\nname = 'news'\npresence = true\n"
    ))
    .await;
    for path in [
        "/events/news",
        "/events/news/presence",
        "/events/-/noren.js",
    ] {
        let ask = |lines: String| {
            let door = &door;
            async move { door.tls().await.ask(&Door::get(path, &lines)).await.status }
        };
        assert_eq!(ask(String::new()).await, 401, "{path}");
        assert_eq!(ask(basic("cook:tea")).await, 401, "{path}");
        assert_eq!(ask(basic("cook:wok")).await, 200, "{path}");
    }
}

#[tokio::test]
async fn a_file_of_users_is_read_anew_by_a_reload_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = users(&directory, "cook:wok");
    let settings = format!("[hub]\nusers = '{path}'\n[[channel]]\nname = 'news'\n");
    let door = Door::open(&settings).await;
    let reload = || {
        let config = noren::Config::parse(&format!("{}{settings}", door.base), "test").unwrap();
        door.handle.reload(config)
    };
    let status = async |credential: &str| {
        let request = Door::get("/events/news", &basic(credential));
        door.tls().await.ask(&request).await.status
    };
    users(&directory, "cook");
    let said = reload().unwrap_err().to_string();
    assert_eq!(
        said,
        format!(
            "cannot use the users in {path}: line 1: there is no colon behind the name; write name:password"
        )
    );
    assert_eq!(status("cook:wok").await, 200);
    users(&directory, "cook:tea");
    reload().unwrap();
    assert_eq!(status("cook:wok").await, 401);
    assert_eq!(status("cook:tea").await, 200);
}

/// An authority for clients, in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    path: String,
}

impl Authority {
    fn new(directory: &TempDir, name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let path = directory.path().join(format!("{name}.pem"));
        fs::write(&path, issuer.pem()).unwrap();
        Self {
            issuer,
            path: path.display().to_string(),
        }
    }

    fn sign(&self, name: &str, alternative: &[&str]) -> Client {
        let names: Vec<String> = alternative.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Client(certificate.der().clone(), PrivateKeyDer::from(key))
    }
}

/// A certificate of a client, with its key.
struct Client(CertificateDer<'static>, PrivateKeyDer<'static>);

/// A connection to the door that shows this certificate, or none.
async fn connect(door: &Door, client: Option<&Client>) -> std::io::Result<TlsStream<TcpStream>> {
    let versions = rustls::ALL_VERSIONS;
    let plain = client_config(&door.trusted, versions, "http/1.1");
    let config = match client {
        None => plain,
        Some(Client(certificate, key)) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(door.trusted.clone()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            rustls::ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(versions)
                .unwrap()
                .with_root_certificates(roots)
                .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
                .unwrap()
        }
    };
    let socket = TcpStream::connect(door.https).await.unwrap();
    let name = ServerName::try_from("door.example").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    within("the TLS handshake", connector.connect(name, socket)).await
}

/// The answer to a request on a connection that shows this certificate; none if the door ends it. In TLS 1.3 a
/// client learns only after its own handshake that its certificate was not good enough.
async fn ask(door: &Door, client: Option<&Client>, request: &str) -> Option<Answer> {
    let mut wire = Wire::new(connect(door, client).await.ok()?);
    wire.output.try_send(request.as_bytes()).await.ok()?;
    if !wire.input.has(1).await {
        return None;
    }
    Some(wire.answer().await)
}

/// A door whose first listener, the https one, asks for certificates of this authority.
async fn door(authority: &Authority, rule: &str, settings: &str) -> Door {
    let keys = format!(
        "client-authority = '{}'\nclient-certificate = '{rule}'\n",
        authority.path
    );
    Door::open_with_listener(&keys, settings).await
}

#[tokio::test]
async fn a_listener_that_requires_a_certificate_speaks_to_nobody_without_a_good_one() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(&directory, "authority");
    let other = Authority::new(&directory, "other");
    let door = door(&authority, "required", "[[channel]]\nname = 'news'").await;
    let request = Door::get("/events/news", "");
    let good = authority.sign("cook", &[]);
    assert_eq!(ask(&door, Some(&good), &request).await.unwrap().status, 200);
    assert!(ask(&door, None, &request).await.is_none());
    assert!(
        ask(&door, Some(&other.sign("cook", &[])), &request)
            .await
            .is_none()
    );
}

#[tokio::test]
async fn a_route_asks_for_certificates_of_certain_names_where_the_listener_leaves_it_open() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(&directory, "authority");
    let other = Authority::new(&directory, "other");
    let console = Backend::tcp().await;
    let settings = format!(
        "{}[bridge]\nclient-certificate = 'required'\nclient-names = ['cook', 'ops.example']\n\
         [[channel]]\nname = 'news'\n",
        console.target("vm")
    );
    let door = door(&authority, "optional", &settings).await;
    let news = Door::get("/events/news", "");
    assert_eq!(ask(&door, None, &news).await.unwrap().status, 200);
    let handshake = Door::handshake("/websockify?token=vm", "");
    let answer = ask(&door, None, &handshake).await.unwrap();
    assert_eq!(answer.status, 403);
    assert_eq!(answer.text(), "a client certificate is required here\n");
    let guest = authority.sign("guest", &["guest.example"]);
    let answer = ask(&door, Some(&guest), &handshake).await.unwrap();
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.text(),
        "your client certificate is not permitted here\n"
    );
    assert_eq!(ask(&door, Some(&guest), &news).await.unwrap().status, 200);
    // Not of the authority, so its name counts for nothing: the handshake fails, also where none is needed.
    let forged = other.sign("cook", &[]);
    assert!(ask(&door, Some(&forged), &news).await.is_none());
    // Without TLS there is no certificate.
    let answer = door.plain().await.ask(&handshake).await;
    assert_eq!(answer.status, 403);
    console.has_nobody().await;
    for client in [
        authority.sign("cook", &[]),
        authority.sign("x", &["ops.example"]),
    ] {
        let answer = ask(&door, Some(&client), &handshake).await.unwrap();
        assert_eq!(answer.status, 101);
        console.accept().await;
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_by_a_certificate_or_the_pages_of_its_websockets() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(&directory, "authority");
    let app = Backend::tcp().await;
    let admin = app.app().replace("'app'", "'admin'");
    let settings = format!(
        "{}origins = ['any']\n{admin}path = '/admin'\nclient-certificate = 'required'\nclient-names = ['cook']\n",
        app.app()
    );
    let door = door(&authority, "optional", &settings).await;
    let guest = authority.sign("guest", &[]);
    for path in ["/admin", "/%61dmin/x", "//admin", "/admin;x", "/;x/admin"] {
        for client in [None, Some(&guest)] {
            for request in [Door::get(path, ""), Door::handshake(path, "")] {
                let answer = ask(&door, client, &request).await.unwrap();
                assert_eq!(answer.status, 403, "{path}");
            }
        }
    }
    let cook = authority.sign("cook", &[]);
    for path in ["/%61dmin/x", "//admin"] {
        // The certificate is good, the page is not.
        let answer = ask(&door, Some(&cook), &Door::handshake(path, PAGE)).await;
        assert_eq!(answer.unwrap().status, 403, "{path}");
    }
    app.has_nobody().await;
    let request = Door::get("/%61dmin", "");
    let (answer, head) = tokio::join!(ask(&door, Some(&cook), &request), serve(&app));
    assert_eq!(answer.unwrap().status, 200);
    assert_eq!(head.start, "GET /%61dmin HTTP/1.1");
}

#[tokio::test]
async fn an_app_is_told_the_name_in_the_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(&directory, "authority");
    let app = Backend::tcp().await;
    let settings = format!("{}certificate-header = 'X-Client-Name'\n", app.app());
    let door = door(&authority, "optional", &settings).await;
    let request = Door::get("/", "X-Client-Name: root\r\n");
    for (client, name) in [
        (Some(authority.sign("cook", &[])), Some("cook")),
        (None, None),
    ] {
        let asked = ask(&door, client.as_ref(), &request);
        let (answer, head) = tokio::join!(asked, serve(&app));
        assert_eq!(answer.unwrap().status, 200);
        assert_eq!(head.one("x-client-name"), name);
    }
}

#[tokio::test]
async fn an_authority_that_was_taken_away_by_a_reload_lets_nobody_in_and_none_resumes() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(&directory, "authority");
    let client = authority.sign("cook", &[]);
    let settings = "[[channel]]\nname = 'news'";
    let door = door(&authority, "required", settings).await;
    let stream = connect(&door, Some(&client)).await.unwrap();
    let request = Door::get("/events/news", "");
    assert_eq!(
        ask(&door, Some(&client), &request).await.unwrap().status,
        200
    );
    assert_eq!(stream.get_ref().1.tls13_tickets_received(), 0);
    fs::write(&authority.path, "nothing").unwrap();
    let config = || noren::Config::parse(&format!("{}{settings}", door.base), "test").unwrap();
    let said = door.handle.reload(config()).unwrap_err().to_string();
    assert!(said.starts_with("no certificate in"), "{said}");
    assert_eq!(
        ask(&door, Some(&client), &request).await.unwrap().status,
        200
    );
    let other = Authority::new(&directory, "other");
    fs::copy(&other.path, &authority.path).unwrap();
    door.handle.reload(config()).unwrap();
    until("the other authority", || async {
        ask(&door, Some(&client), &request)
            .await
            .is_none()
            .then_some(())
    })
    .await;
}
