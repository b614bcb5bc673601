//! Making a signed link, for `noren token --sign`. The key comes from the same files that links are checked with.

use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::Claims;
use super::{SETTING, now};
use crate::config::Signed;
use crate::jwt::{KeyError, Keys, Unsigned};

/// What a link is to be.
#[derive(Debug, Clone)]
pub struct LinkOrder<'a> {
    /// The name of the token it stands for.
    pub name: &'a str,
    /// How long it is good.
    pub expires: Duration,
    /// Whether it opens once.
    pub single_use: bool,
    /// The address, or the network, it is for.
    pub address: Option<String>,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No file has a key that can sign.
    #[error(
        "bridge.signed.keys has no secret and no private key to sign with; make one with: openssl genpkey -algorithm ed25519 -out /etc/noren/links.pem"
    )]
    NoKey,
    /// It would not be accepted.
    #[error("a link may be good for {0:?} at most (bridge.signed.longest)")]
    Long(Duration),
    /// The cryptographic library refuses the key.
    #[error("sign the link: {0}")]
    Sign(String),
}

/// Signs with the first key that can.
///
/// # Errors
/// [`SignError`] says what is missing.
pub fn sign_link(rules: &Signed, order: &LinkOrder<'_>) -> Result<String, SignError> {
    if let Some(longest) = rules.longest.filter(|longest| order.expires > *longest) {
        return Err(SignError::Long(longest));
    }
    let keys = Keys::open(SETTING, &rules.keys)?;
    let mut random = [0; 16];
    rand::fill(&mut random).map_err(|_| SignError::Sign("there is no randomness".to_owned()))?;
    let claims = Claims {
        token: Some(order.name.to_owned()),
        exp: Some((now() + order.expires.as_secs()).into()),
        jti: Some(URL_SAFE_NO_PAD.encode(random)),
        single_use: order.single_use,
        ip: order.address.clone(),
        aud: rules.audience.clone().map(Into::into),
        ..Claims::default()
    };
    keys.sign(&claims).map_err(|error| match error {
        Unsigned::Key(error) => SignError::Key(error),
        Unsigned::NoKey => SignError::NoKey,
        Unsigned::Refused(reason) => SignError::Sign(reason),
    })
}
