//! Reads the head of a response (RFC 9112 §4, §5). The values of its fields share the received bytes.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use hyper::ext::ReasonPhrase;

use crate::http::{Spelling, SpellingReader};
use crate::upstream::h1::Fault;

/// Limit on header lines: more than any app sends, and few enough to limit a faulty one.
const LINES: usize = 256;
/// Limit on the size of a head.
pub(super) const LARGEST: usize = 128 * 1024;

/// A response head; its extensions contain the spelling of the header names, and the reason phrase if it is not the
/// standard one.
pub(in crate::upstream) type ResponseHead = Response<()>;

/// A parsed head, in which the names and values of the fields are ranges of the bytes.
struct Outline {
    version: Version,
    status: StatusCode,
    reason: Option<ReasonPhrase>,
    length: usize,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

/// Takes a head from the beginning of `input`; `None` if it is incomplete.
pub(in crate::upstream) fn read_head(input: &mut BytesMut) -> Result<Option<ResponseHead>, Fault> {
    let Some(outline) = outline(input)? else {
        return if input.len() > LARGEST {
            Err(Fault::TooLarge)
        } else {
            Ok(None)
        };
    };
    if outline.length > LARGEST {
        return Err(Fault::TooLarge);
    }
    let bytes = input.split_to(outline.length).freeze();
    let mut spelling = SpellingReader::default();
    let mut headers = HeaderMap::with_capacity(outline.fields.len());
    for (name, value) in outline.fields {
        let (name, value) = field(&bytes, name, value, &mut spelling)?;
        headers.append(name, value);
    }
    let mut head = Response::new(());
    *head.version_mut() = outline.version;
    *head.status_mut() = outline.status;
    *head.headers_mut() = headers;
    let spelling = spelling.finish();
    if outline.reason.is_some() || !spelling.is_standard() {
        head.extensions_mut().insert::<Spelling>(spelling);
    }
    if let Some(reason) = outline.reason {
        head.extensions_mut().insert(reason);
    }
    Ok(Some(head))
}

fn field(
    head: &Bytes,
    name: Range<usize>,
    value: Range<usize>,
    spelling: &mut SpellingReader,
) -> Result<(HeaderName, HeaderValue), Fault> {
    let name = head.get(name).ok_or(Fault::Field)?;
    spelling.push(name);
    let name = HeaderName::from_bytes(name).map_err(|_| Fault::Field)?;
    let value = HeaderValue::from_maybe_shared(head.slice(value)).map_err(|_| Fault::Field)?;
    Ok((name, value))
}

fn outline(input: &[u8]) -> Result<Option<Outline>, Fault> {
    let mut space = [const { MaybeUninit::uninit() }; LINES];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let status = config.parse_response_with_uninit_headers(&mut parsed, input, &mut space);
    let httparse::Status::Complete(length) = status.map_err(Fault::Head)? else {
        return Ok(None);
    };
    let begin = input.as_ptr().addr();
    // Everything that was parsed lies in `input`.
    let range = |part: &[u8]| {
        let from = part.as_ptr().addr().saturating_sub(begin);
        from..from + part.len()
    };
    let code = parsed.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_err(|_| Fault::Head(httparse::Error::Status))?;
    let reason = parsed.reason.unwrap_or_default();
    let is_own = Some(reason) != status.canonical_reason();
    let fields = parsed.headers.iter();
    Ok(Some(Outline {
        version: if parsed.version == Some(0) {
            Version::HTTP_10
        } else {
            Version::HTTP_11
        },
        status,
        reason: is_own
            .then(|| ReasonPhrase::try_from(reason.as_bytes()).ok())
            .flatten(),
        length,
        fields: fields
            .map(|field| (range(field.name.as_bytes()), range(field.value)))
            .collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<ResponseHead>, Fault> {
        read_head(&mut BytesMut::from(text))
    }

    #[test]
    fn a_head_is_read_when_it_is_complete_and_the_body_stays() {
        let text = "HTTP/1.1 200 OK\r\nETag: 1\r\nX-oWN:  2 \r\nx-own: 3\r\nEmpty:\r\n\r\n";
        for cut in 0..text.len() {
            let part = text.get(..cut).expect("ASCII");
            assert!(matches!(read(part), Ok(None)), "{part:?}");
        }
        let mut input = BytesMut::from(format!("{text}body").as_str());
        let head = read_head(&mut input).expect("valid").expect("complete");
        assert_eq!(input, "body");
        assert_eq!(head.status(), 200);
        let own: Vec<_> = head.headers().get_all("x-own").iter().collect();
        assert_eq!(own, ["2", "3"]);
        assert_eq!(head.headers()["empty"], "");
        let spelling = head.extensions().get::<Spelling>().expect("one");
        assert_eq!(*spelling, Spelling::of(["X-oWN", "x-own"]));
    }

    #[test]
    fn a_usual_head_has_no_extensions_and_a_phrase_of_its_own_is_kept() {
        let head = read("HTTP/1.0 404 Not Found\r\nETag: 1\r\nContent-Type: a\r\n\r\n");
        let head = head.expect("valid").expect("complete");
        assert!(head.extensions().is_empty());
        assert_eq!(head.version(), Version::HTTP_10);
        let head = read("HTTP/1.1 404 Gone fishing\r\n\r\n")
            .expect("valid")
            .expect("complete");
        let reason = head.extensions().get::<ReasonPhrase>().expect("one");
        assert_eq!(reason.as_bytes(), b"Gone fishing");
    }

    #[test]
    fn junk_is_no_head_and_an_endless_one_is_refused() {
        for junk in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n",
        ] {
            assert!(read(junk).is_err(), "{junk:?}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(LARGEST));
        assert_eq!(read(&long).err(), Some(Fault::TooLarge));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: 1\r\n".repeat(LINES + 1));
        assert!(read(&many).is_err());
    }
}
