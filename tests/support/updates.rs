//! Publishers and subscribers of a Mercure hub, played by a test over any socket.

use std::io::{self, BufRead, BufReader, Read, Write};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

/// The secret of publishers and subscribers.
pub(crate) const MERCURE_SECRET: &str = "!ChangeThisMercureHubJWTSecretKey!";
const HUB: &str = "/.well-known/mercure";

/// The header line of a token that permits everything.
pub(crate) fn mercure_token() -> String {
    let claims = json!({"mercure": {"publish": ["*"], "subscribe": ["*"]}});
    let key = EncodingKey::from_secret(MERCURE_SECRET.as_bytes());
    let token = encode(&Header::default(), &claims, &key).expect("a token");
    format!("Authorization: Bearer {token}\r\n")
}

/// An event of a stream of updates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) id: String,
    pub(crate) data: String,
}

/// A stream of updates.
pub(crate) struct Updates<S: Read> {
    reader: BufReader<S>,
    /// The cursor in the header.
    pub(crate) cursor: Option<String>,
}

impl<S: Read + Write> Updates<S> {
    /// Subscribes to topics; `lines` are further header lines. Any response but 200 is an error.
    pub(crate) fn open(
        mut socket: S,
        topics: &[&str],
        from: Option<&str>,
        lines: &str,
    ) -> io::Result<Self> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(topics.iter().map(|topic| ("topic", topic)));
        let from = from.map(|id| format!("Last-Event-ID: {id}\r\n"));
        // A stream of this version has no chunks.
        let head = format!(
            "GET {HUB}?{} HTTP/1.0\r\nHost: localhost\r\n{lines}{}\r\n",
            query.finish(),
            from.unwrap_or_default()
        );
        socket.write_all(head.as_bytes())?;
        let mut reader = BufReader::new(socket);
        let head = head_of(&mut reader)?;
        let cursor = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("last-event-id")
                .then(|| value.to_owned())
        });
        Ok(Self { reader, cursor })
    }

    /// The next whole event.
    pub(crate) fn next(&mut self) -> io::Result<Heard> {
        let mut heard = Heard::default();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let Some(line) = line.strip_suffix('\n') else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut heard.id),
                Some(("data", data)) => data.clone_into(&mut heard.data),
                _ if line.is_empty() && !heard.id.is_empty() => return Ok(heard),
                _ => {}
            }
        }
    }
}

/// Publishes an update; its id, once it is acknowledged.
pub(crate) fn publish_update<S: Read + Write>(
    mut socket: S,
    token: &str,
    fields: &[(&str, &str)],
) -> io::Result<String> {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let request = format!(
        "POST {HUB} HTTP/1.0\r\nHost: localhost\r\n{token}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    );
    socket.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(socket);
    let head = head_of(&mut reader)?.to_ascii_lowercase();
    let size = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    // A response that was cut off is none.
    let mut id = vec![0; size.ok_or(io::ErrorKind::UnexpectedEof)?];
    reader.read_exact(&mut id)?;
    String::from_utf8(id).map_err(io::Error::other)
}

/// The document at an address below the hub.
pub(crate) fn subscriptions_at<S: Read + Write>(
    mut socket: S,
    token: &str,
    below: &str,
) -> io::Result<Value> {
    let head = format!("GET {HUB}/subscriptions{below} HTTP/1.0\r\nHost: localhost\r\n{token}\r\n");
    socket.write_all(head.as_bytes())?;
    let mut reader = BufReader::new(socket);
    head_of(&mut reader)?;
    Ok(serde_json::from_reader(reader)?)
}

/// The head of a response with the status 200.
fn head_of(reader: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if head.starts_with("HTTP/1.1 200 ") || head.starts_with("HTTP/1.0 200 ") {
        Ok(head)
    } else {
        Err(io::Error::other(head))
    }
}
