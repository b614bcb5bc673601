//! Authentication of a route: the keys that `[bridge]`, `[hub]` and each `[[app]]` share. Checks no client, and
//! reads no file.

use std::path::PathBuf;

use super::origin::OriginRule;
use super::reader::Table;
use super::value;

/// The rule for client certificates of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateRule {
    /// `optional`: a client with a certificate is known by its name. The default.
    Optional,
    /// `required`: a client without a certificate is refused.
    Required,
}

impl CertificateRule {
    const NAMES: [(&'static str, Self); 2] =
        [("optional", Self::Optional), ("required", Self::Required)];
}

/// The entrance of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Entrance {
    /// `origins`: the origins of pages that may open WebSockets, and at the hub subscribe and publish. Default `same`.
    /// Empty: no page may.
    pub origins: Vec<OriginRule>,
    /// `missing-origin`: accepts WebSocket handshakes without an `Origin` header. Default `true`: programs send none,
    /// browsers always do.
    pub missing_origin: bool,
    /// `users`: a file of names with passwords or their hashes, one of which must be shown (HTTP basic authentication).
    /// Default `None`: no password is requested.
    pub users: Option<PathBuf>,
    /// `realm`: the text that a browser shows with the request for a password. Default `Noren`.
    pub realm: String,
    /// `client-certificate`: the rule for client certificates. Default `optional`.
    pub certificate: CertificateRule,
    /// `client-names`: the names, of the subject or among the alternative ones, of which a
    /// certificate must have one. Empty, the default: any the authority has signed.
    pub certificate_names: Vec<String>,
}

impl Default for Entrance {
    fn default() -> Self {
        Self {
            origins: vec![OriginRule::Same],
            missing_origin: true,
            users: None,
            realm: "Noren".to_owned(),
            certificate: CertificateRule::Optional,
            certificate_names: Vec::new(),
        }
    }
}

impl Entrance {
    /// Reads the keys in the table of the route itself.
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        let entrance = Self {
            origins: table.list("origins", default.origins, OriginRule::parse),
            missing_origin: table.flag("missing-origin", default.missing_origin),
            users: table.text("users", None, |text| value::secret_path(text).map(Some)),
            realm: table.text("realm", default.realm, parse_realm),
            certificate: table.text("client-certificate", default.certificate, |text| {
                value::choice(text, &CertificateRule::NAMES)
            }),
            certificate_names: table.list(
                "client-names",
                default.certificate_names,
                value::not_empty,
            ),
        };
        if table.has("realm") && entrance.users.is_none() {
            table.problem(
                "realm",
                r#"has a meaning only beside users = "/path"; remove it"#,
            );
        }
        if !entrance.certificate_names.is_empty() && !entrance.needs_certificate() {
            table.problem(
                "client-names",
                r#"would not keep those out who have no certificate; write client-certificate = "required""#,
            );
        }
        entrance
    }

    /// True if a client without a certificate is refused.
    #[must_use]
    pub fn needs_certificate(&self) -> bool {
        self.certificate == CertificateRule::Required
    }

    /// True if every client that these rules admit is also admitted by the other ones, because those require
    /// nothing more. For a request that opens a `websocket` the origins count as well.
    #[must_use]
    pub fn admits_no_more_than(&self, other: &Self, websocket: bool) -> bool {
        let users = other.users.is_none() || self.users == other.users;
        let certificate = !other.needs_certificate()
            || (self.needs_certificate()
                && (other.certificate_names.is_empty()
                    || self.certificate_names == other.certificate_names));
        let missing = !self.missing_origin || other.missing_origin;
        let pages = self.origins.is_empty()
            || self.origins == other.origins
            || other.origins.contains(&OriginRule::Any);
        users && certificate && (!websocket || (missing && pages))
    }
}

/// Parses a text that can stand between the quotes of a header (RFC 9110, section 5.6.4).
fn parse_realm(text: &str) -> Result<String, String> {
    let fits = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\');
    if !text.is_empty() && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            r#"{text:?} is not a realm; write ASCII without quotes and backslashes, such as "Consoles""#
        ))
    }
}
