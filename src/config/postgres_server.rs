//! Address of a PostgreSQL database, and the place of the password for it. Connects to nothing, and contains no
//! password.
//!
//! The URL has the form that libpq reads (PostgreSQL documentation, section 34.1.1.2), as far as Noren needs it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use super::endpoint::Endpoint;
use super::reader::Table;
use super::secret_file::SecretFile;
use super::value;

/// A database at its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresServer {
    /// A name or an address; an IPv6 address without its brackets. For a UNIX socket its directory.
    pub host: String,
    /// Port of the server; the default is 5432. The name of a UNIX socket contains it too.
    pub port: u16,
    /// The name of the database.
    pub database: String,
    /// The user that Noren is at the database.
    pub user: String,
    /// `sslmode`: the protection of the connection. Default `verify-full`, and for this machine `disable`.
    pub mode: SslMode,
    /// `passfile`: a file with lines `host:port:database:user:password`. Default none: the server asks for no password.
    pub passfile: Option<SecretFile>,
    /// `ca`: a PEM file with the certificates that are trusted. Default none: those the system trusts.
    pub ca: Option<PathBuf>,
}

/// Protection of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS with a certificate of `ca`, with any name in it.
    VerifyCa,
    /// TLS with a certificate for the host in the URL.
    VerifyFull,
}

impl SslMode {
    const NAMES: [(&'static str, Self); 3] = [
        ("verify-full", Self::VerifyFull),
        ("verify-ca", Self::VerifyCa),
        ("disable", Self::Disable),
    ];

    fn parse(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, mode)| *mode).ok_or_else(|| {
            "sslmode says nothing that protects: write sslmode=verify-full (or verify-ca), or sslmode=disable for no \
             TLS; allow, prefer and require believe whoever answers"
                .to_owned()
        })
    }
}

impl PostgresServer {
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let example = r#""postgres://noren@db.example:5432/app""#;
        let server = table.required("url", example, Self::parse);
        let passfile = table.text("passfile", None, |text| SecretFile::parse(text).map(Some));
        let ca = table.text("ca", None, |text| value::path(text).map(Some));
        let server = server?;
        if ca.is_some() && server.mode == SslMode::Disable {
            table.problem(
                "ca",
                "is for TLS; add ?sslmode=verify-full to the url, or remove it",
            );
        }
        if ca.is_none() && server.mode == SslMode::VerifyCa {
            table.problem(
                "url",
                "says sslmode=verify-ca, which believes any name of an authority; write which one as \
                 ca = \"/etc/noren/ca.pem\"",
            );
        }
        Some(Self {
            passfile,
            ca,
            ..server
        })
    }

    /// Reads a URL. A password in it would be in the configuration, in backups and in error messages; the text does not
    /// repeat it, nor anything else of a URL with a user.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                r#"{what}; write "postgres://noren@db.example/app" or "postgres://noren@/app?host=/run/postgresql""#
            )
        };
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"))
            .ok_or_else(|| wrong("is not the URL of a PostgreSQL database"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains(':') {
            return Err(
                "holds a password; write a line host:port:database:user:password into a file, and passfile = \
                 \"/etc/noren/pgpass\""
                    .to_owned(),
            );
        }
        let user = name(user).filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| wrong("names no user"))?;
        let database = name(database).filter(|name| !name.is_empty() && !name.contains('/'));
        let database = database.ok_or_else(|| wrong("names no database"))?;
        let (mut mode, mut directory, mut own_port) = (None, None, None);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "sslmode" => mode = Some(SslMode::parse(&value)?),
                "host" if value.starts_with('/') => directory = Some(value.into_owned()),
                "port" => own_port = Some(value.parse().map_err(|_| wrong("has no valid port"))?),
                _ => {
                    return Err(wrong(&format!(
                        "has a parameter {key:?} that is not known here: there are sslmode, port, and host for the \
                         directory of a UNIX socket"
                    )));
                }
            }
        }
        let (host, port) = match directory {
            Some(directory) if host.is_empty() => (directory, 5432),
            Some(_) => return Err(wrong("names two hosts")),
            None => match Endpoint::from_authority(host, 5432) {
                Some(Endpoint::Tcp { host, port }) => (host, port),
                _ => return Err(wrong("has no valid host and port")),
            },
        };
        let is_here = is_here(&host);
        let mode = mode.unwrap_or(if is_here {
            SslMode::Disable
        } else {
            SslMode::VerifyFull
        });
        if host.starts_with('/') && mode != SslMode::Disable {
            return Err(wrong("asks for TLS on a UNIX socket, which has none"));
        }
        Ok(Self {
            host,
            port: own_port.unwrap_or(port),
            database,
            user,
            mode,
            passfile: None,
            ca: None,
        })
    }

    /// The server as an endpoint.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        if self.host.starts_with('/') {
            let name = format!(".s.PGSQL.{}", self.port);
            return Endpoint::Unix(PathBuf::from(&self.host).join(name));
        }
        Endpoint::Tcp {
            host: self.host.clone(),
            port: self.port,
        }
    }
}

