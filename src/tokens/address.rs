//! Parses an address as websockify's token sources write it: `host:port`, `unix_socket:/path`, or a JSON object.
//!
//! Independent of the source. No error quotes the text, because it may be a misplaced secret.

use serde::Deserialize;
use serde_json::Value;

use crate::config::{AnswerPlaces, Endpoint};
use crate::text::Secret;

/// Parses `unix_socket:/path` or `host:port`, split at its last colon, so that an IPv6 address needs no brackets.
/// `unix:/path`, as Noren's own configuration spells it, is accepted too. The error gives the reason without
/// quoting.
pub(super) fn parse_address(address: &[u8]) -> Result<Endpoint, &'static str> {
    const NO_SOCKET: &str =
        "the path behind unix_socket: is not absolute, or too long for a socket";
    const NEITHER: &str = "the address is neither host:port nor unix_socket:/path";
    let address = str::from_utf8(address).map_err(|_| "the address is not UTF-8")?;
    if address.contains(char::is_control) {
        return Err("the address contains a control character");
    }
    if let Some(path) = address.strip_prefix("unix_socket:") {
        return Endpoint::parse(&format!("unix:{path}")).map_err(|_| NO_SOCKET);
    }
    let (host, port) = address.rsplit_once(':').ok_or(NEITHER)?;
    let lacks_brackets = host.contains(':') && !host.starts_with('[');
    let endpoint = if lacks_brackets {
        Endpoint::parse(&format!("[{host}]:{port}"))
    } else {
        Endpoint::parse(address)
    };
    endpoint.map_err(|_| NEITHER)
}

/// The word behind a view-only address.
const VIEW_ONLY: &[u8] = b"view-only";

/// Parses an address, with an optional `view-only` behind it. websockify has no such word.
pub(super) fn parse_entry(entry: &[u8]) -> Result<(Endpoint, bool), &'static str> {
    let entry = entry.trim_ascii_end();
    let address = entry.strip_suffix(VIEW_ONLY).unwrap_or(entry);
    if address.len() < entry.len() && address.ends_with(b" ") {
        return parse_address(address.trim_ascii_end()).map(|endpoint| (endpoint, true));
    }
    parse_address(entry).map(|endpoint| (endpoint, false))
}

/// The response of a source in the network.
#[derive(Debug)]
pub(super) struct SourceResponse {
    pub(super) endpoint: Endpoint,
    /// The console's password, for consoles with RFB.
    pub(super) password: Option<Secret>,
    /// True if the token is view-only.
    pub(super) view_only: bool,
    /// The path for `CONNECT` at the host, before the console begins.
    pub(super) path: Option<String>,
    /// End of the token, in Unix seconds.
    pub(super) expires: Option<u64>,
}

impl SourceResponse {
    fn of((endpoint, view_only): (Endpoint, bool)) -> Self {
        Self {
            endpoint,
            view_only,
            password: None,
            path: None,
            expires: None,
        }
    }
}

/// Parses a response: an address as text, or an object with the host and optional values at their places.
pub(super) fn parse_response(
    answer: &[u8],
    places: &AnswerPlaces,
) -> Result<SourceResponse, &'static str> {
    let answer = answer.trim_ascii();
    if !answer.starts_with(b"{") {
        return parse_entry(answer).map(SourceResponse::of);
    }
    let object: Value = serde_json::from_slice(answer).map_err(|_| "it is no JSON")?;
    let at = |place: &str| object.pointer(place).filter(|value| !value.is_null());
    let host = at(&places.host).and_then(Value::as_str);
    let host = host.ok_or("the object has no host where it should be")?;
    let named = Named::new(host.to_owned(), at(&places.port).cloned());
    let named = named.ok_or("its port is no number")?;
    let text = |place: &str| match at(place) {
        Some(value) => value
            .as_str()
            .map(Some)
            .ok_or("its password or path is no text"),
        None => Ok(None),
    };
    let view_only = match at(&places.view_only) {
        Some(value) => value
            .as_bool()
            .ok_or("its view_only is neither true nor false")?,
        None => false,
    };
    let path = places.path.as_deref().map_or(Ok(None), text)?;
    if path.is_some_and(|path| path.is_empty() || !path.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return Err("its path cannot stand in a request");
    }
    let expires = places.expires.as_deref().and_then(at);
    let expires = expires.map(|value| seconds(value).ok_or("its end is no number of seconds"));
    Ok(SourceResponse {
        endpoint: named.endpoint()?,
        view_only,
        password: text(&places.password)?.map(Secret::from),
        path: path.map(str::to_owned),
        expires: expires.transpose()?,
    })
}

/// A number of seconds, which may have a fraction, or be text.
fn seconds(value: &Value) -> Option<u64> {
    let number = value
        .as_f64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))?;
    // Saturates, and is none where it is no number at all.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds since 1970 that are wanted whole"
    )]
    (number >= 0.0).then_some(number as u64)
}

/// A host and port in JSON; websockify accepts the port as a number or as text.
#[derive(Debug)]
pub(super) struct Named {
    host: String,
    port: Option<Port>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Text(String),
}

impl Named {
    /// Combines separate host and port.
    pub(super) fn new(host: String, port: Option<Value>) -> Option<Self> {
        let port = port.map(serde_json::from_value).transpose().ok()?;
        Some(Self { host, port })
    }

