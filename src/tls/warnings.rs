//! Warnings about faults of a usable certificate that clients will complain about.
//!
//! Returns sentences for the log. Other code decides if a certificate can be served at all.

use std::time::SystemTime;

use rustls::SignatureScheme;
use rustls::sign::SigningKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

use crate::clock::moment;

/// Signature algorithms with broken hashes.
const BROKEN: [(&str, &str); 5] = [
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.3.14.3.2.29", "SHA-1"),
    ("1.2.840.10040.4.3", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
];

/// Signature schemes that browsers support; Chromium and Firefox agree on these.
const BROWSERS: [SignatureScheme; 5] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

/// Warnings about the server's own certificate.
pub(super) fn of_certificate(certificate: &X509Certificate<'_>, now: SystemTime) -> Vec<String> {
    let mut found: Vec<String> = of_any(certificate, now).into_iter().collect();
    if !names_a_host(certificate) {
        found.push(
            "it has no subject alternative name for a host, and browsers accept it for none"
                .to_owned(),
        );
    }
    found.extend(broken_hash(certificate));
    found
}

/// Warnings about another certificate of the chain.
pub(super) fn of_issuer(certificate: &X509Certificate<'_>, now: SystemTime) -> Vec<String> {
    let mut found: Vec<String> = of_any(certificate, now).into_iter().collect();
    // A root is trusted because it is known; its self-signature is not verified.
    if certificate.subject().as_raw() != certificate.issuer().as_raw() {
        found.extend(broken_hash(certificate));
    }
    found
}

/// A warning about a key that few clients can use.
pub(super) fn of_key(key: &dyn SigningKey) -> Option<String> {
    if key.choose_scheme(&BROWSERS).is_some() {
        return None;
    }
    Some(
        "browsers do not support its kind of key (they know RSA, and ECDSA on P-256 and P-384)"
            .to_owned(),
    )
}

/// Formats a time for people.
fn shown(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!(
        "{}-{:02}-{:02} {:02}:{:02} UTC",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute()
    )
}

fn of_any(certificate: &X509Certificate<'_>, now: SystemTime) -> Option<String> {
    let validity = certificate.validity();
    if moment(validity.not_after.timestamp()) < now {
        return Some(format!(
            "it expired on {}, and clients refuse it",
            shown(validity.not_after)
        ));
    }
    if moment(validity.not_before.timestamp()) > now {
        let clock = "if that has passed, correct the clock of this machine";
        return Some(format!(
            "it is not valid before {}, and clients refuse it until then; {clock}",
            shown(validity.not_before)
        ));
    }
    None
}

fn names_a_host(certificate: &X509Certificate<'_>) -> bool {
    let host = |name: &GeneralName<'_>| {
        matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_))
    };
    let names = certificate.subject_alternative_name();
    matches!(names, Ok(Some(names)) if names.value.general_names.iter().any(host))
}

fn broken_hash(certificate: &X509Certificate<'_>) -> Option<String> {
    let identifier = certificate.signature_algorithm.algorithm.to_id_string();
    let (_, hash) = BROKEN.iter().find(|(broken, _)| *broken == identifier)?;
    Some(format!("it is signed with {hash}, which browsers refuse"))
}