/// True for a UNIX socket and for an address of this machine alone.
fn is_here(host: &str) -> bool {
    host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The server and its database, without the user.
impl fmt::Display for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.starts_with('/') {
            write!(f, "postgres:///{}?host={}", self.database, self.host)
        } else {
            write!(f, "postgres://{}/{}", self.endpoint(), self.database)
        }
    }
}

/// Decodes a part of the URL; `None` if it cannot be a name.
fn name(text: &str) -> Option<String> {
    value::percent_decoded(text).filter(|text| !text.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_server_a_database_and_a_user() {
        for (text, shown, mode) in [
            (
                "postgres://noren@db/app",
                "postgres://db:5432/app",
                SslMode::VerifyFull,
            ),
            (
                "postgresql://n@[::1]:1/a%20b",
                "postgres://[::1]:1/a b",
                SslMode::Disable,
            ),
            (
                "postgres://n@127.0.0.1/a",
                "postgres://127.0.0.1:5432/a",
                SslMode::Disable,
            ),
            (
                "postgres://n@db/a?sslmode=disable",
                "postgres://db:5432/a",
                SslMode::Disable,
            ),
            (
                "postgres://n@localhost:2/a?sslmode=verify-full",
                "postgres://localhost:2/a",
                SslMode::VerifyFull,
            ),
            (
                "postgres://n@/a?host=/run/postgresql",
                "postgres:///a?host=/run/postgresql",
                SslMode::Disable,
            ),
        ] {
            let server = PostgresServer::parse(text).expect(text);
            assert_eq!((server.to_string().as_str(), server.mode), (shown, mode));
        }
        let socket =
            PostgresServer::parse("postgres://n@/a?host=/run/pg&port=7").expect("a socket");
        assert_eq!(socket.endpoint().to_string(), "unix:/run/pg/.s.PGSQL.7");
    }

    #[test]
    fn a_url_that_does_not_protect_or_says_too_little_is_refused_without_its_secrets() {
        for (text, reason) in [
            ("", "is not the URL"),
            ("mysql://n@a/b", "is not the URL"),
            ("postgres://db/app", "no user"),
            ("postgres://n@db", "no database"),
            ("postgres://n@db/", "no database"),
            ("postgres://n:hunter2@db/a", "holds a password"),
            (
                "postgres://n@db/a?sslmode=require",
                "believe whoever answers",
            ),
            (
                "postgres://n@db/a?sslmode=prefer",
                "believe whoever answers",
            ),
            ("postgres://n@db/a?password=hunter2", "not known here"),
            ("postgres://n@db/a?host=/run/pg", "two hosts"),
            (
                "postgres://n@/a?host=/run/pg&sslmode=verify-full",
                "UNIX socket",
            ),
            ("postgres://n@/a", "no valid host"),
        ] {
            let said = PostgresServer::parse(text).expect_err(text);
            assert!(
                said.contains(reason) && !said.contains("hunter2"),
                "{text}: {said}"
            );
        }
    }
}
