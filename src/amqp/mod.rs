//! Connections to a RabbitMQ broker (AMQP 0-9-1), over TCP or TLS, with credentials from a file.
//!
//! The protocol is lapin's; a connection is opened here, and what is lost is opened again by whoever needs it:
//! only they know what to declare, and what was not acknowledged. Knows no channel of the hub.

mod coalescing;
mod nesting;
mod runtime;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use async_rs::Runtime;
use lapin::tcp::AsyncTcpStream;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::{self, BrokerCredentials};
use crate::net::{ConnectError, connect};
use crate::text::Reason;
use crate::text::file::{LARGEST_SECRET, read_text};
use crate::text::permission::Use;
use crate::tls::TlsError;

use coalescing::Coalesced;
use runtime::{Io, kit};

/// Time limit for opening a connection: TCP, TLS and the AMQP handshake.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// Time limit for the broker to confirm the end of a connection.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Size limit of a credentials file.
const LONGEST_CREDENTIALS: usize = 4096;

/// The settings of a broker, read and checked, ready to connect.
#[derive(Clone)]
pub(super) struct Broker {
    settings: config::Broker,
    tls: Option<TlsConnector>,
}

/// Ways to read what a broker sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// As it comes: somebody waits for each response.
    AtOnce,
    /// While much comes, every few milliseconds.
    Coalesced,
}

/// Reasons why a connection cannot be opened or has been lost.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokerError {
    /// The credentials cannot be used.
    #[error("{location}: {reason}")]
    Credentials {
        location: BrokerCredentials,
        reason: Reason,
    },
    /// The trusted certificates cannot be read.
    #[error(transparent)]
    Authority(#[from] TlsError),
    /// The certificate of the broker is not trusted.
    #[error("{0}")]
    Trust(String),
    /// The broker cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The broker does not answer in time.
    #[error("{0} did not answer within {OPEN_LIMIT:?}")]
    Slow(String),
    /// The broker, or the connection to it, reports an error.
    #[error(transparent)]
    Protocol(#[from] lapin::Error),
}

impl From<BrokerError> for Reason {
    fn from(error: BrokerError) -> Self {
        let denied = match &error {
            BrokerError::Credentials { reason, .. } => reason.denied(),
            BrokerError::Authority(error) => error.denied(),
            _ => None,
        };
        Self::with_text(&error, denied)
    }
}

impl Broker {
    /// Reads the credentials and certificates, so that errors in them are reported at the start.
    pub(super) fn new(settings: &config::Broker) -> Result<Self, BrokerError> {
        // Read again for each connection, so that a password can be changed; but missing is missing now.
        credentials(settings.credentials.as_ref())?;
        let tls = settings.tls.then(|| tls::connector(settings.ca.as_deref()));
        Ok(Self {
            settings: settings.clone(),
            tls: tls.transpose()?,
        })
    }

    /// Opens a connection; the broker lists it under this name.
    pub(super) async fn connect(
        &self,
        name: &str,
        reads: Reads,
    ) -> Result<Connection, BrokerError> {
        let uri = self.uri(credentials(self.settings.credentials.as_ref())?);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        // Opened here and not by lapin, which would say less of why it cannot be.
        let stream = self.open(reads).await?;
        let stream = Arc::new(std::sync::Mutex::new(Some(stream)));
        let opened = Connection::connector(
            uri,
            Runtime::new(kit()),
            async move |_, _| {
                let stream = stream.lock().ok().and_then(|mut stream| stream.take());
                // It asks once: there is no second try without a new connection.
                let gone = || std::io::Error::from(std::io::ErrorKind::NotConnected);
                Ok(AsyncTcpStream::Plain(stream.ok_or_else(gone)?))
            },
            properties,
        );
        match timeout(OPEN_LIMIT, opened).await {
            Ok(connection) => Ok(connection?),
            Err(_) => Err(BrokerError::Slow(self.settings.to_string())),
        }
    }

    async fn open(&self, reads: Reads) -> Result<Io, BrokerError> {
        let socket = connect(&self.settings.endpoint(), OPEN_LIMIT).await?;
        match reads {
            Reads::AtOnce => self.secured(socket).await,
            // Below TLS, which returns one record after the other of what was read.
            Reads::Coalesced => self.secured(Coalesced::new(socket)).await,
        }
    }

    /// Opens TLS on a connection, if the settings want it.
    async fn secured<S>(&self, socket: S) -> Result<Io, BrokerError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Some(tls) = &self.tls else {
            return Ok(Io::new(socket));
        };
        let name = tls::server_name(&self.settings.host).map_err(BrokerError::Trust)?;
        match timeout(OPEN_LIMIT, tls.connect(name, socket)).await {
            Ok(Ok(stream)) => Ok(Io::new(stream)),
            Ok(Err(error)) => Err(BrokerError::Trust(format!(
                "TLS with {}: {error}; `ca` names the authorities that are trusted, `url` the host in the certificate",
                self.settings
            ))),
            Err(_) => Err(BrokerError::Slow(self.settings.to_string())),
        }
    }

    fn uri(&self, userinfo: AMQPUserInfo) -> AMQPUri {
        let seconds = self.settings.heartbeat.as_secs();
        AMQPUri {
            // TLS is our matter; lapin gets a stream that it does not know to be one.
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo,
                host: self.settings.host.clone(),
                port: self.settings.port,
            },
            vhost: self.settings.virtual_host.clone(),
            query: AMQPQueryString {
                heartbeat: Some(u16::try_from(seconds).unwrap_or(u16::MAX)),
                ..AMQPQueryString::default()
            },
        }
    }
}

