//! Tests that every unusable certificate and key is refused with the file, the reason and the remedy.

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

use super::*;
use crate::tls::test_certificates::Scratch;

fn error(files: &Certificate) -> String {
    LoadedCertificate::load(files)
        .expect_err("it has to be refused")
        .to_string()
}

#[test]
fn a_missing_file_or_a_directory_is_named_with_the_reason() {
    let scratch = Scratch::new();
    let files = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let missing = Certificate {
        key: scratch.path().join("nowhere.pem"),
        ..files.clone()
    };
    let text = error(&missing);
    assert!(
        text.contains("cannot read the key ") && text.contains("nowhere.pem: No such file"),
        "{text}"
    );
    let directory = Certificate {
        certificate: scratch.path().to_owned(),
        ..files
    };
    let text = error(&directory);
    assert!(
        text.contains("cannot read the certificate ") && text.contains("s a directory"),
        "{text}"
    );
}

#[test]
fn an_endless_file_is_not_read_to_the_end() {
    let zero = Certificate {
        certificate: "/dev/zero".into(),
        key: "/dev/zero".into(),
        names: Vec::new(),
    };
    assert!(error(&zero).contains("larger than 1 MiB"));
}

#[test]
fn a_file_with_something_else_in_it_is_named_with_what_it_holds() {
    let scratch = Scratch::new();
    let good = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    scratch.openssl("req -new -key a-key.pem -subj /CN=a -out a.csr");
    scratch.openssl("x509 -in a-cert.pem -outform der -out a.der");
    scratch.openssl("pkey -in a-key.pem -outform der -out a-key.der");
    scratch.openssl("x509 -in a-cert.pem -trustout -out trusted.pem");
    scratch.openssl("pkey -in a-key.pem -pubout -out public.pem");
    scratch.write("empty.pem", "\n");
    scratch.write("text.pem", "hello");
    let certificates = [
        (
            "a-key.pem",
            "it holds a private key; are certificate and key swapped?",
        ),
        ("a.csr", "it holds a certificate request"),
        (
            "a.der",
            "it is binary; convert it to PEM with: openssl x509 -in ",
        ),
        (
            "trusted.pem",
            "it has OpenSSL's own form; convert it with: ",
        ),
        ("empty.pem", "the file is empty"),
        ("text.pem", "there is no line -----BEGIN CERTIFICATE-----"),
    ];
    for (name, reason) in certificates {
        let path = scratch.path().join(name);
        let text = error(&Certificate {
            certificate: path.clone(),
            ..good.clone()
        });
        assert!(
            text.starts_with(&format!("no certificate in {}: {reason}", path.display())),
            "{text}"
        );
    }
    let keys = [
        (
            "a-cert.pem",
            "it holds a certificate; are certificate and key swapped?",
        ),
        (
            "a-key.der",
            "it is binary; convert it to PEM with: openssl pkey -in ",
        ),
        ("empty.pem", "the file is empty"),
        ("public.pem", "there is no line -----BEGIN PRIVATE KEY-----"),
    ];
    for (name, reason) in keys {
        let path = scratch.path().join(name);
        let text = error(&Certificate {
            key: path.clone(),
            ..good.clone()
        });
        assert!(
            text.starts_with(&format!("no private key in {}: {reason}", path.display())),
            "{text}"
        );
    }
}

#[test]
fn an_encrypted_key_is_refused_with_the_command_that_decrypts_it() {
    let scratch = Scratch::new();
    let good = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    scratch.openssl("pkey -in a-key.pem -aes256 -passout pass:secret -out new.pem");
    scratch.openssl("pkey -in a-key.pem -aes256 -passout pass:secret -traditional -out old.pem");
    for name in ["new.pem", "old.pem"] {
        let path = scratch.path().join(name);
        let shown = path.display().to_string();
        let text = error(&Certificate {
            key: path,
            ..good.clone()
        });
        assert!(text.contains(&format!("{shown} is encrypted")), "{text}");
        let command = text
            .split_once("decrypt it with: openssl ")
            .expect("a command")
            .1
            .replace("pkey", "pkey -passin pass:secret");
        scratch.openssl(&command);
        LoadedCertificate::load(&Certificate {
            key: shown.replace(".pem", ".decrypted.pem").into(),
            ..good.clone()
        })
        .expect("the command decrypts it");
    }
}

