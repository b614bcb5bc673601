//! Parses an address as websockify's token sources write it: `host:port`, `unix_socket:/path`, or a JSON object.
//!
//! Independent of the source. No error quotes the text, which may be a secret in the place of an address.

use serde::Deserialize;

use crate::config::Endpoint;
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

/// The word behind an address for looking only.
const VIEW_ONLY: &[u8] = b"view-only";

/// Parses an address, and the word `view-only` behind it, if it is there. websockify knows no such word.
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
pub(super) struct Answer {
    pub(super) endpoint: Endpoint,
    /// The console's password, for sources whose consoles Noren speaks RFB with.
    pub(super) password: Option<Secret>,
    /// True if the token is for looking only.
    pub(super) view_only: bool,
}

/// Parses a response: the same text, or an object `{"host": "h", "port": 1}` or `{"host": "h:1"}`, which may have
/// `password` and `view_only` as well.
pub(super) fn parse_answer(answer: &[u8]) -> Result<Answer, &'static str> {
    let answer = answer.trim_ascii();
    if !answer.starts_with(b"{") {
        return parse_entry(answer).map(|(endpoint, view_only)| Answer {
            endpoint,
            password: None,
            view_only,
        });
    }
    let object: Object = serde_json::from_slice(answer)
        .map_err(|_| "the object has no host, or another of its values is of the wrong kind")?;
    let Object {
        host,
        port,
        password,
        view_only,
    } = object;
    Ok(Answer {
        endpoint: Named { host, port }.endpoint()?,
        password: password.as_deref().map(Secret::from),
        view_only,
    })
}

#[derive(Deserialize)]
struct Object {
    host: String,
    port: Option<Port>,
    password: Option<String>,
    // What cannot be understood is no permission to do more than look, but an error.
    #[serde(default)]
    view_only: bool,
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
    pub(super) fn new(host: String, port: Option<serde_json::Value>) -> Option<Self> {
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
            let read = parse_answer(answer.as_bytes()).expect(answer);
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
            let read = parse_answer(entry).expect("an address");
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
            assert!(parse_answer(entry).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn an_answer_may_have_a_password_which_is_never_shown() {
        let answer = br#"{"host":"a","port":1,"password":"soup"}"#;
        let read = parse_answer(answer).expect("an address");
        assert_eq!(read.password, Some(Secret::from("soup")));
        assert!(!format!("{read:?}").contains("soup"));
        for answer in [
            &br#"{"host":"a","port":1,"password":["secret"]}"#[..],
            br#"{"host":"a","port":1,"password":5}"#,
        ] {
            assert!(
                !parse_answer(answer)
                    .expect_err("no text")
                    .contains("secret")
            );
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
            let said = parse_answer(answer.as_bytes()).expect_err(answer);
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
