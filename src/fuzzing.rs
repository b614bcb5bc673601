//! Entry points of the fuzz targets in `tests/fuzz`: parsers of bytes from outside, with the properties that must
//! hold for any input; and an echo for the Autobahn test suite. Not part of the public interface.

mod echo;
mod mercure;
mod reading;
mod recording;

use std::sync::LazyLock;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};

use crate::bridge::{decode_base64, frame_base64, latest_output};
use crate::config::{Clipboard, Config, ForwardedHeader, Listener, Network};
use crate::http::{
    Activity, Authority, Claimed, Context, Head, RequestPath, Scheme, drop_client_claims,
    drop_hop_by_hop,
};
use crate::net::{Peer, Proxies, proxy_source};
use crate::rfb::{Rules, filtered, host_filtered};
use crate::router::{Route, RouteKey, Router};
use crate::telemetry::Telemetry;
use crate::tokens::{Token, token_file_names};
use crate::websocket::{Event, FrameReader};

pub use echo::echo;
pub use mercure::mercure;
pub use reading::reading;
pub use recording::recording;

/// Checks that a configuration is accepted or refused with a text, without a panic.
///
/// # Panics
///
/// If an error has no text.
pub fn config(text: &str) {
    if let Err(error) = Config::parse(text, "fuzz.toml") {
        assert!(!error.to_string().is_empty());
    }
}

/// Checks that no reading of an accepted path can climb, and that however a server reads the path, it cannot get
/// around a guard.
///
/// # Panics
///
/// If it can.
pub fn path(path: &str) {
    let Ok(read) = RequestPath::parse(path) else {
        return;
    };
    for reading in std::iter::once(read.as_str()).chain(read.others()) {
        assert!(reading.starts_with('/') && !reading.contains(['\\', '\0', '\n', '\r']));
        assert!(
            !reading
                .split('/')
                .any(|segment| matches!(segment, "." | ".."))
        );
    }
    let sent = read.as_sent().to_owned();
    let once = percent_decoded(&sent);
    let twice = percent_decoded(&once);
    for text in [&sent, &once, &twice] {
        for merges in [true, false] {
            for cuts in [true, false] {
                let seen = as_a_server_reads(text, merges, cuts);
                if seen == "/admin" || seen.starts_with("/admin/") && !is_public(&seen) {
                    let asked = RouteKey {
                        host: "a",
                        path: &read,
                        query: None,
                        websocket: false,
                    };
                    let route = GUARDED.route(asked).ok();
                    assert!(
                        matches!(route, None | Some(Route::App(1))),
                        "{path:?}: {seen:?}"
                    );
                }
            }
        }
    }
}

/// Routes with an open app, a guarded one below it, and an open one below that.
static GUARDED: LazyLock<Router> = LazyLock::new(|| {
    let app = |name, keys| format!("[[app]]\nname = '{name}'\nurl = 'http://a'\n{keys}\n");
    let text = [
        app("open", "encoded-slash = true"),
        app(
            "admin",
            "path = '/admin'\nusers = '/u'\nencoded-slash = true",
        ),
        app("public", "path = '/admin/public'\nencoded-slash = true"),
    ];
    Router::new(&Config::parse(&text.concat(), "fuzz.toml").expect("a valid configuration"))
});

fn is_public(path: &str) -> bool {
    path == "/admin/public" || path.starts_with("/admin/public/")
}

