//! Tests that a certificate in the file is trusted byte for byte, whatever it claims to be, and no other one.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    date_time_ymd,
};

use super::{Trust, client};
use crate::config::{Certificate, Tls};
use crate::tls::settings::server_config;
use crate::tls::test_certificates::{Scratch, handshake};
use crate::tls::{CertificateStore, TlsError};

/// Result of a handshake with a server that presents this certificate, by a client that has this file as `ca`.
fn reached(scratch: &Scratch, server: &Certificate, ca: &str, name: &str) -> Result<(), String> {
    let tls = Tls {
        certificates: vec![server.clone()],
        ..Tls::default()
    };
    let store = Arc::new(CertificateStore::load(&tls, &[]).expect("a certificate that is served"));
    let server = Arc::new(server_config(&tls, store, None).expect("settings"));
    let builder =
        client(Trust::File(&scratch.path().join(ca))).map_err(|error| error.to_string())?;
    let client = Arc::new(builder.with_no_client_auth());
    handshake(&server, &client, name)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Makes a certificate that claims to be an authority, as `openssl req -x509` does by default.
fn authority(
    scratch: &Scratch,
    file: &str,
    common: &str,
    names: &[&str],
    until: i32,
) -> Certificate {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, common);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("a certificate");
    scratch.write(&format!("{file}-cert.pem"), made.pem());
    scratch.write(&format!("{file}-key.pem"), key.serialize_pem());
    scratch.files(&format!("{file}-cert.pem"), &format!("{file}-key.pem"))
}

#[test]
fn a_self_signed_certificate_of_an_authority_is_taken_where_the_file_has_it_byte_for_byte() {
    let scratch = Scratch::new();
    let console = authority(&scratch, "console", "console", &["a.example"], 4000);
    let other = authority(&scratch, "other", "console", &["a.example"], 4000);
    assert_eq!(
        reached(&scratch, &console, "console-cert.pem", "a.example"),
        Ok(())
    );
    let said = reached(&scratch, &console, "console-cert.pem", "b.example");
    assert!(said.is_err_and(|said| said.contains("not valid for name")));
    let said = reached(&scratch, &other, "console-cert.pem", "a.example");
    assert!(said.is_err(), "the same names are not the same certificate");
    // One of several, which may also be glued together.
    let both = [
        scratch.read("other-cert.pem").trim_ascii(),
        &scratch.read("console-cert.pem"),
    ]
    .concat();
    scratch.write("both.pem", both);
    assert_eq!(reached(&scratch, &console, "both.pem", "a.example"), Ok(()));
    assert_eq!(reached(&scratch, &other, "both.pem", "a.example"), Ok(()));
}

#[test]
fn a_pinned_certificate_without_alternative_names_has_its_common_name() {
    let scratch = Scratch::new();
    let console = authority(&scratch, "console", "kvm1", &[], 4000);
    assert_eq!(
        reached(&scratch, &console, "console-cert.pem", "kvm1"),
        Ok(())
    );
    assert!(reached(&scratch, &console, "console-cert.pem", "kvm2").is_err());
}

#[test]
fn a_pinned_certificate_that_has_expired_is_refused() {
    let scratch = Scratch::new();
    let console = authority(&scratch, "console", "kvm1", &[], 2021);
    let said = reached(&scratch, &console, "console-cert.pem", "kvm1");
    assert!(
        said.as_ref().is_err_and(|said| said.contains("xpired")),
        "{said:?}"
    );
}

#[test]
fn a_chain_to_an_authority_is_verified_as_before() {
    let scratch = Scratch::new();
    let leaf = scratch.pair("leaf", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    scratch.pair("other", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    assert_eq!(
        reached(&scratch, &leaf, "leaf-cert.pem", "a.example"),
        Ok(())
    );
    assert!(reached(&scratch, &leaf, "other-cert.pem", "a.example").is_err());
    scratch.write("nothing.pem", "words");
    let file = scratch.path().join("nothing.pem");
    assert!(matches!(
        client(Trust::File(&file)),
        Err(TlsError::Missing { .. })
    ));
}
