//! Address of a RabbitMQ broker and the credentials for it: the keys that sources and the cluster share. Connects
//! to nothing, and contains no password, which is in a file of its own.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::reader::Table;
use super::value;

/// Prefix of `credentials` that are in a variable of the environment.
const ENVIRONMENT: &str = "environment:";

/// Place of a broker's credentials, one line `user:password`. It is no secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerCredentials {
    /// A file, read again for each connection.
    File(PathBuf),
    /// `environment:NAME`: a variable of the process, as container platforms hand over secrets.
    Environment(String),
}

impl BrokerCredentials {
    fn parse(text: &str) -> Result<Self, String> {
        let Some(name) = text.strip_prefix(ENVIRONMENT) else {
            return value::secret_path(text).map(Self::File);
        };
        let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        if name.is_empty()
            || !name.chars().all(fits)
            || name.starts_with(|first: char| first.is_ascii_digit())
        {
            // Without the text, which may be the secret itself.
            return Err(
                "names no variable of the environment; write for example \"environment:AMQP_CREDENTIALS\"".to_owned(),
            );
        }
        Ok(Self::Environment(name.to_owned()))
    }

    /// The file, if they are in one.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Environment(_) => None,
        }
    }
}

impl fmt::Display for BrokerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) => write!(f, "{ENVIRONMENT}{name}"),
        }
    }
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// True for TLS (`amqps`).
    pub tls: bool,
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// Port of the broker; the default is 5672, and with TLS 5671.
    pub port: u16,
    /// The virtual host. Default `/`.
    pub virtual_host: String,
    /// `credentials`: a file, or a variable, with one line, `user:password`. Default none: `guest:guest`, which
    /// RabbitMQ admits from its own machine only.
    pub credentials: Option<BrokerCredentials>,
    /// `ca`: a PEM file with the certificates that are trusted. Default none: those the system trusts.
    pub ca: Option<PathBuf>,
    /// `heartbeat`: a broker that is silent for twice as long is lost. Default 30 s, in whole seconds.
    pub heartbeat: Duration,
}

/// The longest heartbeat the protocol can say.
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(u16::MAX as u64);

impl Broker {
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let place = table.required("url", r#""amqp://rabbit.example:5672/%2F""#, Self::parse);
        let credentials = table.text("credentials", None, |text| {
            BrokerCredentials::parse(text).map(Some)
        });
        let ca = table.text("ca", None, |text| value::path(text).map(Some));
        let heartbeat = table.time_limit("heartbeat", Duration::from_secs(30));
        if heartbeat < Duration::from_secs(1) || heartbeat > LONGEST_HEARTBEAT {
            table.problem(
                "heartbeat",
                r#"is out of range; write a duration from "1s" to "18h""#,
            );
        }
        let place = place?;
        if ca.is_some() && !place.tls {
            table.problem(
                "ca",
                "is for amqps; write url = \"amqps://…\", or remove it",
            );
        }
        Some(Self {
            credentials,
            ca,
            heartbeat,
            ..place
        })
    }

    /// Reads the URL of a broker. A password in it would be in the configuration, in backups and in error
    /// messages; the text does not repeat it.
    fn parse(text: &str) -> Result<Self, String> {
        if text.contains('@') {
            return Err(
                "holds a user; write that as user:password into a file, and credentials = \"/etc/noren/amqp\""
                    .to_owned(),
            );
        }
        let wrong =
            || format!(r#"{text:?} is not a broker; write "amqp://host:5672/%2F" or "amqps://…""#);
        let (tls, rest, port) = if let Some(rest) = text.strip_prefix("amqps://") {
            (true, rest, 5671)
        } else {
            (false, text.strip_prefix("amqp://").ok_or_else(wrong)?, 5672)
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        if path.is_some_and(|path| path.contains(['/', '?', '#'])) {
            return Err(format!(
                r#"{text:?} says more than a broker and a virtual host; write the latter as one word, "/" as %2F"#
            ));
        }
        let Some(Endpoint::Tcp { host, port }) = Endpoint::from_authority(authority, port) else {
            return Err(wrong());
        };
        Ok(Self {
            tls,
            host,
            port,
            virtual_host: match path {
                // The virtual host "" of the AMQP URI specification does not exist in RabbitMQ.
                None | Some("") => "/".to_owned(),
                Some(path) => value::percent_decoded(path).ok_or_else(wrong)?,
            },
            credentials: None,
            ca: None,
            heartbeat: Duration::ZERO,
        })
    }

    /// The broker as an endpoint.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Tcp {
            host: self.host.clone(),
            port: self.port,
        }
    }
}

/// Writes the URL without its secrets.
impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "amqps" } else { "amqp" };
        write!(f, "{scheme}://{}", self.endpoint())?;
        match self.virtual_host.as_str() {
            "/" => Ok(()),
            other => write!(f, "/{}", other.replace('/', "%2F")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_host_a_port_and_a_virtual_host() {
        for (text, written) in [
            ("amqp://rabbit", "amqp://rabbit:5672"),
            ("amqp://rabbit/", "amqp://rabbit:5672"),
            ("amqp://rabbit:1/%2F", "amqp://rabbit:1"),
            ("amqps://[::1]/cloud", "amqps://[::1]:5671/cloud"),
            ("amqp://a/b%2Fc", "amqp://a:5672/b%2Fc"),
        ] {
            let broker = Broker::parse(text).expect(text);
            assert_eq!(broker.to_string(), written);
        }
        for text in [
            "",
            "rabbit",
            "http://a",
            "amqp://",
            "amqp://a/b/c",
            "amqp://a/%zz",
        ] {
            assert!(Broker::parse(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_without_being_repeated() {
        let said = Broker::parse("amqp://noren:secret@rabbit").expect_err("a password");
        assert!(
            said.contains("credentials") && !said.contains("secret"),
            "{said}"
        );
    }
}
