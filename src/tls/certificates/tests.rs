//! Tests that every usable certificate is loaded, and that warnings describe its faults.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use rcgen::PKCS_ECDSA_P256_SHA256;
use rustls::{ServerConnection, StreamOwned};
use x509_parser::x509::X509Version;

use super::*;
use crate::config::Tls;
use crate::tls::CertificateStore;
use crate::tls::settings::server_config;
use crate::tls::test_certificates::Scratch;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn load(files: &Certificate) -> LoadedCertificate {
    LoadedCertificate::load(files).unwrap_or_else(|error| panic!("{error}"))
}

/// True if one of the sentences contains all the parts.
fn says(warnings: &[String], parts: &[&str]) -> bool {
    warnings
        .iter()
        .any(|warning| parts.iter().all(|part| warning.contains(part)))
}

/// Makes a certificate as Wok does: self-signed RSA in PKCS#8, with SHA-1, without extensions, dated into the
/// future.
fn woks_own(scratch: &Scratch) -> Certificate {
    scratch.write(
        "ca.cnf",
        "[ca]\ndefault_ca = wok\n[wok]\ndatabase = index\nserial = serial\nnew_certs_dir = .\n\
         policy = any\n[any]\ncountryName = optional\norganizationName = optional\ncommonName = optional\n",
    );
    scratch.write("index", "");
    scratch.write("serial", "01\n");
    scratch.openssl("req -new -newkey rsa:2048 -nodes -keyout wok-key.pem -out wok.csr -subj /C=US/O=wok/CN=wok");
    scratch.openssl(
        "ca -batch -selfsign -config ca.cnf -keyfile wok-key.pem -in wok.csr -out wok-cert.pem -notext \
         -md sha1 -startdate 20480101000000Z -enddate 20490101000000Z",
    );
    let key = scratch.path().join("wok-key.pem");
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o644))
        .expect("the test's own file");
    scratch.files("wok-cert.pem", "wok-key.pem")
}

/// Serves one connection with these files and returns the output of `openssl s_client`.
fn s_client(scratch: &Scratch, files: &Certificate, options: &str) -> String {
    let tls = Tls {
        certificates: vec![files.clone()],
        ..Tls::default()
    };
    let store = Arc::new(CertificateStore::load(&tls, &[]).expect("a certificate that is served"));
    let config = Arc::new(server_config(&tls, store, None).expect("settings"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("a bound listener").port();
    #[expect(clippy::disallowed_methods, reason = "joined below")]
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a limit");
        let session = ServerConnection::new(config).expect("a session");
        let mut stream = StreamOwned::new(session, stream);
        stream.write_all(b"served\n").expect("a handshake");
        stream.conn.send_close_notify();
        stream.flush().expect("a client that is still there");
    });
    let said = scratch.openssl(&format!(
        "s_client -connect 127.0.0.1:{port} -ign_eof -verify_return_error {options}"
    ));
    server.join().expect("the server's thread");
    said
}

#[test]
fn woks_own_certificate_is_served_and_its_oddities_are_told() {
    let scratch = Scratch::new();
    let files = woks_own(&scratch);
    let loaded = load(&files);
    assert!(
        loaded.names().covers("wok") && !loaded.names().covers("localhost"),
        "{}",
        loaded.names()
    );
    let warnings = loaded.warnings();
    assert!(
        says(
            warnings,
            &["wok-cert.pem", "not valid before", "2048", "clock"]
        ),
        "{warnings:?}"
    );
    assert!(
        says(warnings, &["wok-cert.pem", "no subject alternative name"]),
        "{warnings:?}"
    );
    assert!(says(warnings, &["wok-cert.pem", "SHA-1"]), "{warnings:?}");
    assert!(
        says(warnings, &["wok-key.pem", "every user", "chmod o= "]),
        "{warnings:?}"
    );
    assert_eq!(warnings.len(), 4, "{warnings:?}");

    for version in ["-tls1_2", "-tls1_3"] {
        let options = format!("-CAfile wok-cert.pem -no_check_time -verify_hostname wok {version}");
        let said = s_client(&scratch, &files, &options);
        assert!(
            said.contains("Verify return code: 0 (ok)") && said.contains("served"),
            "{said}"
        );
    }
}

#[test]
fn a_certificate_of_x509_version_1_is_served() {
    let scratch = Scratch::new();
    scratch.openssl(
        "req -new -newkey rsa:2048 -nodes -keyout key.pem -out one.csr -subj /CN=one.example",
    );
    scratch.openssl("x509 -req -in one.csr -signkey key.pem -days 3 -out cert.pem");
    let files = scratch.files("cert.pem", "key.pem");
    // OpenSSL 3.4 and later make version 3 unless told otherwise.
    if version(&files) != X509Version::V1 {
        scratch
            .openssl("req -x509 -x509v1 -key key.pem -subj /CN=one.example -days 3 -out cert.pem");
    }
    assert_eq!(version(&files), X509Version::V1);
    assert!(load(&files).names().covers("one.example"));
    let said = s_client(
        &scratch,
        &files,
        "-CAfile cert.pem -verify_hostname one.example",
    );
    assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
}

fn version(files: &Certificate) -> X509Version {
    let file = PemFile::read(&files.certificate, "certificate").expect("a file made by the test");
    let chain = file.certificates().expect("a certificate");
    parse_chain(&chain, &files.certificate)
        .expect("a certificate")
        .first()
        .expect("one")
        .version()
}

