//! `source = "nova"` of a `[[bridge.tokens]]`: the consoles of an OpenStack cloud, whose tokens Nova's API knows. Asks
//! nobody.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::http_source::TIMEOUT;
use super::reader::Table;
use super::secret_location::SecretLocation;
use super::service_url::ServiceUrl;
use super::target_rule::parse_port_range;
use super::value;

/// The keys of `source = "nova"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NovaSource {
    /// `auth-url`: Keystone, with or without `/v3` at the end.
    pub auth_url: ServiceUrl,
    /// `user`, `password` and the like, or `application-credential` and `secret`.
    pub login: NovaLogin,
    /// `region`: of the catalog of services. Default `None`: the only one that there is.
    pub region: Option<String>,
    /// `interface`: of the catalog. Default `public`.
    pub interface: NovaInterface,
    /// `endpoint`: Nova's API, in place of what the catalog says. Default `None`.
    pub endpoint: Option<ServiceUrl>,
    /// `microversion`: of Nova's API. Default 2.31, the first that knows the tokens of all kinds of consoles.
    pub microversion: String,
    /// `lifetime`: the lifetime of a console that `recheck-tokens` checks. Default `token`.
    pub lifetime: NovaLifetime,
    /// `serial-ports`: the ports at which the hosts have serial consoles, for Nova does not say of which kind a console
    /// is. Default 10000 to 20000, as Nova's `port_range`.
    pub serial_ports: Vec<RangeInclusive<u16>>,
    /// `ca`: whose certificates are believed, for `https`. Default `None`: those this system trusts.
    pub ca: Option<PathBuf>,
    /// `timeout`: the time from the request to the end of the response, including a login if necessary. Default 5 s.
    pub timeout: Duration,
}

/// The login of Noren at Keystone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NovaLogin {
    /// A user of a project.
    Password {
        /// `user`: its name.
        user: String,
        /// `user-domain`: the domain that the user is of.
        user_domain: Domain,
        /// `project`: the name of the project.
        project: String,
        /// `project-domain`: the domain that the project is of.
        project_domain: Domain,
        /// `password`: the place of the password.
        password: SecretLocation,
    },
    /// An application credential, which has its project.
    ApplicationCredential {
        /// `application-credential`: its id.
        id: String,
        /// `secret`: the place of its secret.
        secret: SecretLocation,
    },
}

/// A domain of Keystone: its name, or `id:` and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// The name.
    Name(String),
    /// The id.
    Id(String),
}

/// An interface of the catalog of services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NovaInterface {
    /// `public`: for everybody.
    Public,
    /// `internal`: for services of the cloud.
    Internal,
    /// `admin`: for administrators, in old clouds.
    Admin,
}

/// The life of a console that `recheck-tokens` looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NovaLifetime {
    /// `token`: it ends when Nova does not know its token any more: expired, or the server was deleted or moved. As
    /// with Nova's `enforce_session_timeout`.
    Token,
    /// `server`: it outlives its token, and ends when the server is deleted.
    Server,
}

/// The first microversion that knows the tokens of all kinds of consoles.
const MICROVERSION: &str = "2.31";
/// Nova's default of `port_range` in `[serial_console]`.
const SERIAL_PORTS: RangeInclusive<u16> = 10_000..=20_000;

impl Domain {
    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("id:") {
            Some(id) => value::not_empty(id).map(Self::Id),
            None => value::not_empty(text).map(Self::Name),
        }
    }
}

impl Default for Domain {
    /// The name of the domain that every Keystone begins with.
    fn default() -> Self {
        Self::Name("Default".to_owned())
    }
}

impl NovaInterface {
    const NAMES: [(&'static str, Self); 3] = [
        ("public", Self::Public),
        ("internal", Self::Internal),
        ("admin", Self::Admin),
    ];

    /// The word for it in the configuration and in the catalog.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        value::name_of(self, &Self::NAMES)
    }
}

