//! The access line in the "combined" format that many programs read, on standard output.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::SystemTime;

use http::HeaderValue;
use time::OffsetDateTime;
use time::macros::format_description;

/// The values of a line.
pub(super) struct Combined<'a> {
    pub(super) peer: &'a str,
    /// The request line: method, path and version.
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) referer: Option<&'a HeaderValue>,
    pub(super) agent: Option<&'a HeaderValue>,
}

impl Combined<'_> {
    /// Writes the line. Errors are ignored, because the loss of the reader must not end the server.
    pub(super) fn write(&self) {
        let line = self.line(SystemTime::now());
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }

    fn line(&self, now: SystemTime) -> String {
        let mut line = String::with_capacity(256);
        // With the port, programs that count clients would count connections.
        let address = self
            .peer
            .parse::<std::net::SocketAddr>()
            .map_or_else(|_| self.peer.to_owned(), |peer| peer.ip().to_string());
        let _ = write!(line, "{address} - - [{}] \"", time(now));
        quote(&mut line, self.request.as_bytes());
        let _ = write!(line, "\" {} {} \"", self.status, self.bytes);
        // A page's address may carry a token, as ours do.
        let referer = self.referer.map_or(&b"-"[..], HeaderValue::as_bytes);
        quote(
            &mut line,
            referer
                .split(|byte| *byte == b'?')
                .next()
                .unwrap_or_default(),
        );
        line.push_str("\" \"");
        quote(
            &mut line,
            self.agent.map_or(&b"-"[..], HeaderValue::as_bytes),
        );
        line.push_str("\"\n");
        line
    }
}

/// Appends text of a client, escaped so that it stays within its quotes and its line.
fn quote(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b' ' | b'!' | b'#'..=b'[' | b']'..=b'~' => line.push(char::from(*byte)),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

/// Formats a time as `25/Nov/2026:22:53:08 +0000`.
fn time(now: SystemTime) -> String {
    let format = format_description!(
        version = 2,
        "[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000"
    );
    OffsetDateTime::from(now).format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_line_has_the_fields_in_their_order_and_nothing_breaks_out_of_them() {
        let referer = HeaderValue::from_static("https://a.example/vnc.html?token=secret");
        let agent = HeaderValue::from_bytes(b"a \"b\" \\ \xff").expect("a value");
        let combined = Combined {
            peer: "192.0.2.1:4711",
            request: "GET /a HTTP/1.1".to_owned(),
            status: 200,
            bytes: 12,
            referer: Some(&referer),
            agent: Some(&agent),
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_795_647_188);
        assert_eq!(
            combined.line(now),
            "192.0.2.1 - - [25/Nov/2026:22:53:08 +0000] \"GET /a HTTP/1.1\" 200 12 \
             \"https://a.example/vnc.html\" \"a \\x22b\\x22 \\x5c \\xff\"\n"
        );
    }
}
