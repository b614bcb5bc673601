//! Origin check of WebSockets: compares the `Origin` header with the `origins` of a route.
//!
//! A browser sends cookies with a WebSocket to any host, no matter which page opens it, and applies no same-origin rule
//! to it (RFC 6455, section 10.2). Without this check every page on the web could open the visitor's consoles. Origins
//! follow RFC 6454, sections 6 and 7; the origin of a WebSocket is that of the page, so it begins with `https://` where
//! the URL of the socket begins with `wss://`.
//!
//! Must not know tokens, sessions, or how a refusal is sent.

mod parsed;

use std::sync::Arc;

use http::HeaderMap;
use http::header::ORIGIN;

use self::parsed::Origin;
use crate::config::OriginRule;

/// The rules for pages that open a WebSocket.
#[derive(Clone, Debug)]
pub(crate) struct OriginPolicy {
    /// Name of the configuration table, for error texts.
    table: Arc<str>,
    any: bool,
    same: bool,
    listed: Vec<Origin>,
    missing: bool,
}

/// Reasons why a handshake is refused. The text is one line, for the log and for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OriginDenied {
    /// There is no `Origin`, and `missing-origin` is false.
    #[error("the request has no Origin header, and {0}.missing-origin is false")]
    Missing(Arc<str>),
    /// There are several `Origin` headers, and the true one cannot be known.
    #[error("the request has more than one Origin header")]
    Several,
    /// The header is neither an origin nor `null`.
    #[error("the Origin header is not an origin such as https://a.example")]
    Malformed,
    /// The origin is `null`: a sandboxed frame, a local file or a redirect across origins.
    #[error(
        "the page has no origin of its own (\"null\"), which only {0}.origins = [\"any\"] permits"
    )]
    Opaque(Arc<str>),
    /// The origin is not permitted.
    #[error("the page comes from {page}, which {table}.origins does not list")]
    NotListed {
        /// Origin of the page, in normal form.
        page: String,
        /// Name of the table with the list.
        table: Arc<str>,
    },
}

impl OriginPolicy {
    /// Creates the policy from `origins` and `missing-origin` of a table of the configuration.
    ///
    /// An `Exact` rule that is not a valid origin permits nothing.
    pub(crate) fn new(table: &str, rules: &[OriginRule], missing: bool) -> Self {
        let exact = rules.iter().filter_map(|rule| match rule {
            OriginRule::Exact(origin) => Origin::parse(origin),
            OriginRule::Any | OriginRule::Same => None,
        });
        Self {
            table: table.into(),
            any: rules.contains(&OriginRule::Any),
            same: rules.contains(&OriginRule::Same),
            listed: exact.collect(),
            missing,
        }
    }

    /// Checks the `Origin` header of a request for `scheme://authority`, where `scheme` is `http` or `https` and
    /// `authority` is the `Host` header or `:authority`, with or without a port.
    ///
    /// Takes all headers, because several `Origin` lines are refused regardless of their values.
    pub(crate) fn permits(
        &self,
        headers: &HeaderMap,
        scheme: &str,
        authority: &str,
    ) -> Result<(), OriginDenied> {
        let mut lines = headers.get_all(ORIGIN).iter();
        let Some(line) = lines.next() else {
            return if self.missing {
                Ok(())
            } else {
                Err(OriginDenied::Missing(Arc::clone(&self.table)))
            };
        };
        if lines.next().is_some() {
            return Err(OriginDenied::Several);
        }
        if self.any {
            return Ok(());
        }
        let text = line.to_str().map_err(|_| OriginDenied::Malformed)?;
        if text == "null" {
            return Err(OriginDenied::Opaque(Arc::clone(&self.table)));
        }
        let origin = Origin::parse(text).ok_or(OriginDenied::Malformed)?;
        let same = || Origin::new(scheme, authority).is_some_and(|own| own == origin);
        if self.listed.contains(&origin) || (self.same && same()) {
            Ok(())
        } else {
            Err(OriginDenied::NotListed {
                page: origin.to_string(),
                table: Arc::clone(&self.table),
            })
        }
    }
}

#[cfg(test)]
mod tests;
