//! Tests that the self-signed certificate is valid, is made once, and never overwrites a file of value.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::version;

use super::*;
use crate::config::Tls;
use crate::tls::CertificateStore;
use crate::tls::settings::server_config;
use crate::tls::test_certificates::{Scratch, client, handshake};

fn files(scratch: &Scratch) -> Certificate {
    scratch.files(CERTIFICATE_FILE, KEY_FILE)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("a file that was made")
        .permissions()
        .mode()
        & 0o777
}

fn make_at(directory: &Path, now: SystemTime) -> LoadedCertificate {
    load_or_make_at(directory, now).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_client_that_trusts_the_certificate_accepts_it_for_every_local_name() {
    let scratch = Scratch::new();
    let tls = Tls {
        self_signed: scratch.path().to_owned(),
        ..Tls::default()
    };
    let store = CertificateStore::load(&tls, &[]).expect("a certificate of its own");
    let machine = machine_name().expect("the machine has a name");
    let server = Arc::new(server_config(&tls, Arc::new(store), None).expect("settings"));
    let client = Arc::new(client(&[&files(&scratch)], &[&version::TLS13]));
    for name in ["localhost", "127.0.0.1", "::1", &machine] {
        handshake(&server, &client, name).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    handshake(&server, &client, "other.example").expect_err("it is not for this name");

    let shown = scratch.openssl("x509 -in noren-cert.pem -noout -subject -checkend 34128000");
    assert!(
        shown.contains("CN = Noren") && shown.contains("will not expire"),
        "{shown}"
    );
}

#[test]
fn nobody_else_can_read_the_key_and_nothing_else_is_left_behind() {
    let scratch = Scratch::new();
    let directory = scratch.path().join("a/b");
    let made = load_or_make(&directory).expect("directories are made");
    assert!(made.warnings().is_empty(), "{:?}", made.warnings());
    assert_eq!(mode(&directory.join(KEY_FILE)), 0o600);
    assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 2);
}

#[test]
fn it_is_made_once_and_kept_until_a_week_before_its_end() {
    let scratch = Scratch::new();
    let now = SystemTime::now();
    make_at(scratch.path(), now);
    let (certificate, key) = (scratch.read(CERTIFICATE_FILE), scratch.read(KEY_FILE));

    make_at(scratch.path(), now + 388 * DAY);
    assert_eq!(
        scratch.read(CERTIFICATE_FILE),
        certificate,
        "388 days later it has more than 7 to go"
    );

    let renewed = make_at(scratch.path(), now + 390 * DAY);
    assert_ne!(
        scratch.read(CERTIFICATE_FILE),
        certificate,
        "390 days later it has to be renewed"
    );
    assert_eq!(scratch.read(KEY_FILE), key, "the key stays");
    assert!(renewed.expires() > now + 780 * DAY);
    assert_eq!(
        fs::read_dir(scratch.path()).expect("a directory").count(),
        2
    );
}

#[test]
fn two_certificates_never_have_the_same_number() {
    let scratch = Scratch::new();
    let serial = || scratch.openssl("x509 -in noren-cert.pem -noout -serial");
    let now = SystemTime::now();
    make_at(scratch.path(), now);
    let first = serial();
    make_at(scratch.path(), now + 400 * DAY);
    assert_ne!(serial(), first);
}

#[test]
fn empty_or_missing_files_are_made_again() {
    for (certificate, key) in [
        (Some(""), Some("")),
        (Some(""), None),
        (None, Some("")),
        (None, None),
    ] {
        let scratch = Scratch::new();
        if let Some(text) = certificate {
            scratch.write(CERTIFICATE_FILE, text);
        }
        if let Some(text) = key {
            scratch.write(KEY_FILE, text);
        }
        make_at(scratch.path(), SystemTime::now());
        assert_eq!(
            mode(&scratch.path().join(KEY_FILE)),
            0o600,
            "{certificate:?} {key:?}"
        );
    }
}

#[test]
fn a_start_that_was_cut_off_between_key_and_certificate_is_completed() {
    let scratch = Scratch::new();
    make_at(scratch.path(), SystemTime::now());
    let key = scratch.read(KEY_FILE);
    fs::remove_file(scratch.path().join(CERTIFICATE_FILE)).expect("it was made");
    make_at(scratch.path(), SystemTime::now());
    assert_eq!(scratch.read(KEY_FILE), key);
}

#[test]
fn processes_that_start_at_once_agree_on_one_key() {
    let scratch = Scratch::new();
    let now = SystemTime::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| make_at(scratch.path(), now));
        }
    });
    make_at(scratch.path(), now);
}

#[test]
fn what_is_damaged_is_never_overwritten() {
    let scratch = Scratch::new();
    make_at(scratch.path(), SystemTime::now());
    scratch.write(KEY_FILE, "the only copy of something");
    let text = load_or_make(scratch.path())
        .expect_err("it is no key")
        .to_string();
    assert!(
        text.contains("no private key in ") && text.contains(KEY_FILE),
        "{text}"
    );
    assert!(
        text.ends_with(&format!(
            "from {} to have them made again",
            scratch.path().display()
        )),
        "{text}"
    );
    assert_eq!(scratch.read(KEY_FILE), b"the only copy of something");
}

#[test]
fn a_certificate_that_cannot_be_renewed_is_served_on_with_a_warning() {
    let scratch = Scratch::new();
    // Permissions do not stop root, who may run the tests. The length of a path does: there is room for the two
    // files, but not for the longer name of a temporary one.
    let length = 4095 - CERTIFICATE_FILE.len() - "/".len();
    let mut directory = scratch.path().display().to_string();
    while length - directory.len() > 200 {
        directory = format!("{directory}/{}", "x".repeat(150));
    }
    let rest = length - directory.len() - "/".len();
    let directory = PathBuf::from(format!("{directory}/{}", "x".repeat(rest)));
    fs::create_dir_all(&directory).expect("a very long path");
    let now = SystemTime::now();
    let elsewhere = Scratch::new();
    make_at(elsewhere.path(), now);
    for name in [CERTIFICATE_FILE, KEY_FILE] {
        fs::copy(elsewhere.path().join(name), directory.join(name)).expect("room for the file");
    }
    let kept = make_at(&directory, now + 392 * DAY);
    let told = |warning: &String| warning.contains("could not be renewed: noren cannot write ");
    assert!(kept.warnings().iter().any(told), "{:?}", kept.warnings());
}

#[test]
fn a_directory_that_cannot_be_made_is_named_with_the_remedy() {
    let scratch = Scratch::new();
    scratch.write("file", "");
    let directory = scratch.path().join("file/certs");
    let text = load_or_make(&directory)
        .expect_err("a file is in the way")
        .to_string();
    assert!(
        text.starts_with(&format!("noren cannot write {}: ", directory.display())),
        "{text}"
    );
    assert!(
        text.contains("give --cert and --key, or set tls.self-signed to a directory it may write"),
        "{text}"
    );
}
