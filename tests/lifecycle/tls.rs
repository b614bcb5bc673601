//! Certificates by name, versions of TLS, resumption, and the goodbye at the end.

use std::sync::Arc;

use noren::Config;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{HandshakeKind, ProtocolVersion, version};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::HTTPS;
use crate::harness::{Door, Identity, Wire, bind, client_config, connector, within};

/// A connection with this client and for this name, if its certificate is the trusted one.
async fn handshake(
    connector: &TlsConnector,
    address: std::net::SocketAddr,
    name: &'static str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name).unwrap();
    within("the TLS handshake", connector.connect(name, socket)).await
}

#[tokio::test]
async fn each_name_gets_its_certificate_and_any_other_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let first = Identity::new(directory.path(), &["first.example"]);
    let second = Identity::new(directory.path(), &["second.example", "*.wild.example"]);
    let server = bind(&format!(
        "{HTTPS}{}{}[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\n",
        first.settings, second.settings
    ));
    let address = server.local_addrs()[0];
    let running = tokio::spawn(server.run(std::future::pending()));
    let trusts = |identity: &Identity| connector(&identity.certificate, "http/1.1");
    for (identity, name) in [
        (&first, "first.example"),
        (&second, "second.example"),
        (&second, "a.wild.example"),
    ] {
        assert!(
            handshake(&trusts(identity), address, name).await.is_ok(),
            "{name}"
        );
    }
    for (identity, name) in [(&second, "first.example"), (&first, "second.example")] {
        assert!(
            handshake(&trusts(identity), address, name).await.is_err(),
            "{name}"
        );
    }
    // An unknown name: the first certificate, which this client then rightly refuses for the name alone.
    let error = handshake(&trusts(&first), address, "unknown.example")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    running.abort();
}

async fn protocol_version(
    door: &Door,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Option<ProtocolVersion> {
    let config = client_config(&door.trusted, versions, "http/1.1");
    let connector = TlsConnector::from(Arc::new(config));
    let stream = handshake(&connector, door.https, "door.example")
        .await
        .ok()?;
    stream.get_ref().1.protocol_version()
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_1_2_only_where_it_is_allowed() {
    let app = "[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\n";
    let door = Door::open(app).await;
    let (old, new) = (&version::TLS12, &version::TLS13);
    assert_eq!(
        protocol_version(&door, &[old]).await,
        Some(ProtocolVersion::TLSv1_2)
    );
    assert_eq!(
        protocol_version(&door, &[new]).await,
        Some(ProtocolVersion::TLSv1_3)
    );
    assert_eq!(
        protocol_version(&door, &[new, old]).await,
        Some(ProtocolVersion::TLSv1_3)
    );
    let strict = Door::open(&format!("{app}[tls]\nminimum-version = '1.3'\n")).await;
    assert_eq!(protocol_version(&strict, &[old]).await, None);
    assert_eq!(
        protocol_version(&strict, &[new]).await,
        Some(ProtocolVersion::TLSv1_3)
    );
}

#[tokio::test]
async fn a_session_is_resumed_with_both_versions_of_tls() {
    let door = Door::open("[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\n").await;
    for version in [&version::TLS12, &version::TLS13] {
        let config = client_config(&door.trusted, &[version], "http/1.1");
        let connector = TlsConnector::from(Arc::new(config));
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let stream = handshake(&connector, door.https, "door.example")
                .await
                .unwrap();
            let kind = stream.get_ref().1.handshake_kind().unwrap();
            // TLS 1.3 with a second key exchange is a full handshake as well.
            let kind = match kind {
                HandshakeKind::FullWithHelloRetryRequest => HandshakeKind::Full,
                other => other,
            };
            assert_eq!(kind, expected, "{version:?}");
            // The tickets come behind the handshake, with the first answer at the latest.
            let mut client = Wire::new(stream);
            let answer = client
                .ask("OPTIONS * HTTP/1.1\r\nHost: door.example\r\n\r\n")
                .await;
            assert_eq!(answer.status, 204);
        }
    }
}

#[tokio::test]
async fn every_close_says_goodbye_in_tls() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let door = Door::open(
        "[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\n[limits]\nhead = '200ms'\n",
    )
    .await;
    for request in [
        Door::get("/", "Connection: close\r\n"),
        "GET / HT".to_owned(),
        String::new(),
    ] {
        let mut stream = door.tls_stream("http/1.1").await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        // rustls reports an end without close_notify as an error.
        let ended = within("the end", stream.read_to_end(&mut said)).await;
        assert!(ended.is_ok(), "after {request:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_reload_changes_the_certificate_of_new_connections() {
    let directory = tempfile::tempdir().unwrap();
    let app = "[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\n";
    let old = Identity::new(directory.path(), &["door.example"]);
    let server = bind(&format!("{HTTPS}{}{app}", old.settings));
    let (address, handle) = (server.local_addrs()[0], server.handle());
    let running = tokio::spawn(server.run(std::future::pending()));
    let trusts = |certificate: &CertificateDer<'static>| connector(certificate, "http/1.1");
    assert!(
        handshake(&trusts(&old.certificate), address, "door.example")
            .await
            .is_ok()
    );
    // Renewed in place, as certbot does it.
    let new = Identity::new(directory.path(), &["door.example"]);
    let config = format!("{HTTPS}{}{app}", new.settings);
    handle
        .reload(Config::parse(&config, "new.toml").unwrap())
        .unwrap();
    assert!(
        handshake(&trusts(&new.certificate), address, "door.example")
            .await
            .is_ok()
    );
    assert!(
        handshake(&trusts(&old.certificate), address, "door.example")
            .await
            .is_err()
    );
    running.abort();
}
