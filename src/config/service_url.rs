//! URL of a service that Noren asks with HTTP, such as Keystone's: a scheme, a host, and a path that requests are
//! below. Asks nothing.

use std::fmt;

use super::endpoint::Endpoint;
use super::mask;

/// An `http` or `https` URL without user, query and fragment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceUrl {
    /// True for `https`.
    pub secure: bool,
    /// The host and port as they stand in the URL, for the `Host` line.
    pub authority: String,
    /// The host; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path without a slash at its end, so that it may be empty.
    pub path: String,
}

impl ServiceUrl {
    /// Reads a URL; the error text says what is wrong with it, and does not quote it.
    ///
    /// # Errors
    /// The reason, as the end of a sentence that begins with the name of the URL.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let (secure, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err("is not an http or https URL"),
        };
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let endpoint = Endpoint::from_authority(authority, if secure { 443 } else { 80 });
        let Some(Endpoint::Tcp { host, port }) = endpoint else {
            return Err("has no valid host and port");
        };
        let fits =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'\\');
        if !path.bytes().all(fits) {
            return Err("has something other than a path behind its host");
        }
        if path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err("has a path with dots, which is another one");
        }
        Ok(Self {
            secure,
            authority: authority.to_owned(),
            host,
            port,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// Reads a URL of the configuration; the error text says what to write instead.
    pub(super) fn parse(text: &str, example: &str) -> Result<Self, String> {
        Self::read(text).map_err(|reason| {
            let shown = if mask::looks_secret(text) {
                "…"
            } else {
                text
            };
            format!("\"{shown}\" {reason}; write for example \"{example}\"")
        })
    }

    /// The address to connect to.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Tcp {
            host: self.host.clone(),
            port: self.port,
        }
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_a_path_without_its_last_slash() {
        for (text, endpoint, shown) in [
            (
                "https://keystone.example",
                "keystone.example:443",
                "https://keystone.example",
            ),
            (
                "http://10.0.0.1:5000/v3/",
                "10.0.0.1:5000",
                "http://10.0.0.1:5000/v3",
            ),
            (
                "https://[fd00::1]/identity/v3",
                "[fd00::1]:443",
                "https://[fd00::1]/identity/v3",
            ),
        ] {
            let url = ServiceUrl::read(text).expect(text);
            assert_eq!(url.endpoint().to_string(), endpoint);
            assert_eq!(url.to_string(), shown);
        }
    }

    #[test]
    fn whatever_is_more_or_less_than_that_is_refused_without_its_password() {
        for text in [
            "",
            "keystone.example:5000",
            "ftp://keystone.example",
            "http://",
            "http:///v3",
            "http://h:0/v3",
            "http://h/v3?x=1",
            "http://h/v3#x",
            "http://h/a b",
            "http://h/../v3",
        ] {
            let said = ServiceUrl::parse(text, "https://h:5000/v3").expect_err(text);
            assert!(said.contains("write for example"), "{said}");
        }
        let said = ServiceUrl::parse("https://noren:secret@h/v3", "https://h").expect_err("a user");
        assert!(!said.contains("secret"), "{said}");
    }
}
