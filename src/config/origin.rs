//! Web pages that may connect: origins as browsers write them (RFC 6454, section 6.2). Does not compare them; that
//! is the access layer's job.

use std::fmt;

use super::endpoint::Endpoint;

/// One entry of `bridge.origins`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OriginRule {
    /// A page of the same scheme, host and port as the request.
    Same,
    /// Pages of any site.
    Any,
    /// A page of this origin, in the form browsers send: lower case, no port where it is the
    /// scheme's own.
    Exact(String),
}

impl OriginRule {
    /// Reads `same`, `any` or an origin such as `https://a.example`; the error text says what to
    /// write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "same" => Ok(Self::Same),
            "any" => Ok(Self::Any),
            _ => parse_origin(text).map(Self::Exact),
        }
    }
}

impl fmt::Display for OriginRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "same",
            Self::Any => "any",
            Self::Exact(origin) => origin,
        })
    }
}

fn parse_origin(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    let no_origin = || {
        format!(
            "\"{text}\" is not an origin; write \"same\", \"any\", \"https://a.example\", or what an app or \
             an extension sends, such as \"capacitor://localhost\""
        )
    };
    let (scheme, authority) = lower.split_once("://").ok_or_else(no_origin)?;
    let own_port = match scheme {
        "https" => Some(443),
        "http" => Some(80),
        "ws" | "wss" => {
            return Err(format!(
                r#""{text}" is the address of a WebSocket; write the origin of its page, such as "https://a.example""#
            ));
        }
        // Browsers know no port for the schemes of apps and extensions.
        _ if is_scheme(scheme) => None,
        _ => return Err(no_origin()),
    };
    if let Some((authority, _)) = authority.split_once(['/', '?', '#']) {
        return Err(format!(
            r#""{text}" goes on behind the host, an origin does not; write "{scheme}://{authority}""#
        ));
    }
    // `file://` has no host.
    let has_no_host = authority.is_empty() && own_port.is_none();
    if !has_no_host && Endpoint::from_authority(authority, own_port.unwrap_or(1)).is_none() {
        return Err(format!(
            r#""{text}" has no valid host in it; write for example "https://a.example""#
        ));
    }
    let sent = own_port.and_then(|port| authority.strip_suffix(&format!(":{port}")));
    Ok(format!("{scheme}://{}", sent.unwrap_or(authority)))
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|sign: char| sign.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_takes_the_form_browsers_send() {
        assert_eq!(OriginRule::parse("same"), Ok(OriginRule::Same));
        assert_eq!(OriginRule::parse("any"), Ok(OriginRule::Any));
        for (text, sent) in [
            ("https://A.example", "https://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("http://a.example:80", "http://a.example"),
            ("http://a.example:443", "http://a.example:443"),
            ("https://[::1]:8001", "https://[::1]:8001"),
            ("https://[::1]", "https://[::1]"),
            ("Capacitor://localhost", "capacitor://localhost"),
            ("ionic://localhost:8100", "ionic://localhost:8100"),
            (
                "chrome-extension://aaaabbbbccccdddd",
                "chrome-extension://aaaabbbbccccdddd",
            ),
            ("moz-extension://0a1b-2c", "moz-extension://0a1b-2c"),
            ("file://", "file://"),
        ] {
            assert_eq!(
                OriginRule::parse(text),
                Ok(OriginRule::Exact(sent.to_owned()))
            );
        }
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        for text in [
            "",
            "Same",
            "*",
            "null",
            "a.example",
            "wss://a.example",
            "https://",
            "https://a.example/",
            "https://a/b",
            "https://u@a.example",
            "https://a.example:0",
            "https://a b",
            "https://*.example.org",
            "://a.example",
            "1app://a",
            "a b://a",
            "capacitor://localhost/",
            "capacitor://u@localhost",
        ] {
            assert!(OriginRule::parse(text).is_err(), "{text:?} was taken");
        }
    }
}
