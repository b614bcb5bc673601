//! Keys for tokens, from files that are read again when they change.
//!
//! A file is a JWKS or one JWK (RFC 7517), a PEM file with one key, or a secret in base64url, as websockify's
//! `JWTTokenApi` takes it. Each key has exactly one algorithm, its own or the usual one of its kind, so that no
//! token can choose another: a public RSA key never becomes a secret for HMAC. Independent of tokens.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD_INDIFFERENT;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};

use crate::config::SecretFile;
use crate::fs::FileId;
use crate::sync::lock;
use crate::text::pem::{sections, written};
use crate::text::permission::Use;
use crate::text::{self, Reason};

/// Size limit of a key file.
const LARGEST: u64 = 256 * 1024;
/// Limit on keys in one file; a token without a key id is checked with all of its algorithm.
const MOST: usize = 64;
/// Marker by which a PEM file is recognised, whatever text precedes it.
const BEGIN: &[u8] = b"-----BEGIN ";
/// Minimum length of a secret: that of the hash (RFC 7518 §3.2).
const SHORTEST_SECRET: usize = 32;

/// One key.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) verify: DecodingKey,
    /// The signing key, if the file has a private key or a secret.
    pub(super) sign: Option<EncodingKey>,
}

/// Failure to use the keys of a file.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {file}: {reason}")]
pub struct KeyError {
    /// Name of the setting in the configuration.
    setting: &'static str,
    file: SecretFile,
    reason: Reason,
}

impl KeyError {
    /// The file, if this user may not read it.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        self.reason.denied()
    }
}

/// The form of a secret in a file that is neither JSON nor PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    /// The secret is encoded in base64url.
    Base64Url,
    /// The text is the secret, as most libraries take it; a line end behind it is none of it.
    Text,
}

/// A key file and its parsed content.
pub(super) struct KeyFile {
    setting: &'static str,
    file: SecretFile,
    secret: Secret,
    read: Mutex<(FileId, Arc<[Key]>)>,
}

impl KeyFile {
    pub(super) fn open(
        setting: &'static str,
        file: SecretFile,
        secret: Secret,
    ) -> Result<Self, KeyError> {
        let found = read(&file, secret).map_err(|reason| fault(setting, &file, reason))?;
        Ok(Self {
            setting,
            secret,
            read: Mutex::new(found),
            file,
        })
    }

    /// The current keys. An unreadable file has none, because removing a key must take effect.
    pub(super) fn current(&self) -> Result<Arc<[Key]>, KeyError> {
        let told = |reason| fault(self.setting, &self.file, reason);
        let now = identity(&self.file).map_err(told)?;
        let mut read_before = lock(&self.read);
        if read_before.0 != now {
            *read_before = read(&self.file, self.secret).map_err(told)?;
        }
        Ok(Arc::clone(&read_before.1))
    }
}

fn fault(setting: &'static str, file: &SecretFile, reason: Reason) -> KeyError {
    KeyError {
        setting,
        file: file.clone(),
        reason,
    }
}

fn identity(file: &SecretFile) -> Result<FileId, Reason> {
    let path = file.path();
    FileId::of(&path).map_err(|error| Reason::new(&path, Use::Read, &error))
}

/// Reads the file. Its identity is taken before, so that a change during the read is noticed.
fn read(file: &SecretFile, secret: Secret) -> Result<(FileId, Arc<[Key]>), Reason> {
    let (before, path) = (identity(file)?, file.path());
    let bytes =
        text::file::read(&path, LARGEST).map_err(|error| Reason::new(&path, Use::Read, &error))?;
    Ok((before, parse(&bytes, secret)?.into()))
}

/// Parses the keys of a file; the reason quotes nothing of it.
pub(super) fn parse(bytes: &[u8], secret: Secret) -> Result<Vec<Key>, String> {
    let text = bytes.trim_ascii();
    if text.starts_with(b"{") {
        return parse_json(text);
    }
    if text.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return parse_pem(text);
    }
    if secret == Secret::Text {
        return secret_key(text, None, Algorithm::HS256).map(|key| vec![key]);
    }
    let secret = URL_SAFE_NO_PAD_INDIFFERENT.decode(text).map_err(|_| {
        "it is neither a JWKS, nor PEM, nor a secret in base64url; make one with: openssl rand 32 | basenc --base64url"
    })?;
    secret_key(&secret, None, Algorithm::HS256).map(|key| vec![key])
}

fn secret_key(secret: &[u8], id: Option<String>, algorithm: Algorithm) -> Result<Key, String> {
    if secret.len() < SHORTEST_SECRET {
        return Err(format!(
            "a secret has {} bytes and must have {SHORTEST_SECRET}; make one with: openssl rand 32 | basenc \
             --base64url",
            secret.len()
        ));
    }
    Ok(Key {
        id,
        algorithm,
        verify: DecodingKey::from_secret(secret),
        sign: Some(EncodingKey::from_secret(secret)),
    })
}

