//! The parts addresses are written with: `host:port` and the path of a UNIX socket. Resolves and
//! opens nothing.
//!
//! An IPv6 address stands in brackets before a port, as in a URL (RFC 3986, section 3.2.2).

use std::net::Ipv6Addr;
use std::path::PathBuf;

/// Bytes in the longest name a UNIX socket can have: `sun_path` in unix(7) less its final zero
/// byte.
const LONGEST_SOCKET_PATH: usize = 107;

/// Splits `host:port`; the host is returned without brackets and may be empty, the port may be 0.
pub(super) fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!(
            r#""{text}" has no port; write "host:port", "[::1]:port" or "unix:/path""#
        ));
    };
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!(
            r#""{text}" needs brackets and a port; write "[{text}]:port""#
        ));
    }
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host = match in_brackets {
        Some(address) if address.parse::<Ipv6Addr>().is_ok() => address,
        Some(address) => {
            return Err(format!(
                r#""{address}" is not an IPv6 address; write for example "[::1]:{port}""#
            ));
        }
        None if host.parse::<Ipv6Addr>().is_ok() => {
            return Err(format!(
                r#""{text}" has an IPv6 address without brackets; write "[{host}]:{port}""#
            ));
        }
        None => host,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if !host.chars().all(plain) || (in_brackets.is_none() && host.contains(':')) {
        return Err(format!(
            r#""{text}" is not an address; write "host:port", "[::1]:port" or "unix:/path""#
        ));
    }
    match port_alone(port) {
        Some(port) => Ok((host.to_owned(), port)),
        None => Err(format!(
            r#""{text}": "{port}" is not a port; write a number up to 65535"#
        )),
    }
}

/// The port in a text that is nothing but a port. (`u16::from_str` takes a leading plus sign, which no port has.)
pub(super) fn port_alone(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// A path relative to a working directory would lead elsewhere after the next change to the
/// service, so it must be absolute; and one that the kernel would refuse only at the first
/// connection is refused here.
pub(super) fn socket_path(text: &str, path: &str) -> Result<PathBuf, String> {
    if !path.starts_with('/') {
        return Err(format!(
            r#""{text}" is not an absolute path; write "unix:/path""#
        ));
    }
    if path.contains('\0') || path.ends_with('/') {
        return Err(format!(
            "{text:?} cannot be the name of a socket; write \"unix:/path\""
        ));
    }
    if path.len() > LONGEST_SOCKET_PATH {
        return Err(format!(
            r#""{text}" is too long for a socket ({} bytes); write a path of at most {LONGEST_SOCKET_PATH} bytes"#,
            path.len()
        ));
    }
    Ok(PathBuf::from(path))
}
