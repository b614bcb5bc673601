//! The URL of an HTTP API that knows tokens, with a place for the token. Asks nothing.

use std::fmt;

use super::endpoint::Endpoint;
use super::mask;

/// Placeholder for the token.
const PLACE: &str = "{token}";

/// An `http` or `https` URL with `PLACE` once in its path or query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenUrl {
    /// True for `https`.
    pub secure: bool,
    /// The host and port as they stand in the URL, for the `Host` line.
    pub authority: String,
    /// The host; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query before the token, beginning with a slash.
    pub before: String,
    /// The rest behind the token.
    pub after: String,
}

impl TokenUrl {
    /// Reads a URL; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unfit = |what: &str| {
            format!(r#""{text}" {what}; write for example "https://api.example/consoles/{PLACE}""#)
        };
        let (secure, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(unfit("is not an http or https URL")),
        };
        let Some((authority, target)) = rest.find('/').map(|at| rest.split_at(at)) else {
            return Err(unfit("has no path"));
        };
        let endpoint = Endpoint::from_authority(authority, if secure { 443 } else { 80 });
        let Some(Endpoint::Tcp { host, port }) = endpoint else {
            return Err(unfit("has no valid host and port"));
        };
        if !target
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            return Err(unfit("has characters that must be percent-encoded"));
        }
        match target.split_once(PLACE) {
            Some((before, after)) if !after.contains(PLACE) => Ok(Self {
                secure,
                authority: authority.to_owned(),
                host,
                port,
                before: before.to_owned(),
                after: after.to_owned(),
            }),
            _ => Err(unfit("must have {token} once, where the token goes")),
        }
    }
}

impl TokenUrl {
    /// The address to connect to.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Tcp {
            host: self.host.clone(),
            port: self.port,
        }
    }
}

impl fmt::Display for TokenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        let Self {
            authority,
            before,
            after,
            ..
        } = self;
        let (before, after) = (masked(before), masked(after));
        write!(f, "{scheme}://{authority}{before}{PLACE}{after}")
    }
}

/// A part of a target, where fields of the query that are for secrets have no value.
fn masked(part: &str) -> String {
    let fields = part.split_inclusive('&').map(|field| {
        let end = if field.ends_with('&') { "&" } else { "" };
        match field.split_once('=') {
            Some((name, value))
                if mask::is_secret(name.rsplit('?').next().unwrap_or(name)) && value != end =>
            {
                format!("{name}=…{end}")
            }
            _ => field.to_owned(),
        }
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_at_the_token() {
        let url = TokenUrl::parse("https://api.example:8443/c?id={token}&x=1").expect("a URL");
        assert!(url.secure);
        assert_eq!(url.endpoint().to_string(), "api.example:8443");
        assert_eq!(
            (url.before.as_str(), url.after.as_str()),
            ("/c?id=", "&x=1")
        );
        assert_eq!(url.to_string(), "https://api.example:8443/c?id={token}&x=1");
        let keyed = TokenUrl::parse("https://a/key/c?api_key=s3cret&id={token}&secret=s3cret&x=1");
        let shown = keyed.expect("a URL").to_string();
        assert_eq!(shown, "https://a/key/c?api_key=…&id={token}&secret=…&x=1");
        let plain = TokenUrl::parse("http://[::1]/{token}").expect("a URL");
        assert_eq!(plain.endpoint().to_string(), "[::1]:80");
    }

    #[test]
    fn a_url_without_a_place_for_the_token_or_with_two_is_refused() {
        for text in [
            "",
            "api.example/{token}",
            "ftp://a/{token}",
            "http://a",
            "http://a/b",
            "http://a/{token}/{token}",
            "http://{token}/",
            "http://a/{token}#x",
            "http://a/ä{token}",
            "http://u@a/{token}",
        ] {
            assert!(TokenUrl::parse(text).is_err(), "{text}");
        }
    }
}