/// Percent-decodes as WSGI servers do, which keep broken escapes. Independent of the code under test.
fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut pieces = path.split('%');
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| !digits.starts_with('+'));
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            bytes.extend_from_slice(piece.get(2..).unwrap_or_default().as_bytes());
        } else {
            bytes.push(b'%');
            bytes.extend_from_slice(piece.as_bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The path as read by an app that drops empty segments, as Rack and nginx do, or cuts parameters off, as servlets
/// do.
fn as_a_server_reads(path: &str, merges: bool, cuts: bool) -> String {
    let segments = path.split('/').skip(1).map(|segment| {
        let end = segment.find(';').filter(|_| cuts);
        segment
            .get(..end.unwrap_or(segment.len()))
            .unwrap_or_default()
    });
    let read = segments.filter(|segment| !merges || !segment.is_empty());
    read.fold(String::new(), |path, segment| path + "/" + segment)
}

/// Checks that an accepted authority is a host and possibly a port, and nothing that could break out of a header.
///
/// # Panics
///
/// If anything else is accepted.
pub fn authority(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    if let Ok(authority) = Authority::parse(&value) {
        let text = authority.as_str();
        assert!(text.starts_with(authority.host()) && !authority.host().is_empty());
        assert!(!text.contains(['@', '/', '?', '#', ' ', ',', '\\', '%']));
    }
}

/// Checks that frames cut anywhere are read like frames read at once.
///
/// # Panics
///
/// If they are not.
pub fn frames(bytes: &[u8]) {
    let step = usize::from(bytes.first().copied().unwrap_or_default()) + 1;
    let bytes = bytes.get(1..).unwrap_or_default();
    assert_eq!(
        read_frames(bytes, bytes.len().max(1)),
        read_frames(bytes, step)
    );
}

/// All payload, the other events, and the code of a violation.
fn read_frames(bytes: &[u8], step: usize) -> (Vec<u8>, Vec<Event>, Option<u16>) {
    let mut reader = FrameReader::new();
    let (mut data, mut others) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        let (mut piece, mut at) = (piece.to_vec(), 0);
        loop {
            match reader.next(&mut piece, &mut at) {
                Ok(Some(Event::Data { piece: range, .. })) => {
                    data.extend_from_slice(piece.get(range).unwrap_or_default());
                }
                Ok(Some(other)) => others.push(other),
                Ok(None) => break,
                Err(violation) => return (data, others, Some(violation.code)),
            }
        }
    }
    (data, others, None)
}

/// Checks a token file and a query, separated by the first NUL: the result is found, not found or malformed, never
/// a panic, and a token without a line of its own is not found.
///
/// # Panics
///
/// If something is found in an empty file.
pub fn tokens(bytes: &[u8]) {
    let cut = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    let (query, file) = bytes.split_at(cut);
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    if let Ok(token) = Token::from_query(Some(query)) {
        let file = file.get(1..).unwrap_or_default();
        let found = token_file_names(file, &token);
        assert!(!found || !file.is_empty());
    }
}

/// Parses a request head from text, and checks it; `None` if it is refused.
fn checked(text: &str) -> Option<(Parts, Head)> {
    let mut lines = text.split('\n');
    let mut start = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (start.next()?.parse::<Method>(), start.next()?.parse());
    let mut request = Request::new(());
    *request.method_mut() = method.ok()?;
    *request.uri_mut() = target.ok()?;
    if start.next() == Some("2") {
        *request.version_mut() = Version::HTTP_2;
    }
    *request.headers_mut() = headers(lines);
    let (parts, ()) = request.into_parts();
    let context = Context {
        peer: Peer::Unix,
        scheme: Scheme::Https,
        server: None,
        client: None,
        activity: Activity::new(),
        interim: None,
        proxies: None,
        header_lines: 200,
        telemetry: Telemetry::new(),
    };
    let head = Head::check(&parts, &context).ok()?;
    Some((parts, head))
}

/// Checks that an accepted request head has one authority and one path, and that the headers for an app contain
/// nothing that only a proxy may set, in any spelling.
///
/// # Panics
///
/// If they do.
pub fn head(text: &str) {
    let Some((mut parts, checked)) = checked(text) else {
        return;
    };
    assert!(!checked.authority.host().is_empty());
    let path = parts.uri.path();
    assert!(checked.asterisk || path.starts_with('/'));
    assert!(parts.headers.get_all("host").iter().count() <= 1);
    let framed =
        ["content-length", "transfer-encoding"].map(|name| parts.headers.contains_key(name));
    assert!(framed != [true, true]);
    drop_hop_by_hop(&mut parts.headers);
    drop_client_claims(&mut parts.headers);
    for name in parts.headers.keys().map(HeaderName::as_str) {
        assert!(
            !name.contains(|sign: char| !sign.is_ascii_alphanumeric() && sign != '-')
                && !name.starts_with("x-forwarded")
        );
        assert!(!["connection", "upgrade", "te", "forwarded", "x-real-ip"].contains(&name));
    }
}

/// Checks that what a client puts in front of a trusted proxy's header changes nothing.
///
/// # Panics
///
/// If it does.
pub fn forwarded(text: &str) {
    let trusted = Network::parse("10.0.0.0/8").into_iter().collect();
    for header in [ForwardedHeader::XForwarded, ForwardedHeader::Forwarded] {
        let proxies = Proxies::new(&Listener {
            trusted_proxies: Vec::clone(&trusted),
            forwarded_header: header,
            ..Listener::default()
        });
        let said = headers(text.split('\n'));
        let read = Claimed::read(&said, &proxies);
        let Some(peer) = read.peer.filter(|peer| !proxies.trust(peer)) else {
            continue;
        };
        let mut longer = HeaderMap::new();
        for (name, claim) in [
            ("x-forwarded-for", "203.0.113.9"),
            ("forwarded", "for=203.0.113.9;proto=http"),
        ] {
            longer.append(name, HeaderValue::from_static(claim));
        }
        for (name, value) in &said {
            longer.append(name.clone(), value.clone());
        }
        assert_eq!(Claimed::read(&longer, &proxies).peer, Some(peer));
    }
}

/// Parses lines as headers, and skips invalid ones.
fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value.trim())) {
            headers.append(name, value);
        }
    }
    headers
}