/// Closes a connection in order, so that the broker need not detect its loss.
pub(super) async fn close(connection: &Connection) {
    // It ends either way.
    let _ = timeout(CLOSE_LIMIT, connection.close(200, "Noren stops".into())).await;
}

/// Reads user and password from their place; without one they are those that RabbitMQ accepts from its own machine.
fn credentials(location: Option<&BrokerCredentials>) -> Result<AMQPUserInfo, BrokerError> {
    let Some(location) = location else {
        return Ok(AMQPUserInfo {
            username: "guest".to_owned(),
            password: "guest".to_owned(),
        });
    };
    let fault = |reason: Reason| BrokerError::Credentials {
        location: location.clone(),
        reason,
    };
    let text = match location {
        BrokerCredentials::File(path) => read_text(path, LARGEST_SECRET)
            .map_err(|error| fault(Reason::new(path, Use::Read, &error)))?,
        BrokerCredentials::Environment(name) => std::env::var(name).map_err(|_| {
            fault("there is no such variable, or it is no text; the container or the unit has to set it".into())
        })?,
    };
    let line = text.trim_end_matches(['\r', '\n']);
    match line.split_once(':') {
        Some((user, password))
            if !user.is_empty() && line.len() <= LONGEST_CREDENTIALS && !line.contains('\n') =>
        {
            Ok(AMQPUserInfo {
                username: user.to_owned(),
                password: password.to_owned(),
            })
        }
        _ => Err(fault(
            "it holds no credentials; write one line, user:password".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_one_line_with_a_colon() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("amqp");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("a file");
            credentials(Some(&BrokerCredentials::File(path.clone())))
                .map(|info| (info.username, info.password))
        };
        let expected = ("noren".to_owned(), "a:b".to_owned());
        assert_eq!(read("noren:a:b\n").expect("credentials"), expected);
        for text in ["", "secret", ":secret", "noren:secret\nmore"] {
            let said = read(text).expect_err("no credentials").to_string();
            assert!(said.contains("user:password") && !said.contains("secret"));
        }
    }

    #[test]
    fn credentials_in_the_environment_are_named_when_they_are_missing() {
        let location = BrokerCredentials::Environment("NOREN_NO_SUCH_VARIABLE".to_owned());
        let said = credentials(Some(&location)).expect_err("no credentials");
        let said = said.to_string();
        assert!(
            said.contains("environment:NOREN_NO_SUCH_VARIABLE"),
            "{said}"
        );
    }
}