#[test]
fn every_form_of_key_that_openssl_writes_is_loaded() {
    let scratch = Scratch::new();
    let kinds = [
        (
            "P-256",
            "ecparam -name prime256v1 -genkey -out key.pem",
            "BEGIN EC PARAMETERS",
        ),
        (
            "SEC1",
            "ecparam -name secp384r1 -genkey -noout -out key.pem",
            "BEGIN EC PRIVATE KEY",
        ),
        (
            "EC in PKCS#8",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem",
            "BEGIN PRIVATE KEY",
        ),
        (
            "P-521",
            "ecparam -name secp521r1 -genkey -noout -out key.pem",
            "BEGIN EC PRIVATE KEY",
        ),
        (
            "PKCS#1",
            "genrsa -traditional -out key.pem 2048",
            "BEGIN RSA PRIVATE KEY",
        ),
        (
            "RSA in PKCS#8",
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out key.pem",
            "BEGIN PRIVATE KEY",
        ),
        (
            "Ed25519",
            "genpkey -algorithm ed25519 -out key.pem",
            "BEGIN PRIVATE KEY",
        ),
    ];
    for (kind, command, label) in kinds {
        scratch.openssl(command);
        assert!(
            String::from_utf8_lossy(&scratch.read("key.pem")).contains(label),
            "{kind}"
        );
        scratch.openssl(
            "req -x509 -key key.pem -subj /CN=x -addext subjectAltName=DNS:a.example -days 3 \
                         -out cert.pem",
        );
        let loaded = load(&scratch.files("cert.pem", "key.pem"));
        assert!(
            loaded.names().covers("a.example") && !loaded.names().covers("x"),
            "{kind}"
        );
        let rare = says(
            loaded.warnings(),
            &["browsers do not support its kind of key"],
        );
        assert_eq!(
            rare,
            matches!(kind, "P-521" | "Ed25519"),
            "{kind}: {:?}",
            loaded.warnings()
        );
        assert_eq!(
            loaded.warnings().len(),
            usize::from(rare),
            "{kind}: {:?}",
            loaded.warnings()
        );
    }
}

#[test]
fn one_file_may_hold_certificate_and_key_in_any_order_with_windows_line_ends() {
    let scratch = Scratch::new();
    let files = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let text = [
        scratch.read("a-key.pem"),
        b"some text\n".to_vec(),
        scratch.read("a-cert.pem"),
    ]
    .concat();
    let text = String::from_utf8(text)
        .expect("PEM is text")
        .replace('\n', "\r\n");
    scratch.write("both.pem", format!("\u{feff}{text}"));
    let loaded = load(&scratch.files("both.pem", "both.pem"));
    assert!(
        loaded
            .warnings()
            .iter()
            .all(|warning| !warning.contains("too")),
        "{:?}",
        loaded.warnings()
    );

    let files = Certificate {
        certificate: scratch.path().join("both.pem"),
        ..files
    };
    assert!(says(
        load(&files).warnings(),
        &["a private key lies in the certificate file", "both.pem"]
    ));
}

#[test]
fn an_expired_certificate_is_loaded_with_a_warning() {
    let scratch = Scratch::new();
    scratch.openssl(
        "req -x509 -newkey ed25519 -nodes -keyout key.pem -subj /CN=x -addext \
                     subjectAltName=IP:::1 -days 1 -out cert.pem",
    );
    let files = scratch.files("cert.pem", "key.pem");
    let now = SystemTime::now();
    let valid = LoadedCertificate::load_at(&files, now).expect("a valid certificate");
    assert!(valid.names().covers("[::1]"));
    assert!(valid.expires() > now && valid.expires() < now + 2 * DAY);
    assert!(
        !says(valid.warnings(), &["expired"]),
        "{:?}",
        valid.warnings()
    );
    let expired =
        LoadedCertificate::load_at(&files, now + 3 * DAY).expect("an expired certificate");
    assert!(
        says(expired.warnings(), &["it expired on ", "clients refuse it"]),
        "{:?}",
        expired.warnings()
    );
    let early = LoadedCertificate::load_at(&files, now - 3 * DAY).expect("a future certificate");
    assert!(
        says(early.warnings(), &["it is not valid before "]),
        "{:?}",
        early.warnings()
    );
}

#[test]
fn a_certificate_for_an_e_mail_address_alone_falls_back_to_its_common_name_and_is_told() {
    let scratch = Scratch::new();
    scratch.openssl(
        "req -x509 -newkey ed25519 -nodes -keyout key.pem -subj /CN=192.0.2.7 \
         -addext subjectAltName=email:a@example.org -days 3 -out cert.pem",
    );
    let loaded = load(&scratch.files("cert.pem", "key.pem"));
    assert!(loaded.names().covers("192.0.2.7"), "{}", loaded.names());
    assert!(
        says(
            loaded.warnings(),
            &["no subject alternative name for a host"]
        ),
        "{:?}",
        loaded.warnings()
    );
}

#[test]
fn names_in_the_configuration_replace_those_in_the_certificate() {
    let scratch = Scratch::new();
    let files = scratch.pair("a", &["a.example", "*.b.example"], &PKCS_ECDSA_P256_SHA256);
    let names = vec!["x.b.example".to_owned(), "c.example".to_owned()];
    let loaded = load(&Certificate { names, ..files });
    assert!(loaded.names().covers("c.example") && !loaded.names().covers("a.example"));
    assert!(
        says(
            loaded.warnings(),
            &["is configured for c.example, but was not issued for it"]
        ),
        "{:?}",
        loaded.warnings()
    );
}