/// Checks that a PROXY header is parsed or refused, and that a truncated one is never accepted.
///
/// # Panics
///
/// If one is.
pub fn proxy_header(bytes: &[u8]) {
    if matches!(proxy_source(bytes), Ok(Some(_))) {
        for cut in 0..bytes.len() {
            assert!(proxy_source(bytes.get(..cut).unwrap_or_default()).is_err());
        }
    }
}

/// Checks that accepted base64 has one spelling: encoding the decoded bytes gives it back, and that a message is
/// accepted or refused alike wherever it is cut.
///
/// # Panics
///
/// If it does not, or is not.
pub fn base64(bytes: &[u8]) {
    let decoded = decode_base64(bytes, bytes.len());
    if let Ok(decoded) = &decoded {
        assert!(frame_base64(decoded).ends_with(bytes));
    }
    for size in 1..8 {
        assert_eq!(decode_base64(bytes, size), decoded);
    }
    let frame = frame_base64(bytes);
    let text = frame.len() - bytes.len().div_ceil(3) * 4;
    let back = decode_base64(frame.get(text..).unwrap_or_default(), bytes.len());
    assert_eq!(back.as_deref().ok(), Some(bytes));
}

/// Checks that whoever comes late to a shared console gets an end of its output, the same wherever reads are cut, and
/// that text stays text.
///
/// # Panics
///
/// If one does not, or it does not.
pub fn scrollback(bytes: &[u8]) {
    let [step, limit, most, output @ ..] = bytes else {
        return;
    };
    let [step, limit, most] = [step, limit, most].map(|byte| usize::from(*byte));
    let seen = latest_output(output, step + 1, limit, most);
    assert!(output.ends_with(&seen) && seen.len() <= limit.min(most).min(output.len()));
    assert_eq!(seen, latest_output(output, output.len(), limit, most));
    if std::str::from_utf8(output).is_ok() {
        assert!(std::str::from_utf8(&seen).is_ok());
    }
}

/// Checks that the messages of a console are read alike wherever they are cut, that filtering what was filtered changes
/// nothing, and that no message of a host comes out that was not there.
///
/// # Panics
///
/// If they are not, it does, or one does.
pub fn rfb(bytes: &[u8]) {
    let [step, bytes @ ..] = bytes else { return };
    let step = usize::from(*step) + 1;
    for (view_only, clipboard) in [
        (true, Clipboard::Both),
        (false, Clipboard::ToBrowser),
        (false, Clipboard::ToHost),
        (true, Clipboard::None),
    ] {
        let rules = Rules {
            view_only,
            clipboard,
        };
        let whole = filtered(rules, bytes, bytes.len());
        assert_eq!(filtered(rules, bytes, step), whole);
        let again = filtered(rules, &whole.0, step);
        assert_eq!(again, (whole.0, None));
    }
    let whole = host_filtered(bytes, bytes.len());
    assert_eq!(host_filtered(bytes, step), whole);
    assert!(whole.0.len() <= bytes.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces from which ambiguous paths are built.
    const PIECES: &[&str] = &[
        "/",
        "//",
        "admin",
        "public",
        "%61dmin",
        ";",
        ";x=1",
        "%3B",
        "%2F",
        "%2561dmin",
        "%252F",
        ".",
        "%2e",
        "x",
        "%3f",
        "%25",
    ];

    #[test]
    fn no_conversation_of_a_console_is_read_in_two_ways() {
        // The types of messages and encodings, and small numbers, which make lengths.
        const BYTES: &[u8] = &[
            0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 24, 64, 65, 128, 144, 150, 248, 250,
            251, 253, 255, 255,
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for length in 0..4_000_usize {
            let mut next = || {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                usize::try_from(state >> 40).unwrap_or_default()
            };
            let bytes: Vec<u8> = (0..length % 200)
                .map(|_| BYTES.get(next() % BYTES.len()).copied().unwrap_or_default())
                .collect();
            rfb(&bytes);
        }
    }

    #[test]
    fn no_path_of_up_to_four_pieces_gets_by_a_guard() {
        let mut paths = vec![String::from("/")];
        let mut passed = 0;
        for _ in 0..4 {
            let longer = paths
                .iter()
                .flat_map(|path| PIECES.iter().map(move |piece| path.clone() + piece));
            paths = longer.collect();
            for text in &paths {
                path(text);
                passed += usize::from(RequestPath::parse(text).is_ok());
            }
        }
        assert!(passed > 10_000, "{passed}");
    }
}
