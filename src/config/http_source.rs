//! `source = "http"` of a `[[bridge.tokens]]`: the request, and the places in its response. Sends nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::header_text::{parse_header_name, parse_header_value};
use super::reader::Table;
use super::secret_file::SecretFile;
use super::token_url::TokenUrl;
use super::value;

/// Time limit for the response of a source in the network.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// The keys of `source = "http"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSource {
    /// `url`: the URL of the request, with `{token}` in the place of the token.
    pub url: TokenUrl,
    /// `address`: the address to connect to, if it is not the host of the URL.
    pub address: Option<Endpoint>,
    /// `ca`: whose certificates are believed, for `https`. Default `None`: those this system
    /// trusts.
    pub ca: Option<PathBuf>,
    /// `timeout`: the time from the request to the end of the response. Default 5 s.
    pub timeout: Duration,
    /// `headers`: headers of each request, by their names in lower case. Default none.
    pub headers: BTreeMap<String, String>,
    /// `secret-headers`: the same, whose values are in files. Default none.
    pub secret_headers: BTreeMap<String, SecretFile>,
    /// `answer`: the places of the values in a JSON response.
    pub answer: AnswerPlaces,
}

/// The places of an answer in JSON, as JSON pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerPlaces {
    /// `host`: the host, with the port behind it or not. Default `/host`.
    pub host: String,
    /// `port`: the port, as a number or as text. Default `/port`.
    pub port: String,
    /// `password`: the password of the console, for RFB. Default `/password`.
    pub password: String,
    /// `view-only`: makes the token view-only. Default `/view_only`.
    pub view_only: String,
    /// `path`: the path for a `CONNECT` request to the host, before the console begins. Default `None`.
    pub path: Option<String>,
    /// `expires`: the end of the token, in seconds since 1970, at which a console is closed. Default `None`.
    pub expires: Option<String>,
}

impl Default for AnswerPlaces {
    fn default() -> Self {
        Self {
            host: "/host".to_owned(),
            port: "/port".to_owned(),
            password: "/password".to_owned(),
            view_only: "/view_only".to_owned(),
            path: None,
            expires: None,
        }
    }
}

impl HttpSource {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let url = table.required(
            "url",
            r#""https://api.example/consoles/{token}""#,
            TokenUrl::parse,
        );
        let mut headers = BTreeMap::new();
        let literal = |text: &str| parse_header_value(text);
        table.table("headers", |table| {
            read_headers(table, &mut headers, literal);
        });
        let mut secret_headers = BTreeMap::new();
        let in_file = |text: &str| SecretFile::parse(text);
        table.table("secret-headers", |table| {
            read_headers(table, &mut secret_headers, in_file);
        });
        let twice = headers
            .keys()
            .find(|name| secret_headers.contains_key(*name));
        if let Some(name) = twice {
            let text = format!("has {name} as well as headers; remove one of the two");
            table.problem("secret-headers", text);
        }
        let source = Self {
            url: url.unwrap_or_default(),
            address: table.text("address", None, |text| Endpoint::parse(text).map(Some)),
            ca: table.text("ca", None, |text| value::path(text).map(Some)),
            timeout: table.time_limit("timeout", TIMEOUT),
            headers,
            secret_headers,
            answer: table.table("answer", AnswerPlaces::read),
        };
        if source.ca.is_some() && !source.url.secure && table.is_sound() {
            table.problem(
                "ca",
                "without https there is no certificate to check; remove it",
            );
        }
        source
    }
}

/// Headers that frame the question, or that Noren writes itself.
const OWN: [&str; 10] = [
    "host",
    "accept",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "keep-alive",
];

fn read_headers<T>(
    table: &mut Table<'_>,
    headers: &mut BTreeMap<String, T>,
    parse: impl Fn(&str) -> Result<T, String>,
) {
    table.each_named(|name, texts| {
        let name = parse_header_name(name)?.to_ascii_lowercase();
        if OWN.contains(&name.as_str()) {
            return Err("is written by Noren itself; leave it out".to_owned());
        }
        let [text] = texts else {
            return Err("is a list; write one text".to_owned());
        };
        headers.insert(name, parse(text)?);
        Ok(())
    });
}

impl AnswerPlaces {
    fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            host: table.text("host", default.host, parse_pointer),
            port: table.text("port", default.port, parse_pointer),
            password: table.text("password", default.password, parse_pointer),
            view_only: table.text("view-only", default.view_only, parse_pointer),
            path: table.text("path", None, |text| parse_pointer(text).map(Some)),
            expires: table.text("expires", None, |text| parse_pointer(text).map(Some)),
        }
    }
}

/// Reads a JSON pointer (RFC 6901 §3).
fn parse_pointer(text: &str) -> Result<String, String> {
    let escapes = text.split('~').skip(1);
    let is_escaped = |rest: &str| rest.starts_with(['0', '1']);
    if text.starts_with('/') && escapes.into_iter().all(is_escaped) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            r#"{text:?} is no JSON pointer; write for example "/console/host""#
        ))
    }
}