#[test]
fn a_key_of_a_kind_that_cannot_sign_is_refused_by_its_name() {
    let scratch = Scratch::new();
    let good = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let kinds = [
        (
            "genrsa -out key.pem 1024",
            "an RSA key of 1024 bits is too short",
        ),
        (
            "genrsa -traditional -out key.pem 1024",
            "an RSA key of 1024 bits is too short",
        ),
        (
            "genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out key.pem",
            "RSA-PSS keys are not supported",
        ),
        (
            "genpkey -algorithm ed448 -out key.pem",
            "Ed448 keys are not supported",
        ),
        (
            "genpkey -algorithm x25519 -out key.pem",
            "X25519 keys are not supported",
        ),
        (
            "ecparam -name secp256k1 -genkey -noout -out key.pem",
            "the curve secp256k1 are not supported",
        ),
        (
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp224r1 -out key.pem",
            "the curve P-224 are not",
        ),
        (
            "ecparam -name secp256k1 -param_enc explicit -genkey -noout -out key.pem",
            "explicit parameters",
        ),
    ];
    for (command, reason) in kinds {
        scratch.openssl(command);
        let text = error(&Certificate {
            key: scratch.path().join("key.pem"),
            ..good.clone()
        });
        assert!(
            text.contains("key.pem: ") && text.contains(reason) && text.contains("use ECDSA"),
            "{text}"
        );
    }
    scratch.openssl("dsaparam -genkey -noout -out key.pem 1024");
    let text = error(&Certificate {
        key: scratch.path().join("key.pem"),
        ..good.clone()
    });
    assert!(text.contains("DSA keys are not supported"), "{text}");
}

#[test]
fn a_key_of_another_certificate_is_refused_and_a_chain_in_the_wrong_order_is_recognised() {
    let scratch = Scratch::new();
    let a = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let b = scratch.pair("b", &["b.example"], &PKCS_ED25519);
    let text = error(&Certificate {
        key: b.key,
        ..a.clone()
    });
    assert!(
        text.contains("b-key.pem does not belong to the certificate"),
        "{text}"
    );
    assert!(
        text.contains("a-cert.pem: they are from two different pairs"),
        "{text}"
    );

    scratch.write(
        "chain.pem",
        [scratch.read("b-cert.pem"), scratch.read("a-cert.pem")].concat(),
    );
    let text = error(&Certificate {
        certificate: scratch.path().join("chain.pem"),
        ..a
    });
    assert!(
        text.contains("it belongs to certificate number 2 in that file; put that one first"),
        "{text}"
    );
}

#[test]
fn damage_is_told_with_its_place() {
    let scratch = Scratch::new();
    let good = scratch.pair("a", &["a.example"], &PKCS_ECDSA_P256_SHA256);
    let whole = String::from_utf8(scratch.read("a-cert.pem")).expect("PEM is text");
    let section = |inside: &str| {
        format!("-----BEGIN CERTIFICATE-----\n{inside}\n-----END CERTIFICATE-----\n")
    };
    let cases = [
        (whole.clone() + &section("AAAA"), "certificate number 2 in "),
        (section("MAA="), "certificate number 1 in "),
        (section("%%%%"), "cannot read the certificate "),
        (
            whole.replace("-----END CERTIFICATE-----", ""),
            "cannot read the certificate ",
        ),
    ];
    for (text, reason) in cases {
        scratch.write("damaged.pem", text);
        let text = error(&Certificate {
            certificate: scratch.path().join("damaged.pem"),
            ..good.clone()
        });
        assert!(
            text.starts_with(reason) && text.contains("damaged.pem"),
            "{text}"
        );
    }
    scratch.write(
        "damaged-key.pem",
        "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
    );
    let text = error(&Certificate {
        key: scratch.path().join("damaged-key.pem"),
        ..good
    });
    assert!(
        text.contains("damaged-key.pem: it is damaged: there is no private key inside"),
        "{text}"
    );
}
