//! JSON Web Tokens (RFC 7519): verifies signatures with the keys in some files, and checks validity periods.
//! Signed links to consoles and tokens for channels are both of this kind.
//!
//! The key determines the algorithm, and not the token (RFC 8725 §3.1): each key has exactly one, and `none` is
//! not among them. Encrypted tokens (JWE) are not supported: the libraries for them bring OpenSSL, a second
//! cryptography, along. Blocks on files. Independent of the purpose of a token. No token reaches a log.

mod keys;
mod time;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation, decode, decode_header, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::SecretFile;
use crate::faults::Faults;

pub(crate) use keys::{KeyError, Secret};
pub(crate) use time::{Period, Untimely};

use keys::{Key, KeyFile};

/// The keys that tokens are verified and signed with.
pub(crate) struct Keys(Vec<KeyFile>);

/// Reasons why a token is not accepted. The text is for the log, and contains nothing of the token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unverified {
    /// The signature or the form is invalid.
    #[error("{0}")]
    Invalid(&'static str),
    /// The keys cannot be read, so no token can be verified.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// Reasons why a token cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum Unsigned {
    /// A key file cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No file has a key that can sign.
    #[error("no secret and no private key to sign with")]
    NoKey,
    /// The cryptographic library refuses the key.
    #[error("sign the token: {0}")]
    Refused(String),
}

/// True if a text has the form of a JWT: it begins as every JSON object does in base64url, and has the dots of a
/// JWS or a JWE.
#[must_use]
pub(crate) fn is_token(text: &str) -> bool {
    text.starts_with("eyJ") && matches!(text.matches('.').count(), 2 | 4)
}

/// The type in the header of a token (`typ`), which nobody has verified yet.
#[must_use]
pub(crate) fn type_of(token: &str) -> Option<String> {
    decode_header(token).ok()?.typ
}

impl Keys {
    /// Reads the key files. `setting` is their name in the configuration, for errors.
    ///
    /// # Errors
    /// A [`KeyError`] for each file that cannot be used.
    pub(crate) fn open(
        setting: &'static str,
        files: &[SecretFile],
    ) -> Result<Self, Faults<KeyError>> {
        Self::open_with(setting, files, Secret::Base64Url)
    }

    /// Reads the key files, with secrets in this form.
    ///
    /// # Errors
    /// A [`KeyError`] for each file that cannot be used.
    pub(crate) fn open_with(
        setting: &'static str,
        files: &[SecretFile],
        secret: Secret,
    ) -> Result<Self, Faults<KeyError>> {
        let opened = files
            .iter()
            .map(|file| KeyFile::open(setting, file.clone(), secret));
        Faults::gather(opened).map(Self)
    }

    /// Returns header and claims if one of the current keys has signed them. Times are left to [`Period`]. If
    /// `audience` is `None`, a token with an audience is for another recipient and is refused.
    ///
    /// # Errors
    /// [`Unverified`] gives the reason, which is fit for the log.
    pub(crate) fn verify<C: DeserializeOwned>(
        &self,
        token: &str,
        audience: Option<&str>,
    ) -> Result<(Header, C), Unverified> {
        self.verify_with(token, |key| validation(key, audience))
    }

    /// Like [`verify`](Self::verify), but leaves the audience to the caller too.
    ///
    /// # Errors
    /// [`Unverified`] gives the reason, which is fit for the log.
    pub(crate) fn verify_signature<C: DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<(Header, C), Unverified> {
        self.verify_with(token, |key| {
            let mut validation = validation(key, None);
            validation.validate_aud = false;
            validation
        })
    }

    fn verify_with<C: DeserializeOwned>(
        &self,
        token: &str,
        rules: impl Fn(&Key) -> Validation,
    ) -> Result<(Header, C), Unverified> {
        if token.matches('.').count() == 4 {
            return Err(Unverified::Invalid(
                "it is encrypted (JWE), which is not read here; sign it without encrypting it",
            ));
        }
        let header = decode_header(token).map_err(|_| {
            Unverified::Invalid("its header is malformed, or its algorithm unknown")
        })?;
        if header.crit.is_some() {
            // RFC 7515 §4.1.11: whoever does not know what is critical must refuse it.
            return Err(Unverified::Invalid("it has a critical extension"));
        }
        let keys = self.current()?;
        let mut fault = "no key has its algorithm and key id";
        for key in candidates(&keys, &header) {
            match decode::<C>(token, &key.verify, &rules(key)) {
                Ok(data) => return Ok((data.header, data.claims)),
                Err(error) => fault = fault_of(error.kind()),
            }
        }
        Err(Unverified::Invalid(fault))
    }

    /// Signs with the first key that can.
    ///
    /// # Errors
    /// [`Unsigned`] says what is missing.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String, Unsigned> {
        let keys = self.current()?;
        let signer = keys.iter().find_map(|key| Some((key, key.sign.as_ref()?)));
        let (key, sign) = signer.ok_or(Unsigned::NoKey)?;
        let mut header = Header::new(key.algorithm);
        header.kid.clone_from(&key.id);
        encode(&header, claims, sign).map_err(|error| Unsigned::Refused(error.to_string()))
    }

    fn current(&self) -> Result<Vec<Key>, KeyError> {
        let mut keys = Vec::new();
        for file in &self.0 {
            keys.extend(file.current()?.iter().cloned());
        }
        Ok(keys)
    }
}

/// Settings of the library: times are checked with the other claims, and so not here.
fn validation(key: &Key, audience: Option<&str>) -> Validation {
    let mut validation = Validation::new(key.algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.required_spec_claims.clear();
    if let Some(audience) = audience {
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["aud"]);
    }
    validation
}

/// Keys that may have signed it: those of its algorithm, and of its key id if both have one.
fn candidates<'a>(keys: &'a [Key], header: &'a Header) -> impl Iterator<Item = &'a Key> {
    keys.iter().filter(|key| {
        let fits = match (&key.id, &header.kid) {
            (Some(own), Some(asked)) => own == asked,
            _ => true,
        };
        key.algorithm == header.alg && fits
    })
}

fn fault_of(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidAudience | ErrorKind::MissingRequiredClaim(_) => {
            "it is for another audience"
        }
        ErrorKind::InvalidAlgorithm => "its key has another algorithm",
        ErrorKind::Json(_) => "its claims are malformed",
        _ => "it is malformed",
    }
}
