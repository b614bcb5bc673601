//! A public host name, or all names under one. Knows nothing of DNS.

use std::fmt;
use std::net::IpAddr;

/// The longest host name (RFC 1035, section 2.3.4).
const LONGEST_NAME: usize = 253;

/// The hosts an app or a certificate is for. Host names are compared without regard to case (RFC
/// 9110, section 4.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// One name or address, in lower case; an IPv6 address without its brackets.
    Exact(String),
    /// Every name that ends with this, which begins with a dot and is in lower case: `.example.org`
    /// stands for `a.example.org` and `a.b.example.org` but not for `example.org`.
    Wildcard(String),
}

impl HostPattern {
    /// Reads `a.example`, `*.example.org` or an address; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        if let Some(address) = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .or(Some(&name))
            && let Ok(address) = address.parse::<IpAddr>()
        {
            return Ok(Self::Exact(address.to_string()));
        }
        if !text.is_ascii() {
            return Err(format!(
                r#""{text}" is not ASCII; write the name as DNS has it, beginning with "xn--""#
            ));
        }
        if let Some((host, port)) = text.rsplit_once(':')
            && port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(format!(
                r#""{text}" has a port; write the host alone, "{host}""#
            ));
        }
        let suffix = name.strip_prefix("*.");
        if !is_name(suffix.unwrap_or(&name)) {
            return Err(format!(
                r#""{text}" is not a host name; write "a.example" or "*.example.org""#
            ));
        }
        Ok(match suffix {
            Some(suffix) => Self::Wildcard(format!(".{suffix}")),
            None => Self::Exact(name),
        })
    }

    /// True if `host`, without a port, matches. Case, the brackets of an IPv6 address and one final dot make no
    /// difference.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        match self {
            // An address of IPv6 has many spellings.
            Self::Exact(name) if host.contains(':') => {
                let address = |text: &str| text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
                address(host).is_some_and(|host| address(name) == Some(host))
            }
            Self::Exact(name) => name.eq_ignore_ascii_case(host),
            Self::Wildcard(suffix) => {
                // Split as bytes: the host comes from the client, and a cut inside a character
                // would panic.
                host.len()
                    .checked_sub(suffix.len())
                    .filter(|first| *first > 0)
                    .is_some_and(|first| {
                        let (label, end) = host.as_bytes().split_at(first);
                        end.eq_ignore_ascii_case(suffix.as_bytes()) && !label.ends_with(b".")
                    })
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// Letters, digits, hyphens and, because they occur, underscores, in labels of 1 to 63 (RFC 1123,
/// section 2.1).
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= LONGEST_NAME && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, host: &str) -> bool {
        HostPattern::parse(pattern).is_ok_and(|pattern| pattern.matches(host))
    }

    #[test]
    fn an_exact_name_matches_itself_in_any_case() {
        assert!(matches("Example.org", "eXample.ORG") && matches("example.org", "example.org."));
        assert!(
            !matches("example.org", "a.example.org") && !matches("example.org", "example.org..")
        );
    }

    #[test]
    fn a_wildcard_matches_the_names_under_it() {
        assert!(
            matches("*.Example.org", "a.example.org")
                && matches("*.example.org", "a.b.EXAMPLE.org")
        );
        for host in [
            "example.org",
            ".example.org",
            "..example.org",
            "aexample.org",
            "a.example.org.evil",
            "",
            "é.example.or",
        ] {
            assert!(!matches("*.example.org", host), "{host:?} was matched");
        }
    }

    #[test]
    fn an_address_matches_however_it_is_written() {
        assert!(
            matches("[2001:DB8:0::1]", "[2001:db8::1]")
                && matches("2001:db8::1", "[2001:DB8:0:0:0:0:0:1]")
                && matches("127.0.0.1", "[::ffff:7f00:1]")
                && !matches("::1", "[::2]")
                && matches("::1", "::1")
                && matches("10.0.0.1", "10.0.0.1")
        );
    }

    #[test]
    fn a_pattern_is_written_as_it_is_read() {
        for text in ["a.example", "*.example.org", "::1"] {
            assert_eq!(
                HostPattern::parse(text).map(|pattern| pattern.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn what_is_not_a_host_name_is_refused() {
        for text in [
            "", "*", "*.", "*.*.org", "a.*.org", "a..b", ".a", "a.", "a b", "a/b", "a:80",
            "[::1]:80", "é.org",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text:?} was taken");
        }
    }
}