impl NovaSource {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let parse_identity =
            |text: &str| ServiceUrl::parse(text, "https://keystone.example:5000/v3");
        let auth_url = table.required(
            "auth-url",
            r#""https://keystone.example:5000/v3""#,
            parse_identity,
        );
        let parse_endpoint = |text: &str| ServiceUrl::parse(text, "https://nova.example:8774/v2.1");
        let names = [
            ("token", NovaLifetime::Token),
            ("server", NovaLifetime::Server),
        ];
        let source = Self {
            auth_url: auth_url.unwrap_or_default(),
            login: NovaLogin::read(table),
            region: table.text("region", None, |text| value::not_empty(text).map(Some)),
            interface: table.text("interface", NovaInterface::Public, |text| {
                value::choice(text, &NovaInterface::NAMES)
            }),
            endpoint: table.text("endpoint", None, |text| parse_endpoint(text).map(Some)),
            microversion: table.text("microversion", MICROVERSION.to_owned(), parse_microversion),
            lifetime: table.text("lifetime", NovaLifetime::Token, |text| {
                value::choice(text, &names)
            }),
            serial_ports: table.list("serial-ports", vec![SERIAL_PORTS], parse_port_range),
            ca: table.text("ca", None, |text| value::path(text).map(Some)),
            timeout: table.time_limit("timeout", TIMEOUT),
        };
        if table.is_sound() {
            source.check(table);
        }
        source
    }

    fn check(&self, table: &mut Table<'_>) {
        if self.endpoint.is_some() && self.region.is_some() {
            table.problem(
                "region",
                "is for the catalog of services, which endpoint replaces; remove one of the two",
            );
        }
        if self.endpoint.is_some() && table.has("interface") {
            table.problem(
                "interface",
                "is for the catalog of services, which endpoint replaces; remove one of the two",
            );
        }
        let is_secure = |url: &ServiceUrl| url.secure;
        if self.ca.is_some()
            && !self.auth_url.secure
            && self.endpoint.as_ref().is_some_and(|url| !is_secure(url))
        {
            table.problem(
                "ca",
                "without https there is no certificate to check; remove it",
            );
        }
    }
}

impl NovaLogin {
    /// Reads the keys of either login; those of the other one are told as the fault that they are.
    fn read(table: &mut Table<'_>) -> Self {
        let of_credential = table.has("application-credential");
        let of_user = table.has("user");
        if of_credential && of_user && table.is_sound() {
            table.problem(
                "application-credential",
                "has a user and a project of its own; remove it, or user, project and password",
            );
        }
        if of_credential {
            Self::read_credential(table)
        } else {
            Self::read_password(table)
        }
    }

    fn read_credential(table: &mut Table<'_>) -> Self {
        let id = table.required("application-credential", r#""ID""#, value::not_empty);
        let secret = table.required(
            "secret",
            r#""/etc/noren/nova-secret""#,
            SecretLocation::parse,
        );
        for key in [
            "user",
            "user-domain",
            "project",
            "project-domain",
            "password",
        ] {
            let is_there = table.has(key);
            table.text(key, (), |_| Ok(()));
            if is_there && key != "user" {
                table.problem(
                    key,
                    "is for a login with a password, and there is an application-credential; remove one of the two",
                );
            }
        }
        Self::ApplicationCredential {
            id: id.unwrap_or_default(),
            secret: secret.unwrap_or_else(|| SecretLocation::Environment(String::new())),
        }
    }

    fn read_password(table: &mut Table<'_>) -> Self {
        let user = table.required("user", r#""nova""#, value::not_empty);
        let project = table.required("project", r#""service""#, value::not_empty);
        let password = table.required(
            "password",
            r#""/etc/noren/nova-password""#,
            SecretLocation::parse,
        );
        if table.has("secret") {
            table.text("secret", (), |_| Ok(()));
            table.problem(
                "secret",
                "is that of an application-credential, which is missing; write password for a user, or the id of \
                 the credential",
            );
        }
        Self::Password {
            user: user.unwrap_or_default(),
            user_domain: table.text("user-domain", Domain::default(), Domain::parse),
            project: project.unwrap_or_default(),
            project_domain: table.text("project-domain", Domain::default(), Domain::parse),
            password: password.unwrap_or_else(|| SecretLocation::Environment(String::new())),
        }
    }

    /// The place of the secret.
    #[must_use]
    pub fn secret(&self) -> &SecretLocation {
        match self {
            Self::Password { password, .. } => password,
            Self::ApplicationCredential { secret, .. } => secret,
        }
    }
}

/// The user, or the application credential, as a message names it.
impl fmt::Display for NovaLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, project, .. } => {
                write!(f, "the user {user} of the project {project}")
            }
            Self::ApplicationCredential { id, .. } => write!(f, "the application credential {id}"),
        }
    }
}

/// Reads a microversion of Nova's API, 2.31 or later.
fn parse_microversion(text: &str) -> Result<String, String> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<u32>().ok()).flatten()
    };
    let minor = text.strip_prefix("2.").and_then(number);
    match minor {
        Some(31..) => Ok(text.to_owned()),
        Some(_) => Err(format!(
            "{text:?} knows the tokens of one kind of console only; write \"{MICROVERSION}\" or a later one"
        )),
        None => Err(format!(
            "{text:?} is no microversion of Nova; write for example \"{MICROVERSION}\""
        )),
    }
}
