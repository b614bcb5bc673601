//! `[acme]`: certificates from an authority that speaks ACME (RFC 8555). Requests none itself.

use std::path::PathBuf;

use super::endpoint::Endpoint;
use super::host_pattern::HostPattern;
use super::listener::{Listener, Protocol};
use super::reader::Table;
use super::secret_file::SecretFile;
use super::tls::Certificate;
use super::value;

/// Default directory of an ACME authority.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The method by which the authority verifies that a name leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// `tls-alpn-01`: it connects to port 443 and looks at a certificate made for this (RFC 8737).
    TlsAlpn,
    /// `http-01`: it connects to port 80 and asks for a file (RFC 8555 §8.3).
    Http,
}

impl Challenge {
    const NAMES: [(&'static str, Self); 2] =
        [("tls-alpn-01", Self::TlsAlpn), ("http-01", Self::Http)];

    /// The port that the authority connects to.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::TlsAlpn => 443,
            Self::Http => 80,
        }
    }
}

impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(value::name_of(*self, &Self::NAMES))
    }
}

/// A key from the authority that links an order to an account there (RFC 8555 §7.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalKey {
    /// `key-id`: its name.
    pub id: String,
    /// `key-file`: the key, in base64url.
    pub file: SecretFile,
}

/// The `[acme]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// `names`: host names, in lower case. Each has a certificate of its own, so that one whose DNS is wrong does
    /// not keep the others waiting.
    pub names: Vec<String>,
    /// `contact`: addresses of e-mail that the authority may write to. Default none.
    pub contact: Vec<String>,
    /// `directory`: the URL of the authority. Default Let's Encrypt.
    pub directory: String,
    /// `ca`: the authorities that may sign the certificate of the directory itself. Default: those of this system.
    pub ca: Option<PathBuf>,
    /// `challenge`. Default `tls-alpn-01`.
    pub challenge: Challenge,
    /// `store`: the directory for the account and the certificates. Relative to the working directory. Default
    /// `acme`.
    pub store: PathBuf,
    /// `profile`: a kind of certificate that the authority has a name for. Default: the authority's own choice.
    pub profile: Option<String>,
    /// `key-id` and `key-file`. Default none.
    pub external: Option<ExternalKey>,
}

impl Acme {
    /// The whole table, if it is in the file.
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let acme = Self {
            names: table.list("names", Vec::new(), parse_name),
            contact: table.list("contact", Vec::new(), parse_contact),
            directory: table.text("directory", LETS_ENCRYPT.to_owned(), parse_directory),
            ca: table.text("ca", None, |text| value::path(text).map(Some)),
            challenge: table.text("challenge", Challenge::TlsAlpn, |text| {
                value::choice(text, &Challenge::NAMES)
            }),
            store: table.text("store", PathBuf::from("acme"), value::path),
            profile: table.text("profile", None, |text| value::not_empty(text).map(Some)),
            external: read_external(table),
        };
        let agreed = table.flag("terms-of-service-agreed", false);
        if table.is_sound() && acme.names.is_empty() {
            table.problem(
                "names",
                r#"is missing; write names = ["www.example.org"], the names that lead to this machine"#,
            );
        }
        if table.is_sound() && !agreed {
            table.problem(
                "terms-of-service-agreed",
                "no authority gives certificates to those who do not agree to its terms; read them (Let's \
                 Encrypt: https://letsencrypt.org/repository/) and write terms-of-service-agreed = true",
            );
        }
        (!acme.names.is_empty()).then_some(acme)
    }

    /// The directory for the certificates of this authority. Each authority has a directory of its own, so that an
    /// operator who has tried out a test authority gets new certificates from the real one.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.store.join(host_of(&self.directory).replace(':', "-"))
    }

    /// The file of the certificate for a name, which also contains its key.
    #[must_use]
    pub fn certificate(&self, name: &str) -> Certificate {
        let file = self.storage().join(format!("{name}.pem"));
        Certificate {
            certificate: file.clone(),
            key: file,
            names: Vec::new(),
        }
    }

    /// Describes a listener that is missing for the configured challenge.
    pub(super) fn misses(&self, listeners: &[Listener]) -> Option<String> {
        let speaks = |protocol: Protocol| {
            let mut all = listeners.iter();
            all.any(|listener| listener.protocol == protocol)
        };
        if !speaks(Protocol::Https) {
            return Some(
                r#"no listener needs a certificate; write [[listener]] with protocol = "https""#
                    .to_owned(),
            );
        }
        if self.challenge == Challenge::Http
            && !speaks(Protocol::Http)
            && !speaks(Protocol::Redirect)
        {
            return Some(
                "the authority connects to port 80 for challenge = \"http-01\", and no listener is there; write \
                    [[listener]] with address = \"[::]:80\" and protocol = \"redirect\""
                    .to_owned(),
            );
        }
        None
    }
}

fn read_external(table: &mut Table<'_>) -> Option<ExternalKey> {
    let id = table.text("key-id", None, |text| value::not_empty(text).map(Some));
    let file = table.text("key-file", None, |text| SecretFile::parse(text).map(Some));
    match (id, file) {
        (Some(id), Some(file)) => Some(ExternalKey { id, file }),
        (Some(_), None) if !table.has("key-file") => {
            table.problem(
                "key-id",
                "needs its key; write key-file = \"/etc/noren/acme-key\"",
            );
            None
        }
        (None, Some(_)) if !table.has("key-id") => {
            table.problem(
                "key-file",
                "needs a name; write key-id = \"…\", as the authority has given it",
            );
            None
        }
        _ => None,
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    match HostPattern::parse(text)? {
        HostPattern::Wildcard(_) => Err(format!(
            "\"{text}\": certificates for all names of a domain need a proof in its DNS, which Noren cannot \
             give; write each name, or have a program such as lego or certbot renew a [[tls.certificate]]"
        )),
        HostPattern::Exact(name) if name.parse::<std::net::IpAddr>().is_ok() => Err(format!(
            r#""{text}" is an address; write the name that leads to it"#
        )),
        HostPattern::Exact(name) => Ok(name),
    }
}

/// Parses a contact into the URL that an authority wants.
fn parse_contact(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix("mailto:").unwrap_or(text);
    let fits = bare.bytes().all(|byte| byte.is_ascii_graphic())
        && bare
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
    if fits && !bare.contains([',', '?']) {
        Ok(format!("mailto:{bare}"))
    } else {
        Err(format!(
            r#""{text}" is no address of e-mail; write for example "admin@example.org""#
        ))
    }
}

/// The host of a URL, and its port if it has one.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    rest.split_at(end).0
}

fn parse_directory(text: &str) -> Result<String, String> {
    let fits = text.starts_with("https://")
        && Endpoint::from_authority(host_of(text), 443).is_some()
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!(
            r#""{text}" is not an https URL; write for example "{LETS_ENCRYPT}""#
        ))
    }
}
