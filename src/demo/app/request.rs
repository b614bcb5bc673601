//! A request, and the parser of its head (RFC 9112).
//!
//! As strict as the servers it stands for: no chunked body (`CherryPy` responds 400), no folded headers, and of a
//! repeated header the last one counts. Pure: reads no connection.

/// A whole request.
pub(in super::super) struct Request {
    pub(super) method: String,
    /// The target without its query.
    pub(super) path: String,
    /// The request line as received.
    pub(super) line: String,
    /// Headers, with names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// The body; empty if it was only counted.
    pub(super) body: Vec<u8>,
    pub(super) body_size: u64,
    pub(super) keep_alive: bool,
}

impl Request {
    /// The last header named `name` (in lower case).
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .rev()
            .filter(|(header, _)| header == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Reasons why there is no request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection ended, or its worker is needed elsewhere: no response is sent.
    Over,
    /// Respond with this status and this reason, then close.
    Refused(u16, &'static str),
}

use Trouble::Refused;

pub(super) fn parse_head(head: &[u8]) -> Result<Request, Trouble> {
    let head =
        std::str::from_utf8(head).map_err(|_| Refused(400, "this request head is not UTF-8"))?;
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let line = lines.next().unwrap_or_default();
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refused(
            400,
            "this request line is not METHOD TARGET VERSION",
        ));
    };
    let persistent = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return Err(Refused(505, "the demo speaks HTTP/1.1")),
    };
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Refused(400, "this method is not a word"));
    }
    if !target.starts_with('/') {
        return Err(Refused(400, "this target is not a path"));
    }
    let mut request = Request {
        method: method.to_owned(),
        path: target.split('?').next().unwrap_or_default().to_owned(),
        line: line.to_owned(),
        headers: lines.map(parse_header).collect::<Result<_, _>>()?,
        body: Vec::new(),
        body_size: 0,
        keep_alive: persistent,
    };
    if request
        .header("connection")
        .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    {
        request.keep_alive = false;
    }
    Ok(request)
}

pub(super) fn parse_header(line: &str) -> Result<(String, String), Trouble> {
    let (name, value) = line
        .split_once(':')
        .ok_or(Refused(400, "this header has no colon"))?;
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    // White space in a name is how a header is smuggled past a proxy (RFC 9112, section 5.1).
    if name.is_empty() || !name.bytes().all(in_name) {
        return Err(Refused(400, "this header has no proper name"));
    }
    let value = value.trim_matches([' ', '\t']);
    if value
        .chars()
        .any(|character| character.is_control() && character != '\t')
    {
        return Err(Refused(400, "this header has a control character"));
    }
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

/// The size of the body. Two lengths, or a length that is not a number, are refused, because the next request
/// would begin at a position that the client chooses (RFC 9112, section 6.3).
pub(super) fn body_size(request: &Request) -> Result<u64, Trouble> {
    if request.header("transfer-encoding").is_some() {
        return Err(Refused(
            400,
            "the demo takes no chunked body, send Content-Length",
        ));
    }
    let mut lengths = request
        .headers
        .iter()
        .filter(|(name, _)| name == "content-length");
    let Some((_, length)) = lengths.next() else {
        return match request.method.as_str() {
            "POST" | "PUT" => Err(Refused(411, "send Content-Length, 0 for no body")),
            _ => Ok(0),
        };
    };
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    match length.parse() {
        Ok(size) if digits && lengths.next().is_none() => Ok(size),
        _ => Err(Refused(400, "this Content-Length is not one number")),
    }
}
