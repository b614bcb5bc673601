//! TLS between the door and a console, and a token API over https.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::knock;
use crate::harness::{Backend, Door, Wire, binary, pattern, within};

/// An authority with certificates for `kvm.example` and `door`, as files, and another authority.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        for (authority, leaves) in [("ca", &["kvm.example", "door"][..]), ("other", &[])] {
            let mut params = CertificateParams::new([]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
            fs::write(file(&format!("{authority}.pem")), issuer.pem()).unwrap();
            for name in leaves {
                let params = CertificateParams::new([(*name).to_owned()]).unwrap();
                let key = KeyPair::generate().unwrap();
                let leaf = params.signed_by(&key, &issuer).unwrap();
                fs::write(file(&format!("{name}.pem")), leaf.pem()).unwrap();
                fs::write(file(&format!("{name}.key")), key.serialize_pem()).unwrap();
            }
        }
        Self(directory)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A `tls` table with these keys, each of which is a file but for `name`.
    fn tls(&self, keys: &[(&str, &str)]) -> String {
        let keys = keys.iter().map(|(key, value)| match *key {
            "name" => format!("name = '{value}'"),
            key => format!("{key} = '{}'", self.file(value).display()),
        });
        format!("tls = {{ {} }}\n", keys.collect::<Vec<_>>().join(", "))
    }

    /// A server with the certificate of `kvm.example`; with `mutual` it wants one of this authority too.
    fn acceptor(&self, mutual: bool) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&self.file("ca.pem")) {
                roots.add(certificate).unwrap();
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from_pem_file(self.file("kvm.example.key")).unwrap();
        let chain = certificates(&self.file("kvm.example.pem"));
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(path).unwrap();
    read.map(Result::unwrap).collect()
}

/// A console that speaks TLS.
struct Console {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Console {
    async fn new(acceptor: TlsAcceptor) -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor,
        }
    }

    fn target(&self, tls: &str) -> String {
        let address = self.listener.local_addr().unwrap();
        format!("[[bridge.target]]\ntoken = 'vm'\naddress = '{address}'\n{tls}")
    }

    async fn accept(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let (socket, _) = within("the door to connect", self.listener.accept()).await?;
        within("the handshake", self.acceptor.accept(socket)).await
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_over_a_verified_connection_and_each_half_ends_by_itself() {
    let authority = Authority::new();
    let console = Console::new(authority.acceptor(false)).await;
    let tls = authority.tls(&[("ca", "ca.pem"), ("name", "kvm.example")]);
    let door = Door::open(&console.target(&tls)).await;
    let (mut client, target) =
        tokio::join!(door.websocket("/websockify?token=vm"), console.accept());
    let mut target = Wire::new(target.unwrap());

    // More than all buffers on the way: what TLS holds back has to be flushed in the end.
    let bytes = pattern(4 << 20);
    let (sent, Wire { input, output }) = (binary(&bytes), &mut client);
    tokio::join!(
        async {
            output.send(&sent).await;
        },
        async {
            assert!(target.take(bytes.len()).await == bytes);
            target.send(&bytes).await;
        },
        async {
            assert!(input.messages(bytes.len()).await == bytes);
        }
    );

    // The client closes: the console sees the end (close_notify), and what it still says arrives.
    client
        .send(crate::harness::masked(0x88, &1000_u16.to_be_bytes()))
        .await;
    assert_eq!(target.rest().await, b"");
    target.send(b"last words").await;
    target.output.finish().await;
    assert_eq!(client.frame().await.payload, b"last words");
    assert_eq!(client.close_code().await, 1000);
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_is_a_502_and_nothing_is_sent() {
    let authority = Authority::new();
    for tls in [
        authority.tls(&[("ca", "other.pem"), ("name", "kvm.example")]),
        authority.tls(&[("ca", "ca.pem"), ("name", "other.example")]),
        // The host of the target is an address, which is not in the certificate.
        authority.tls(&[("ca", "ca.pem")]),
    ] {
        let console = Console::new(authority.acceptor(false)).await;
        let door = Door::open(&console.target(&tls)).await;
        let (answer, accepted) = tokio::join!(knock(&door, "vm"), console.accept());
        assert_eq!(answer.status, 502, "{tls}");
        assert!(answer.text().contains("safely"), "{}", answer.text());
        assert!(accepted.is_err(), "{tls}");
    }
}

#[tokio::test]
async fn a_console_can_ask_for_a_certificate_of_the_door() {
    let authority = Authority::new();
    let console = Console::new(authority.acceptor(true)).await;
    let tls = authority.tls(&[
        ("ca", "ca.pem"),
        ("name", "kvm.example"),
        ("certificate", "door.pem"),
        ("key", "door.key"),
    ]);
    let door = Door::open(&console.target(&tls)).await;
    let (mut client, target) =
        tokio::join!(door.websocket("/websockify?token=vm"), console.accept());
    let mut target = Wire::new(target.unwrap());
    target.send(b"hello").await;
    assert_eq!(client.frame().await.payload, b"hello");

    let console = Console::new(authority.acceptor(true)).await;
    let tls = authority.tls(&[("ca", "ca.pem"), ("name", "kvm.example")]);
    let door = Door::open(&console.target(&tls)).await;
    let (_answer, accepted) = tokio::join!(knock(&door, "vm"), console.accept());
    assert!(
        accepted.is_err(),
        "it has let in a door without a certificate"
    );
}

#[tokio::test]
async fn a_console_that_does_not_finish_its_handshake_is_a_504_within_the_limit() {
    let authority = Authority::new();
    let silent = Backend::tcp().await;
    let tls = authority.tls(&[("ca", "ca.pem"), ("name", "kvm.example")]);
    let door = Door::open(&format!(
        "[bridge]\nconnect = '200ms'\n{}{tls}",
        silent.target("vm")
    ))
    .await;
    assert_eq!(knock(&door, "vm").await.status, 504);
}

#[tokio::test]
async fn a_token_api_over_https_is_believed_only_with_a_good_certificate() {
    let authority = Authority::new();
    let console = Backend::tcp().await;
    let api = Console::new(authority.acceptor(false)).await;
    let address = api.listener.local_addr().unwrap();
    for (ca, status) in [("ca.pem", 101), ("other.pem", 502)] {
        let door = Door::open(&format!(
            "[[bridge.tokens]]\nsource = 'http'\nurl = 'https://kvm.example/{{token}}'\n\
             address = '{address}'\nca = '{}'\nallow = ['127.0.0.1:*']\n",
            authority.file(ca).display()
        ))
        .await;
        let answered = async {
            if let Ok(stream) = api.accept().await {
                let mut wire = Wire::new(stream);
                assert_eq!(wire.head().await.one("host"), Some("kvm.example"));
                let body = console.address();
                let length = body.len();
                wire.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
                ))
                .await;
            }
        };
        let (answer, ()) = tokio::join!(knock(&door, "vm"), answered);
        assert_eq!(answer.status, status, "{ca}");
    }
}
