//! `url` of an app: a place, and the way HTTP is spoken there. Connects to nothing.

use std::fmt;

use super::endpoint::Endpoint;

/// Address of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppUrl {
    /// The port or socket.
    pub endpoint: Endpoint,
    /// True for HTTP over TLS.
    pub is_https: bool,
}

impl AppUrl {
    /// Reads `http://host:port` (without a port it is 80), `https://host:port` (443) or `unix:/path`; the error text
    /// says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("unix:") {
            return Endpoint::parse(text).map(Self::plain);
        }
        let (scheme, authority, port) = if let Some(rest) = text.strip_prefix("http://") {
            ("http", rest, 80)
        } else if let Some(rest) = text.strip_prefix("https://") {
            ("https", rest, 443)
        } else {
            return Err(format!(
                r#""{text}" is not the URL of an app; write "http://host:port", "https://host:port" or "unix:/path""#
            ));
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if let Some((before, _)) = authority.split_once(['/', '?', '#']) {
            return Err(format!(
                r#""{text}" says more than where the app listens; write "{scheme}://{before}""#
            ));
        }
        let endpoint = Endpoint::from_authority(authority, port).ok_or_else(|| {
            format!(
                r#""{text}" has no valid host and port; write for example "{scheme}://127.0.0.1:8010""#
            )
        })?;
        Ok(Self {
            endpoint,
            is_https: scheme == "https",
        })
    }

    /// A place where HTTP is spoken as it is.
    #[must_use]
    pub fn plain(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            is_https: false,
        }
    }
}

impl fmt::Display for AppUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https://" } else { "" };
        write!(f, "{scheme}{}", self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, is_https: bool) -> AppUrl {
        let host = host.to_owned();
        AppUrl {
            endpoint: Endpoint::Tcp { host, port },
            is_https,
        }
    }

    #[test]
    fn the_url_of_an_app_is_http_https_or_a_socket() {
        for (text, expected) in [
            ("http://127.0.0.1:8010", tcp("127.0.0.1", 8010, false)),
            ("http://app:8010/", tcp("app", 8010, false)),
            ("http://app", tcp("app", 80, false)),
            ("http://[::1]", tcp("::1", 80, false)),
            ("http://[::1]:8010", tcp("::1", 8010, false)),
            ("https://app", tcp("app", 443, true)),
            ("https://app:8443/", tcp("app", 8443, true)),
        ] {
            assert_eq!(AppUrl::parse(text), Ok(expected), "{text}");
        }
        assert_eq!(
            AppUrl::parse("unix:/run/app"),
            Ok(AppUrl::plain(Endpoint::Unix("/run/app".into())))
        );
        assert_eq!(tcp("::1", 8443, true).to_string(), "https://[::1]:8443");
        assert_eq!(tcp("app", 80, false).to_string(), "app:80");
    }

    #[test]
    fn a_url_that_says_more_or_less_is_refused() {
        for text in [
            "",
            "127.0.0.1:8010",
            "ftp://a:1",
            "http://",
            "https://",
            "http:///",
            "http://a:1/b",
            "https://a:1/b",
            "http://u@a:1",
            "https://u@a:1",
            "http://a:1?x",
            "http://a:0",
            "http://::1:80",
            "unix://run/app/",
        ] {
            assert!(AppUrl::parse(text).is_err(), "{text:?} was taken");
        }
    }
}
