//! Tests of what a client and a server with our settings negotiate.

use rcgen::PKCS_ECDSA_P256_SHA256;
use rustls::client::{Resumption, Tls12Resumption};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion};

use super::*;
use crate::config::Certificate;
use crate::tls::test_certificates::{Scratch, client, handshake};

const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

fn server(files: &Certificate, change: impl FnOnce(&mut Tls)) -> Arc<ServerConfig> {
    let mut tls = Tls {
        certificates: vec![files.clone()],
        ..Tls::default()
    };
    change(&mut tls);
    let store = CertificateStore::load(&tls, &[]).expect("a good pair");
    Arc::new(server_config(&tls, Arc::new(store), None).expect("settings"))
}

fn offering(mut client: ClientConfig, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    client.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(client)
}

#[test]
fn a_verifying_client_gets_tls_1_3_http_2_and_the_post_quantum_key_exchange() {
    let scratch = Scratch::new();
    let files = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let client = offering(client(&[&files], &BOTH), &[b"http/1.1", b"h2"]);
    let (session, _) =
        handshake(&server(&files, |_| {}), &client, "a.example").expect("a handshake");
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(session.alpn_protocol(), Some(b"h2".as_slice()));
    let group = session
        .negotiated_key_exchange_group()
        .expect("a key exchange")
        .name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
}

#[test]
fn http_2_is_not_offered_when_it_is_switched_off() {
    let scratch = Scratch::new();
    let files = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let server = server(&files, |tls| tls.http2 = false);
    let both = offering(client(&[&files], &BOTH), &[b"h2", b"http/1.1"]);
    let (session, _) = handshake(&server, &both, "a.example").expect("a handshake");
    assert_eq!(session.alpn_protocol(), Some(b"http/1.1".as_slice()));
    let only_h2 = offering(client(&[&files], &BOTH), &[b"h2"]);
    let refused = handshake(&server, &only_h2, "a.example");
    assert!(
        matches!(refused, Err(rustls::Error::NoApplicationProtocol)),
        "{refused:?}"
    );
}

#[test]
fn the_minimum_version_is_kept() {
    let scratch = Scratch::new();
    let files = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let old = Arc::new(client(&[&files], &[&version::TLS12]));
    let (session, _) = handshake(&server(&files, |_| {}), &old, "a.example").expect("a handshake");
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let strict = server(&files, |tls| tls.minimum_version = TlsVersion::Tls13);
    let refused = handshake(&strict, &old, "a.example");
    assert!(
        matches!(refused, Err(rustls::Error::PeerIncompatible(_))),
        "{refused:?}"
    );
}

/// True if the second of two connections resumes the first.
fn resumes(server: &Arc<ServerConfig>, client: ClientConfig) -> bool {
    let client = Arc::new(client);
    let (first, _) = handshake(server, &client, "a.example").expect("a handshake");
    assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
    let (second, _) = handshake(server, &client, "a.example").expect("a handshake");
    second.handshake_kind() == Some(HandshakeKind::Resumed)
}

#[test]
fn a_second_connection_resumes_the_first_by_its_ticket() {
    let scratch = Scratch::new();
    let files = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let mut server = ServerConfig::clone(&server(&files, |_| {}));
    server.session_storage = Arc::new(NoServerSessionStorage {});
    let server = Arc::new(server);
    for version in BOTH {
        assert!(
            resumes(&server, client(&[&files], &[version])),
            "{version:?}"
        );
    }
}

#[test]
fn a_tls_1_2_client_without_tickets_resumes_by_its_session() {
    let scratch = Scratch::new();
    let files = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let mut client = client(&[&files], &[&version::TLS12]);
    client.resumption =
        Resumption::in_memory_sessions(8).tls12_resumption(Tls12Resumption::SessionIdOnly);
    assert!(resumes(&server(&files, |_| {}), client));
}

#[test]
fn early_data_is_never_taken() {
    let scratch = Scratch::new();
    let files = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let server = server(&files, |_| {});
    assert_eq!(server.max_early_data_size, 0);
    let mut client = client(&[&files], &BOTH);
    client.enable_early_data = true;
    let client = Arc::new(client);
    handshake(&server, &client, "a.example").expect("a handshake");
    let name = "a.example".try_into().expect("a server name");
    let mut second = rustls::ClientConnection::new(client, name).expect("a session");
    assert!(
        second.early_data().is_none(),
        "a ticket of ours allows early data"
    );
}
