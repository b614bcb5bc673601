//! Signatures of webhooks, over the raw bytes of the body: GitHub's, GitLab's token, Stripe's, and Standard Webhooks.
//! Must not know channels. Errors contain no secret and no signature, and both are compared in constant time.

use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine as _;
use base64::engine::Simd;
use base64::engine::general_purpose::PAD;
use http::HeaderMap;

use crate::clock::unix_time;
use crate::config::{SecretFile, WebhookSignature};
use crate::text::Reason;
use crate::text::file::{LARGEST_SECRET, read_text};
use crate::text::permission::Use;

/// Limit on signatures in one header; a service that is changing its secret sends two.
const MOST: usize = 16;
/// Minimum length of a secret, in characters.
const SHORTEST: usize = 16;
/// Prefix of the secrets of Standard Webhooks.
const STANDARD_PREFIX: &str = "whsec_";

/// The secrets of a webhook.
pub(super) struct Secrets(Vec<Secret>);

/// A secret in the form that its signature needs.
enum Secret {
    /// The key of an HMAC.
    Key(Box<hmac::Key>),
    /// The SHA-256 of a token.
    Token([u8; 32]),
}

/// Reasons why a request is not authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unbelieved {
    /// The header of the signature is missing, doubled or malformed.
    #[error("it has no signature in the header {0}")]
    Unsigned(&'static str),
    /// It was signed with none of the secrets.
    #[error("its signature is of none of the secrets")]
    Wrong,
    /// It was signed too long ago, or in the future.
    #[error("it was signed at another time: {0:?} from now, and tolerance is {1:?}")]
    Late(Duration, Duration),
}

/// An authentic request: the signed values that identify its delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Believed {
    /// The id of the delivery, if it is signed.
    pub(super) id: Option<String>,
}

impl Secrets {
    /// Reads the files with the secrets.
    pub(super) fn read(files: &[SecretFile], form: WebhookSignature) -> Result<Self, Reason> {
        let secrets = files.iter().map(|file| {
            let path = file.path();
            let text = read_text(&path, LARGEST_SECRET);
            let text = text.map_err(|error| Reason::new(&path, Use::Read, &error).at(&path))?;
            let text = text.trim_end_matches(['\r', '\n']);
            Secret::parse(text, form).map_err(|reason| Reason::from(reason).at(&path))
        });
        secrets.collect::<Result<_, _>>().map(Self)
    }

    /// Checks the signature of a request.
    pub(super) fn verify(
        &self,
        form: WebhookSignature,
        headers: &HeaderMap,
        body: &[u8],
        (now, tolerance): (SystemTime, Duration),
    ) -> Result<Believed, Unbelieved> {
        match form {
            WebhookSignature::Github => {
                const NAME: &str = "x-hub-signature-256";
                let unsigned = Unbelieved::Unsigned(NAME);
                let value = only(headers, NAME).ok_or(unsigned)?;
                let signature = value.strip_prefix("sha256=").and_then(from_hex);
                self.check(&[body], &[signature.ok_or(unsigned)?])?;
                // The header with the delivery's id is not signed, so the body tells one from another.
                Ok(Believed {
                    id: Some(to_hex(digest(&SHA256, body).as_ref())),
                })
            }
            WebhookSignature::Gitlab => {
                const NAME: &str = "x-gitlab-token";
                let token = only(headers, NAME).ok_or(Unbelieved::Unsigned(NAME))?;
                self.check_token(token)?;
                let id = only(headers, "idempotency-key").map(str::to_owned);
                Ok(Believed { id })
            }
            WebhookSignature::Stripe => {
                const NAME: &str = "stripe-signature";
                let value = only(headers, NAME).ok_or(Unbelieved::Unsigned(NAME))?;
                let (time, signatures) = stripe(value).ok_or(Unbelieved::Unsigned(NAME))?;
                self.check(&[time.as_bytes(), b".", body], &signatures)?;
                in_time(time, now, tolerance).ok_or(Unbelieved::Unsigned(NAME))??;
                // The id of the event is in the body, and the same when it is sent again.
                Ok(Believed { id: None })
            }
            WebhookSignature::Standard => {
                const NAME: &str = "webhook-signature";
                let unsigned = Unbelieved::Unsigned(NAME);
                let value = only(headers, NAME).ok_or(unsigned)?;
                let time = only(headers, "webhook-timestamp").ok_or(unsigned)?;
                // A dot would let a part of one field be read as the next.
                let id = only(headers, "webhook-id").filter(|id| !id.contains('.'));
                let id = id.ok_or(unsigned)?;
                let signatures = standard(value);
                let text = [id.as_bytes(), b".", time.as_bytes(), b".", body];
                self.check(&text, &signatures)?;
                in_time(time, now, tolerance).ok_or(unsigned)??;
                Ok(Believed {
                    id: Some(id.to_owned()),
                })
            }
        }
    }