    pub(super) fn endpoint(self) -> Result<Endpoint, &'static str> {
        let Self { host, port } = self;
        match port {
            None => parse_address(host.as_bytes()),
            Some(Port::Number(port)) => parse_address(format!("{host}:{port}").as_bytes()),
            Some(Port::Text(port)) => parse_address(format!("{host}:{port}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_response(answer: &[u8]) -> Result<SourceResponse, &'static str> {
        super::parse_response(answer, &AnswerPlaces::default())
    }

    #[test]
    fn an_answer_is_text_or_an_object_in_every_form_of_websockify() {
        for (answer, endpoint) in [
            ("vm.example:5900\n", "vm.example:5900"),
            ("unix_socket:/run/vm", "unix:/run/vm"),
            (r#"{"host":"vm.example","port":5900}"#, "vm.example:5900"),
            (
                r#" {"host":"vm.example","port":"5900"} "#,
                "vm.example:5900",
            ),
            (r#"{"host":"vm.example:5900"}"#, "vm.example:5900"),
            (r#"{"host":"::1","port":5900,"more":[]}"#, "[::1]:5900"),
            (r#"{"host":"unix_socket","port":"/run/vm"}"#, "unix:/run/vm"),
        ] {
            let read = parse_response(answer.as_bytes()).expect(answer);
            assert_eq!(read.endpoint.to_string(), endpoint);
            assert_eq!((read.password, read.view_only), (None, false));
        }
    }

    #[test]
    fn an_entry_may_be_for_looking_only() {
        for (entry, endpoint, expected) in [
            (&b"a:1 view-only"[..], "a:1", true),
            (b"unix_socket:/run/a  view-only ", "unix:/run/a", true),
            (b"unix_socket:/run/view-only", "unix:/run/view-only", false),
            (
                b"{\"host\":\"a\",\"port\":1,\"view_only\":true}",
                "a:1",
                true,
            ),
            (
                b"{\"host\":\"a\",\"port\":1,\"view_only\":false}",
                "a:1",
                false,
            ),
        ] {
            let read = parse_response(entry).expect("an address");
            assert_eq!(
                (read.endpoint.to_string().as_str(), read.view_only),
                (endpoint, expected)
            );
        }
        for entry in [
            &b"view-only"[..],
            b"a:1 view",
            b"a:1view-only",
            b"a:1 View-Only",
            b"{\"host\":\"a\",\"port\":1,\"view_only\":\"yes\"}",
        ] {
            assert!(parse_response(entry).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn an_answer_may_have_a_password_which_is_never_shown() {
        let answer = br#"{"host":"a","port":1,"password":"soup"}"#;
        let read = parse_response(answer).expect("an address");
        assert_eq!(read.password, Some(Secret::from("soup")));
        assert!(!format!("{read:?}").contains("soup"));
        for answer in [
            &br#"{"host":"a","port":1,"password":["secret"]}"#[..],
            br#"{"host":"a","port":1,"password":5}"#,
        ] {
            assert!(
                !parse_response(answer)
                    .expect_err("no text")
                    .contains("secret")
            );
        }
    }

    #[test]
    fn an_answer_is_read_where_the_configuration_says() {
        let places = AnswerPlaces {
            host: "/console/host".to_owned(),
            port: "/console/port".to_owned(),
            path: Some("/console/internal_access_path".to_owned()),
            expires: Some("/until".to_owned()),
            ..AnswerPlaces::default()
        };
        let read = |text: &str| super::parse_response(text.as_bytes(), &places);
        let nova = r#"{"console":{"host":"kvm1","port":5900,"internal_access_path":null}}"#;
        let answer = read(nova).expect("an address");
        assert_eq!(answer.endpoint.to_string(), "kvm1:5900");
        assert_eq!((answer.path, answer.expires), (None, None));
        let more =
            r#"{"console":{"host":"kvm1","port":"1","internal_access_path":"a/b?c"},"until":7.5}"#;
        let answer = read(more).expect("an address");
        assert_eq!(
            (answer.path.as_deref(), answer.expires),
            (Some("a/b?c"), Some(7))
        );
        for (wrong, said) in [
            (r#"{"host":"a","port":1}"#, "no host where"),
            (r#"{"console":{"host":"a","port":{}}}"#, "port"),
            (
                r#"{"console":{"host":"a","port":1,"internal_access_path":"a b"}}"#,
                "path cannot",
            ),
            (
                r#"{"console":{"host":"a","port":1,"internal_access_path":7}}"#,
                "no text",
            ),
            (
                r#"{"console":{"host":"a","port":1},"until":"soon"}"#,
                "its end",
            ),
            (r#"{"console":{"host":"a","port":1},"until":-1}"#, "its end"),
        ] {
            let reason = read(wrong).expect_err(wrong);
            assert!(reason.contains(said), "{reason}");
        }
    }

    #[test]
    fn any_other_answer_is_refused_without_its_words() {
        for answer in [
            "",
            "{",
            "{}",
            r#"{"port":1}"#,
            r#"{"host":"a"}"#,
            r#"{"host":"a","port":70000}"#,
            r#"{"host":"a","port":0}"#,
            r#"{"host":"secret b","port":1}"#,
            r#"{"host":"a","port":[1]}"#,
            "<html>secret</html>",
        ] {
            let said = parse_response(answer.as_bytes()).expect_err(answer);
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
