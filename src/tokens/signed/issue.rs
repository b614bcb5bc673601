//! Issues signed links, for `noren token --sign`, with a key from the same files that links are verified with.

use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::SETTING;
use super::claims::Claims;
use crate::clock::now_seconds;
use crate::config::Signed;
use crate::faults::Faults;
use crate::jwt::{KeyError, Keys, Unsigned};

/// The properties of a link to issue.
#[derive(Debug, Clone)]
pub struct LinkOrder<'a> {
    /// Name of the token.
    pub name: &'a str,
    /// Lifetime of the link.
    pub expires: Duration,
    /// True if the link can be used only once.
    pub single_use: bool,
    /// True if the link is view-only.
    pub view_only: bool,
    /// Address or network for which it is valid.
    pub address: Option<String>,
}

/// Reasons why a link cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A key file cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Files of keys.
    #[error(transparent)]
    Keys(#[from] Faults<KeyError>),
    /// No file contains a key that can sign.
    #[error(
        "bridge.signed.keys has no secret and no private key to sign with; make one with: openssl genpkey \
         -algorithm ed25519 | install -g noren -m 640 /dev/stdin /etc/noren/links.pem, and write keys = \
         [\"/etc/noren/links.pem\"] into [bridge.signed]"
    )]
    NoKey,
    /// The lifetime exceeds the accepted maximum.
    #[error("a link may be good for {0:?} at most (bridge.signed.longest)")]
    Long(Duration),
    /// The cryptographic library refuses the key.
    #[error("sign the link: {0}")]
    Sign(String),
}

/// Signs a link with the first key that can sign.
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
        exp: Some((now_seconds() + order.expires.as_secs()).into()),
        jti: Some(URL_SAFE_NO_PAD.encode(random)),
        single_use: order.single_use,
        view_only: order.view_only,
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
