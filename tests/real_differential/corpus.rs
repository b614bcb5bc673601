//! The cases of `tests/differential`, and the bytes that are made of them.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::Request;

/// A request of the corpus.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub name: String,
    /// The request line.
    pub line: String,
    fields: Vec<String>,
    body: Option<String>,
}

/// The cases of one file, at least this many, each with a name of its own.
pub(super) fn cases(file: &str, least: usize) -> Vec<Case> {
    let path = format!(
        "{}/tests/differential/{file}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut cases: Vec<Case> = text
        .split("\n= ")
        .skip(1)
        .map(|text| Case::parse(text).unwrap_or_else(|| panic!("{path}: no request in: {text}")))
        .collect();
    assert!(cases.len() >= least, "{path}: {} cases", cases.len());
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    for pair in cases.windows(2) {
        assert_ne!(pair[0].name, pair[1].name, "{path}: a name twice");
    }
    cases
}

impl Case {
    fn parse(text: &str) -> Option<Self> {
        let text: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let (name, rest) = text.split_first()?;
        let (line, rest) = rest.split_first()?;
        let mut parts = rest.splitn(2, |line| line.is_empty());
        let fields = parts.next().unwrap_or_default();
        let body = parts.next().unwrap_or_default().join("\r\n");
        let body = body.trim_end_matches(['\r', '\n']);
        Some(Self {
            name: name.trim().to_owned(),
            line: (*line).to_owned(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            body: (!body.is_empty()).then(|| body.to_owned()),
        })
    }

    /// True if a header line contains this credential, in base64.
    pub(super) fn shows(&self, credential: &str) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|field| field.contains(&format!(" {credential}}}")))
    }

    /// The same with another request line, and without a body.
    pub(super) fn with_line(&self, line: &str) -> Self {
        Self {
            line: line.to_owned(),
            body: None,
            ..self.clone()
        }
    }

    /// The same without its header lines.
    pub(super) fn without_fields(&self) -> Self {
        Self {
            fields: Vec::new(),
            ..self.clone()
        }
    }

    /// The same with one more header line.
    pub(super) fn with_field(mut self, field: &str) -> Self {
        self.fields.push(field.to_owned());
        self
    }

    /// The bytes of the request, with these words filled in.
    pub(super) fn bytes(&self, words: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = filled(&self.line, words);
        bytes.extend(b"\r\n");
        let is = |name: &str| {
            let mut fields = self.fields.iter();
            fields.any(|field| field.to_ascii_lowercase().starts_with(name))
        };
        if !is("host:") && !is("no-host:") {
            bytes.extend(filled("Host: {host}\r\n", words));
        }
        for field in self.fields.iter().filter(|field| *field != "No-Host:") {
            bytes.extend(filled(field, words));
            bytes.extend(b"\r\n");
        }
        let body = self.body.as_ref().map(|body| filled(body, words));
        if let Some(body) = &body
            && !is("transfer-encoding:")
        {
            bytes.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(body.unwrap_or_default());
        if is("transfer-encoding:") {
            bytes.extend(b"\r\n\r\n");
        }
        bytes
    }
}

/// The same request for HTTP/2, and its body; none for one that cannot be said there by an ordinary client.
pub(super) fn for_http2(bytes: &[u8], host: &str) -> Option<(Request<()>, Vec<u8>)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let mut start = lines.next()?.split(' ');
    let mut request = Request::builder().method(start.next()?);
    let target = start.next().filter(|target| target.starts_with('/'))?;
    request = request.uri(format!("https://{host}{target}"));
    for line in lines {
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "host" | "connection" => {}
            "upgrade" | "transfer-encoding" => return None,
            // RFC 9113, section 8.2.1: no blank at either end.
            _ => request = request.header(name, value.trim_matches([' ', '\t'])),
        }
    }
    Some((request.body(()).ok()?, bytes[end + 4..].to_vec()))
}

/// A line with its words and escapes replaced.
fn filled(line: &str, words: &[(&str, &str)]) -> Vec<u8> {
    let mut line = line.to_owned();
    for (word, value) in words {
        line = line.replace(&format!("{{{word}}}"), value);
    }
    let mut bytes = Vec::new();
    let mut rest = line.as_str();
    while let Some(begin) = rest.find('{') {
        let (before, behind) = rest.split_at(begin);
        bytes.extend(unescaped(before));
        let coded = behind.split_once('}').and_then(|(word, behind)| {
            let (kind, text) = word.strip_prefix('{')?.split_once(' ')?;
            Some((encoded(kind, &unescaped(text))?, behind))
        });
        if let Some((coded, behind)) = coded {
            bytes.extend(coded.bytes());
            rest = behind;
        } else {
            bytes.push(b'{');
            rest = &behind[1..];
        }
    }
    bytes.extend(unescaped(rest));
    bytes
}

fn encoded(kind: &str, bytes: &[u8]) -> Option<String> {
    match kind {
        "basic" => Some(format!("Basic {}", STANDARD.encode(bytes))),
        "base64" => Some(STANDARD.encode(bytes)),
        "unpadded" => Some(STANDARD_NO_PAD.encode(bytes)),
        _ => None,
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend(rest[..at].bytes());
        let sign = rest[at + 1..].chars().next();
        let (byte, length) = match sign {
            Some('t') => (b'\t', 2),
            Some('n') => (b'\n', 2),
            Some('r') => (b'\r', 2),
            Some('\\') => (b'\\', 2),
            Some('x') => (u8::from_str_radix(&rest[at + 2..at + 4], 16).unwrap(), 4),
            _ => panic!("no escape: {text}"),
        };
        bytes.push(byte);
        rest = &rest[at + length..];
    }
    bytes.extend(rest.bytes());
    bytes
}

#[test]
fn a_case_of_the_corpus_becomes_the_bytes_that_it_describes() {
    let case = Case::parse(
        "a name\nPOST /%61?{guess} HTTP/1.1\nAuthorization: Basic\\t{base64 ann:{guess}}\n# no\nX: \\xff{y}\n\nbody\n",
    )
    .unwrap();
    assert_eq!(case.name, "a name");
    assert_eq!(
        case.bytes(&[("host", "h"), ("guess", "g")]),
        b"POST /%61?g HTTP/1.1\r\nHost: h\r\nAuthorization: Basic\tYW5uOmc=\r\nX: \xff{y}\r\n\
          Content-Length: 4\r\n\r\nbody"
    );
}
