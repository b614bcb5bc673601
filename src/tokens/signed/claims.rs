//! The claims of a signed link, and their checks. Must not know keys and files.
//!
//! | claim | meaning |
//! |---|---|
//! | `token` | the name of the token that the link stands for, as `noren token NAME` takes it |
//! | `host`, `port` | in its place: the target itself, as websockify's `JWTTokenApi` has it |
//! | `exp`, `nbf` | not after, not before, in seconds since 1970 (RFC 7519 §4.1.4, §4.1.5) |
//! | `jti` | unique identifier of the link (§4.1.7); required for a single-use link |
//! | `single_use` | `true`: it opens once |
//! | `view_only` | `true`: the console is view-only |
//! | `ip` | the address of the client, or its network such as `192.0.2.0/24` |
//! | `aud` | the audience (§4.1.3); see `bridge.signed.audience` |

use std::net::IpAddr;

use aws_lc_rs::digest::{Context, SHA256};
use jsonwebtoken::Header;
use serde::{Deserialize, Serialize};

use super::{Link, LinkError, Once, Purpose, UNIX};
use crate::config::Signed;
use crate::jwt::Period;
use crate::tokens::address::Named;
use crate::tokens::special_address::is_within;

/// Supported claims; others are ignored.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) port: Option<serde_json::Value>,
    /// Expiry: a number of seconds, possibly with a fraction (RFC 7519 §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exp: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jti: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) single_use: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) view_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) aud: Option<serde_json::Value>,
}

impl Claims {
    /// Checks the claims for this peer at this time, and returns the link.
    pub(super) fn check(
        self,
        header: &Header,
        rules: &Signed,
        peer: Option<IpAddr>,
        now: u64,
    ) -> Result<Link, LinkError> {
        let period = Period {
            until: self.exp.as_ref(),
            from: self.nbf.as_ref(),
        };
        let until = period.check(rules.leeway, rules.longest, now)?;
        if let Some(network) = &self.ip
            && !peer.is_some_and(|peer| is_of(network, peer))
        {
            return Err(LinkError::Elsewhere);
        }
        let once = if self.single_use {
            let jti = self.jti.as_deref().filter(|jti| !jti.is_empty());
            let (Some(jti), Some(until)) = (jti, until) else {
                return Err(LinkError::Invalid("a single-use link needs jti and exp"));
            };
            Some(Once {
                id: id(header.kid.as_deref().unwrap_or_default(), jti),
                until: until.saturating_add(rules.leeway.as_secs()),
                peer: peer.map_or_else(|| UNIX.to_owned(), |peer| peer.to_string()),
            })
        } else {
            None
        };
        Ok(Link {
            view_only: self.view_only,
            purpose: self.purpose()?,
            once,
        })
    }

    fn purpose(self) -> Result<Purpose, LinkError> {
        match (self.token, self.host) {
            (Some(name), None) if !name.is_empty() && !name.contains(char::is_control) => {
                Ok(Purpose::Token(name))
            }
            (None, Some(host)) => Named::new(host, self.port)
                .and_then(|named| named.endpoint().ok())
                .map(Purpose::Target)
                .ok_or(LinkError::Invalid("its host and port are no address")),
            _ => Err(LinkError::Invalid(
                "it must name a token, or a host and port, and not both",
            )),
        }
    }
}

/// True if `peer` has the address, or is in the network, in the claim.
fn is_of(network: &str, peer: IpAddr) -> bool {
    let (address, bits) = match network.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (network, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let address = address.to_canonical();
    let longest = if address.is_ipv6() { 128 } else { 32 };
    let bits = bits.map_or(Some(longest), |bits| bits.parse().ok());
    bits.is_some_and(|bits| bits <= longest && is_within(peer.to_canonical(), address, bits))
}

/// Fixed-size identifier of a link, derived from the issuer's key and the `jti`.
fn id(key: &str, jti: &str) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    // The length keeps two pairs of texts from being one text.
    context.update(&(key.len() as u64).to_be_bytes());
    context.update(key.as_bytes());
    context.update(jti.as_bytes());
    let mut id = [0; 32];
    id.copy_from_slice(context.finish().as_ref());
    id
}
