//! Tests that a client gets the certificate for the name it asked for, with a key that it can verify.

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use rustls::pki_types::CertificateDer;

use super::*;
use crate::config::Tls;
use crate::tls::settings::server_config;
use crate::tls::test_certificates::{Scratch, client_with_schemes, handshake};

const ECDSA: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
const RSA: SignatureScheme = SignatureScheme::RSA_PSS_SHA256;

fn store(certificates: &[&Certificate]) -> CertificateStore {
    let load = |files: &&Certificate| LoadedCertificate::load(files).expect("a good pair");
    CertificateStore::new(certificates.iter().map(load).collect()).expect("not empty")
}

/// The certificate that a client receives in a real handshake.
fn presented(
    store: &Arc<CertificateStore>,
    name: &str,
    schemes: &[SignatureScheme],
) -> CertificateDer<'static> {
    let server = server_config(&Tls::default(), Arc::clone(store), None).expect("settings");
    let client = client_with_schemes(schemes);
    let (_, client) = handshake(&Arc::new(server), &Arc::new(client), name).expect("a handshake");
    client
        .peer_certificates()
        .expect("a certificate")
        .first()
        .expect("one")
        .clone()
        .into_owned()
}

fn der(files: &Certificate) -> CertificateDer<'static> {
    let loaded = LoadedCertificate::load(files).expect("a good pair");
    loaded.certified_key().cert.first().expect("one").clone()
}

#[test]
fn an_exact_name_goes_before_a_wildcard_and_a_wildcard_before_the_default() {
    let scratch = Scratch::new();
    let default = scratch.pair(
        "default",
        &["example.org", "10.0.0.1"],
        &PKCS_ECDSA_P256_SHA256,
    );
    let wildcard = scratch.pair("wildcard", &["*.example.org"], &PKCS_ECDSA_P256_SHA256);
    let exact = scratch.pair("exact", &["www.example.org"], &PKCS_ECDSA_P256_SHA256);
    let store = Arc::new(store(&[&default, &wildcard, &exact]));
    let expected = [
        ("www.example.org", &exact),
        ("WWW.example.ORG", &exact),
        ("wiki.example.org", &wildcard),
        ("example.org", &default),
        ("a.b.example.org", &default),
        ("unknown.example", &default),
        ("10.0.0.1", &default),
        ("::1", &default),
    ];
    for (name, files) in expected {
        assert_eq!(presented(&store, name, &[ECDSA]), der(files), "{name}");
    }
}

#[test]
fn the_names_of_the_certificate_for_a_name_are_told() {
    let scratch = Scratch::new();
    let default = scratch.pair("default", &["example.org"], &PKCS_ECDSA_P256_SHA256);
    let wildcard = scratch.pair(
        "wildcard",
        &["*.example.net", "example.net"],
        &PKCS_ECDSA_P256_SHA256,
    );
    let store = store(&[&default, &wildcard]);
    assert!(store.names_for(None).covers("example.org"));
    assert!(
        store
            .names_for(Some("nobody.example"))
            .covers("example.org")
    );
    let names = store.names_for(Some("A.Example.net."));
    assert!(
        names.covers("example.net")
            && names.covers("b.example.net")
            && !names.covers("example.org")
    );
    assert!(Arc::ptr_eq(&names, &store.names_for(Some("example.net"))));
}

#[test]
fn of_two_keys_for_a_name_the_client_gets_the_one_it_can_check() {
    let scratch = Scratch::new();
    let rsa = scratch.pair("rsa", &["a.example"], &PKCS_RSA_SHA256);
    let ecdsa = scratch.pair("ecdsa", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    for order in [[&rsa, &ecdsa], [&ecdsa, &rsa]] {
        let store = Arc::new(store(&order));
        // The default behaves in the same way as a name that was asked for.
        for name in ["a.example", "unknown.example", "10.0.0.1"] {
            assert_eq!(presented(&store, name, &[RSA]), der(&rsa), "{name}");
            assert_eq!(presented(&store, name, &[ECDSA]), der(&ecdsa), "{name}");
            assert_eq!(
                presented(&store, name, &[RSA, ECDSA]),
                der(&ecdsa),
                "ECDSA is cheaper: {name}"
            );
        }
    }
}

#[test]
fn the_default_is_the_first_certificate_whatever_its_kind() {
    let scratch = Scratch::new();
    let rsa = scratch.pair("rsa", &["a.example"], &PKCS_RSA_SHA256);
    let ecdsa = scratch.pair("ecdsa", &["b.example"], &PKCS_ECDSA_P256_SHA256);
    let store = Arc::new(store(&[&rsa, &ecdsa]));
    assert_eq!(presented(&store, "c.example", &[ECDSA, RSA]), der(&rsa));
}

#[test]
fn a_client_that_can_check_none_is_refused_in_the_handshake() {
    let scratch = Scratch::new();
    let rsa = scratch.pair("rsa", &["a.example"], &PKCS_RSA_SHA256);
    let server = server_config(&Tls::default(), Arc::new(store(&[&rsa])), None).expect("settings");
    let client = client_with_schemes(&[ECDSA]);
    let refused = handshake(&Arc::new(server), &Arc::new(client), "a.example");
    assert!(
        matches!(refused, Err(rustls::Error::PeerIncompatible(_))),
        "{refused:?}"
    );
}

#[test]
fn a_store_without_certificates_cannot_exist() {
    assert!(matches!(
        CertificateStore::new(Vec::new()),
        Err(TlsError::NoCertificate)
    ));
}

#[test]
fn a_configuration_without_certificates_gets_a_self_signed_one() {
    let scratch = Scratch::new();
    let tls = Tls {
        self_signed: scratch.path().join("new"),
        ..Tls::default()
    };
    let store = CertificateStore::load(&tls, &[]).expect("a certificate of its own");
    assert!(store.names_for(None).covers("localhost"));
    assert!(store.warnings().is_empty(), "{:?}", store.warnings());
}

#[test]
fn the_warnings_of_all_certificates_are_collected() {
    let scratch = Scratch::new();
    let make = |name: &str| {
        scratch.openssl(&format!(
            "req -x509 -newkey ed25519 -nodes -keyout {name}.key -subj /CN={name} \
                                  -days 3 -out {name}.pem"
        ));
        scratch.files(&format!("{name}.pem"), &format!("{name}.key"))
    };
    let (first, second) = (make("first"), make("second"));
    let store = store(&[&first, &second]);
    for name in ["first.pem", "second.pem"] {
        let about =
            |warning: &&String| warning.contains(name) && warning.contains("alternative name");
        assert_eq!(
            store.warnings().iter().filter(about).count(),
            1,
            "{:?}",
            store.warnings()
        );
    }
}