fn parse_json(text: &[u8]) -> Result<Vec<Key>, String> {
    let object: serde_json::Value = serde_json::from_slice(text)
        .map_err(|error| format!("line {}: it is not JSON", error.line()))?;
    let list = match object.get("keys") {
        Some(serde_json::Value::Array(list)) => list.clone(),
        Some(_) => return Err("its member `keys` is not a list".to_owned()),
        None => vec![object],
    };
    if list.len() > MOST {
        return Err(format!("it has more than {MOST} keys"));
    }
    let mut keys = Vec::new();
    for (number, jwk) in (1..).zip(list) {
        let jwk = serde_json::from_value(jwk)
            .map_err(|_| format!("key number {number} is not a JSON Web Key"))?;
        keys.extend(parse_jwk(&jwk).map_err(|reason| format!("key number {number}: {reason}"))?);
    }
    if keys.is_empty() {
        return Err("it has no key for signatures".to_owned());
    }
    Ok(keys)
}

/// Parses a JWK; `None` if it is not for signatures, or of an unsupported kind (RFC 7517 §5).
fn parse_jwk(jwk: &Jwk) -> Result<Option<Key>, String> {
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return Ok(None);
    }
    let usual = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => {
            Algorithm::ES384
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return Ok(None),
    };
    let algorithm = match &jwk.common.key_algorithm {
        None => usual,
        Some(said) => Algorithm::from_str(&said.to_string())
            .map_err(|_| "its `alg` is not one for signatures that is known here".to_owned())?,
    };
    let verify = DecodingKey::from_jwk(jwk).map_err(|_| "its numbers are not base64url")?;
    // The curve decides for ES256 or ES384; of a family of RSA or HMAC any is as good.
    let fits = match verify.family() {
        AlgorithmFamily::Ec | AlgorithmFamily::Ed => algorithm == usual,
        family => algorithm.family() == family,
    };
    if !fits {
        return Err("its `alg` does not belong to its kind of key".to_owned());
    }
    let id = jwk.common.key_id.clone();
    if let AlgorithmParameters::OctetKey(key) = &jwk.algorithm {
        let secret = URL_SAFE_NO_PAD_INDIFFERENT.decode(&key.value);
        let secret = secret.map_err(|_| "its secret is not base64url")?;
        return secret_key(&secret, id, algorithm).map(Some);
    }
    Ok(Some(Key {
        id,
        algorithm,
        verify,
        sign: None,
    }))
}

/// Parses the keys of all PEM sections.
fn parse_pem(text: &[u8]) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    for section in sections(text).map_err(|error| error.to_string())? {
        // The curve of a key, which is in the key too.
        if section.label.ends_with(" PARAMETERS") {
            continue;
        }
        let private = section.label.ends_with("PRIVATE KEY");
        let text = section.der.map(|der| written(&section.label, &der));
        let read = if private { private_pem } else { public_pem };
        let key = text.and_then(|text| read(text.as_bytes()));
        let key = key.ok_or_else(|| {
            format!(
                "line {}: this is no key of RSA, Ed25519, P-256 or P-384 in PKCS#8; convert it with: \
                 openssl pkey -in FILE -out FILE.pem",
                section.line
            )
        })?;
        keys.push(key);
    }
    match keys.len() {
        0 => Err("the PEM file has no key".to_owned()),
        1..=MOST => Ok(keys),
        _ => Err(format!("it has more than {MOST} keys")),
    }
}

fn private_pem(text: &[u8]) -> Option<Key> {
    let kinds = [
        (EncodingKey::from_ed_pem(text), Algorithm::EdDSA),
        (EncodingKey::from_ec_pem(text), Algorithm::ES256),
        (EncodingKey::from_ec_pem(text), Algorithm::ES384),
        (EncodingKey::from_rsa_pem(text), Algorithm::RS256),
    ];
    kinds.into_iter().find_map(|(sign, algorithm)| {
        let sign = sign.ok()?;
        // Fails for a key of another kind or curve.
        let public = Jwk::from_encoding_key(&sign, algorithm).ok()?;
        Some(Key {
            id: None,
            algorithm,
            verify: DecodingKey::from_jwk(&public).ok()?,
            sign: Some(sign),
        })
    })
}

fn public_pem(text: &[u8]) -> Option<Key> {
    /// Length of an uncompressed point on P-384 (SEC 1 §2.3.3).
    const POINT_P384: usize = 97;
    let kinds = [
        (DecodingKey::from_ed_pem(text), Algorithm::EdDSA),
        (DecodingKey::from_ec_pem(text), Algorithm::ES256),
        (DecodingKey::from_rsa_pem(text), Algorithm::RS256),
    ];
    kinds.into_iter().find_map(|(verify, algorithm)| {
        let verify = verify.ok()?;
        let point = verify.try_get_as_bytes().map_or(0, <[u8]>::len);
        let algorithm = match algorithm {
            Algorithm::ES256 if point == POINT_P384 => Algorithm::ES384,
            other => other,
        };
        Some(Key {
            id: None,
            algorithm,
            verify,
            sign: None,
        })
    })
}

#[cfg(test)]
mod tests;
