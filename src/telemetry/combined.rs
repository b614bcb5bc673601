//! The access line in the "combined" form that many programs read, on standard output.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// What a line says.
pub(super) struct Combined<'a> {
    pub(super) peer: &'a str,
    /// Method, path and version.
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) referer: Option<&'a HeaderValue>,
    pub(super) agent: Option<&'a HeaderValue>,
}

impl Combined<'_> {
    /// Writes the line. A reader that is gone must not end the server, so what goes wrong is nobody's matter.
    pub(super) fn write(&self) {
        let line = self.line(SystemTime::now());
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }

    fn line(&self, now: SystemTime) -> String {
        let mut line = String::with_capacity(256);
        // The port would make each connection another client to whoever counts them.
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

/// Text of a client, so that it stays within its quotes and its line.
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

/// `25/Nov/2026:22:53:08 +0000`.
fn time(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, so that the leap day is the last one (Howard Hinnant's days_from_civil).
    let day_of_era = (days + 719_468) % 146_097;
    let era = (days + 719_468) / 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    let name = usize::try_from(month)
        .ok()
        .and_then(|month| MONTHS.get(month))
        .unwrap_or(&"");
    format!(
        "{day:02}/{name}/{year}:{:02}:{:02}:{:02} +0000",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, "28/Feb/2000:23:59:59 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
            (951_868_800, "01/Mar/2000:00:00:00 +0000"),
            (4_107_542_399, "28/Feb/2100:23:59:59 +0000"),
            (4_107_542_400, "01/Mar/2100:00:00:00 +0000"),
        ] {
            assert_eq!(time(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
