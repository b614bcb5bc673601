//! Private keys: converts DER to a signing key, or explains why it cannot be used.
//!
//! Independent of files.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use x509_parser::asn1_rs::{Any, FromDer as _, Integer, Tag};
use x509_parser::x509::AlgorithmIdentifier;

/// Advice for replacing an unusable key.
const USABLE: &str = "use ECDSA on P-256 or P-384, or RSA of 2048 to 8192 bits";

/// Sizes of RSA keys that aws-lc can sign with. Browsers refuse shorter ones too.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Object identifiers of key kinds and curves, each with its name and a flag that is true if it can be used.
const KNOWN: [(&str, &str, bool); 13] = [
    ("1.2.840.113549.1.1.1", "RSA", true),
    ("1.2.840.113549.1.1.10", "RSA-PSS", false),
    ("1.2.840.10040.4.1", "DSA", false),
    ("1.3.101.110", "X25519", false),
    ("1.3.101.111", "X448", false),
    ("1.3.101.112", "Ed25519", true),
    ("1.3.101.113", "Ed448", false),
    ("1.2.840.10045.3.1.7", "P-256", true),
    ("1.3.132.0.34", "P-384", true),
    ("1.3.132.0.35", "P-521", true),
    ("1.3.132.0.33", "P-224", false),
    ("1.3.132.0.10", "secp256k1", false),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1", false),
];

const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";

/// Parses a key for signing handshakes.
///
/// # Errors
/// The text names the kind of key and the reason.
pub(super) fn signing_key(der: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, String> {
    any_supported_type(der).map_err(|_| match Kind::of(der) {
        Some(kind) => kind.objection(),
        None => "it is damaged: there is no private key inside".to_owned(),
    })
}

/// The kind that a key declares.
enum Kind {
    Rsa { bits: usize },
    Curve(String),
    Other(String),
}

impl Kind {
    /// Parses a key as far as needed to name its kind; used for keys that the library has refused.
    fn of(key: &PrivateKeyDer<'_>) -> Option<Self> {
        match key {
            PrivateKeyDer::Pkcs1(key) => Self::of_rsa(key.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(key) => Self::of_sec1(key.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(key) => Self::of_pkcs8(key.secret_pkcs8_der()),
            _ => None,
        }
    }

    /// Parses a PKCS#1 key, `SEQUENCE { version, modulus, … }` (RFC 8017 §A.1.2).
    fn of_rsa(der: &[u8]) -> Option<Self> {
        let (_, key) = Any::from_der(der).ok()?;
        let (rest, _version) = Integer::from_der(key.data).ok()?;
        let (_, modulus) = Any::from_der(rest).ok()?;
        let leading = modulus.data.iter().take_while(|&&byte| byte == 0).count();
        let first = modulus.data.get(leading)?;
        let bits = (modulus.data.len() - leading) * 8 - first.leading_zeros() as usize;
        Some(Self::Rsa { bits })
    }

    /// Parses a SEC1 key, `SEQUENCE { version, privateKey OCTET STRING, [0] parameters, … }` (RFC 5915 §3).
    fn of_sec1(der: &[u8]) -> Option<Self> {
        let (_, key) = Any::from_der(der).ok()?;
        let (rest, _version) = Integer::from_der(key.data).ok()?;
        let (rest, _private) = Any::from_der(rest).ok()?;
        let (_, parameters) = Any::from_der(rest).ok()?;
        let (_, curve) = Any::from_der(parameters.data).ok()?;
        Some(Self::Curve(curve_name(&curve)))
    }

    /// Parses a PKCS#8 key, `SEQUENCE { version, algorithm, privateKey OCTET STRING, … }` (RFC 5958 §2).
    fn of_pkcs8(der: &[u8]) -> Option<Self> {
        let (_, key) = Any::from_der(der).ok()?;
        let (rest, _version) = Integer::from_der(key.data).ok()?;
        let (rest, algorithm) = AlgorithmIdentifier::from_der(rest).ok()?;
        let identifier = algorithm.algorithm.to_id_string();
        if identifier == EC_PUBLIC_KEY {
            return Some(Self::Curve(curve_name(&algorithm.parameters?)));
        }
        match name(&identifier) {
            "RSA" => Self::of_rsa(Any::from_der(rest).ok()?.1.data),
            other => Some(Self::Other(other.to_owned())),
        }
    }

    fn objection(&self) -> String {
        match self {
            Self::Rsa { bits } if RSA_BITS.contains(bits) => {
                damaged(&format!("an RSA key of {bits} bits"))
            }
            Self::Rsa { bits } if bits < RSA_BITS.start() => {
                format!("an RSA key of {bits} bits is too short; {USABLE}")
            }
            Self::Rsa { bits } => format!("an RSA key of {bits} bits is too long; {USABLE}"),
            Self::Curve(curve) if usable(curve) => damaged(&format!("a key on {curve}")),
            Self::Curve(curve) => format!("keys on the curve {curve} are not supported; {USABLE}"),
            Self::Other(kind) if usable(kind) => damaged(&format!("an {kind} key")),
            Self::Other(kind) => format!("{kind} keys are not supported; {USABLE}"),
        }
    }
}

fn damaged(what: &str) -> String {
    format!("it says that it is {what}, but it is damaged")
}

fn name(identifier: &str) -> &str {
    KNOWN
        .iter()
        .find(|known| known.0 == identifier)
        .map_or(identifier, |known| known.1)
}

fn usable(name: &str) -> bool {
    KNOWN.iter().any(|known| known.1 == name && known.2)
}

fn curve_name(parameters: &Any<'_>) -> String {
    match parameters.as_oid() {
        Ok(curve) if parameters.tag() == Tag::Oid => name(&curve.to_id_string()).to_owned(),
        // The curve may also be given explicitly; only attackers still do that (CVE-2020-0601).
        _ => "given by explicit parameters".to_owned(),
    }
}
