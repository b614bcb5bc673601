//! Writes the head of a request (RFC 9112 §3).

use http::header::CONTENT_LENGTH;
use http::{Request, Uri};

use crate::http::Spelling;
use crate::upstream::Payload;

/// Appends the head of a request to `out`, with a `Content-Length` if the body has a known length and the fields have
/// none.
pub(in crate::upstream) fn write_head(
    request: &Request<Payload>,
    spelling: &Spelling,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    write_target(request.uri(), out);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut spelled = spelling.cursor();
    for (name, value) in request.headers() {
        spelled.write(name, out);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let length = request.body().length();
    if length > 0 && !request.headers().contains_key(CONTENT_LENGTH) {
        out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the target in origin form, or `*` (RFC 9112 §3.2).
fn write_target(uri: &Uri, out: &mut Vec<u8>) {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if !target.starts_with(['/', '*']) {
        out.push(b'/');
    }
    out.extend_from_slice(target.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(request: &Request<Payload>, spelling: &Spelling) -> String {
        let mut out = Vec::new();
        write_head(request, spelling, &mut out);
        String::from_utf8(out).expect("text")
    }

    fn request(target: &str, payload: Payload) -> Request<Payload> {
        let builder = Request::builder().uri(target);
        let builder = builder.header("host", "a").header("x-one", "1");
        builder.body(payload).expect("a request")
    }

    #[test]
    fn names_are_spelled_as_they_came_and_otherwise_as_the_standards_do() {
        let request = request("/a?b", Payload::Empty);
        assert_eq!(
            written(&request, &Spelling::default()),
            "GET /a?b HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n\r\n"
        );
        assert_eq!(
            written(&request, &Spelling::of(["x-oNE", "HOST"])),
            "GET /a?b HTTP/1.1\r\nHOST: a\r\nx-oNE: 1\r\n\r\n"
        );
    }

    #[test]
    fn a_body_has_a_length_and_each_target_a_path() {
        let whole = Payload::Whole(bytes::Bytes::from_static(b"four"));
        let head = written(&request("/", whole), &Spelling::default());
        assert!(head.contains("\r\nContent-Length: 4\r\n"), "{head}");
        for (target, line) in [
            ("*", "GET * "),
            ("http://a?b", "GET /?b "),
            ("http://a", "GET / "),
        ] {
            let head = written(&request(target, Payload::Empty), &Spelling::default());
            assert!(head.starts_with(line), "{head}");
        }
    }
}