    /// Compares each secret with each signature; the time does not reveal which one matches.
    fn check(&self, text: &[&[u8]], signatures: &[Vec<u8>]) -> Result<(), Unbelieved> {
        let mut found = false;
        for secret in &self.0 {
            let Secret::Key(key) = secret else { continue };
            let mut context = hmac::Context::with_key(key);
            for part in text {
                context.update(part);
            }
            let own = context.sign();
            for signature in signatures {
                found |= verify_slices_are_equal(own.as_ref(), signature).is_ok();
            }
        }
        found.then_some(()).ok_or(Unbelieved::Wrong)
    }

    fn check_token(&self, token: &str) -> Result<(), Unbelieved> {
        let shown = sha256(token.as_bytes());
        let mut found = false;
        for secret in &self.0 {
            let Secret::Token(own) = secret else { continue };
            found |= verify_slices_are_equal(own, &shown).is_ok();
        }
        found.then_some(()).ok_or(Unbelieved::Wrong)
    }
}

impl Secret {
    fn parse(text: &str, form: WebhookSignature) -> Result<Self, &'static str> {
        let key = |bytes: &[u8]| Self::Key(Box::new(hmac::Key::new(HMAC_SHA256, bytes)));
        if text.chars().count() < SHORTEST || text.contains(char::is_control) {
            return Err(
                "it holds no secret: one line of at least 16 characters; make one with: openssl rand -hex 32",
            );
        }
        match form {
            WebhookSignature::Github | WebhookSignature::Stripe => Ok(key(text.as_bytes())),
            WebhookSignature::Gitlab => Ok(Self::Token(sha256(text.as_bytes()))),
            WebhookSignature::Standard => {
                let text = text.strip_prefix(STANDARD_PREFIX).unwrap_or(text);
                let bytes = Simd::standard(PAD).decode(text).ok();
                let bytes = bytes.filter(|bytes| (24..=64).contains(&bytes.len()));
                let bytes = bytes.ok_or(
                    "it holds no secret of Standard Webhooks: whsec_ and 24 to 64 bytes in base64",
                )?;
                Ok(key(&bytes))
            }
        }
    }
}

/// The value of a header that occurs exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok())?
}

/// The time and the signatures in the form `t=…,v1=…,v1=…`. Other versions are ignored.
fn stripe(value: &str) -> Option<(&str, Vec<Vec<u8>>)> {
    let (mut time, mut signatures) = (None, Vec::new());
    for part in value.split(',') {
        match part.trim().split_once('=')? {
            ("t", value) if time.is_none() => time = Some(value),
            ("t", _) => return None,
            ("v1", value) if signatures.len() < MOST => signatures.push(from_hex(value)?),
            _ => {}
        }
    }
    Some((time?, signatures))
}

/// The signatures in the form `v1,… v1,…`. Other versions are ignored.
fn standard(value: &str) -> Vec<Vec<u8>> {
    let signatures = value.split(' ').filter_map(|part| {
        let text = part.strip_prefix("v1,")?;
        Simd::standard(PAD).decode(text).ok()
    });
    signatures.take(MOST).collect()
}

/// Parses a time in Unix seconds; `None` if it is malformed.
fn in_time(text: &str, now: SystemTime, tolerance: Duration) -> Option<Result<(), Unbelieved>> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: u64 = text.parse().ok().filter(|_| digits)?;
    let now = unix_time(now).as_secs();
    let away = Duration::from_secs(now.abs_diff(seconds));
    let is_near = away <= tolerance;
    Some(
        is_near
            .then_some(())
            .ok_or(Unbelieved::Late(away, tolerance)),
    )
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let whole = digest(&SHA256, bytes);
    // It has exactly so many bytes.
    whole.as_ref().first_chunk().copied().unwrap_or_default()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|sign| sign.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    let bytes = digits.chunks_exact(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    bytes.collect()
}

fn to_hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[cfg(test)]
mod tests;
