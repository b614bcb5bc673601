//! The security handshake with the host of a console (RFC 6143 §7.1, §7.2): version, method, certificate, password.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::method::{self, VENCRYPT};
use super::version::{LENGTH, Unversioned, Version};
use super::vnc_auth::{self, CHALLENGE};
use super::wire;
use crate::config::{Endpoint, Rfb, RfbSecurity, SecretFile, TargetTls};
use crate::text::Secret;
use crate::text::file::{LARGEST_SECRET, read_text};
use crate::tls::{Connector, DialError, Outgoing, TlsError, explain_alert};

/// The settings of the handshake with the hosts of a target or a source of tokens.
#[derive(Clone, Debug)]
pub struct Login {
    accepted: Option<Vec<RfbSecurity>>,
    user: Option<String>,
    password: Option<SecretFile>,
    /// `None` if this system has no authorities, and none was named.
    connector: Option<Connector>,
    limit: Duration,
}

/// A host that has let Noren in, and waits for `ClientInit`.
#[derive(Debug)]
pub struct Host {
    /// The connection.
    pub connection: Outgoing,
    /// The method that the host and Noren agreed on.
    pub method: RfbSecurity,
}

/// A handshake that failed. The text is for the log, and names the remedy.
#[derive(Debug, thiserror::Error)]
#[error("RFB with {endpoint}: {fault}")]
pub struct LoginError {
    endpoint: Endpoint,
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the handshake was not done within {0:?} (rfb.timeout)")]
    Slow(Duration),
    #[error("it does not speak RFB; it began with {0:?}")]
    NotRfb(String),
    #[error("it is a repeater, which waits for the name of a host; name the host itself")]
    Repeater,
    #[error("it speaks a version before 3.3")]
    Ancient,
    #[error("it refused the connection: {0}")]
    Refused(String),
    #[error("it offers {offered}, and nothing that is accepted; {remedy}")]
    NoMethod {
        offered: String,
        remedy: &'static str,
    },
    #[error(
        "it wants a password ({0}), and there is none; write rfb.password, or have the token source tell it"
    )]
    NoPassword(RfbSecurity),
    #[error("it wants a user and a password (x509-plain); write rfb.user and rfb.password")]
    NoUser,
    #[error("read the password {0}")]
    Password(String),
    #[error("it did not accept the password: {0}")]
    WrongPassword(String),
    #[error("it let nobody in: {0}")]
    Denied(String),
    #[error("{0}")]
    Certificate(String),
    #[error("it broke the protocol: {0}")]
    Violation(&'static str),
    #[error("it closed the connection during the handshake")]
    Closed,
    #[error("{0}")]
    Broke(String),
}

impl LoginError {
    /// True if a time limit has passed.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        matches!(self.fault, Fault::Slow(_))
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if let Some(reason) = explain_alert(&error) {
            return Self::Certificate(reason);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Broke(error.to_string()),
        }
    }
}

impl From<DialError> for Fault {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Handshake { reason, .. } => Self::Certificate(reason),
            other => Self::Broke(other.to_string()),
        }
    }
}

impl Login {
    /// Loads authorities, certificate and key; reads no password, and does not connect.
    ///
    /// # Errors
    /// [`TlsError`] names the file and its fault.
    pub fn new(rfb: &Rfb) -> Result<Self, TlsError> {
        let accepted = rfb.security.clone();
        let certified = accepted.as_ref().is_some_and(|list| {
            let mut list = list.iter();
            list.any(|method| method.has_certificate())
        });
        let connector = match &rfb.tls {
            Some(tls) => Some(Connector::new(tls)?),
            None if certified => Some(Connector::new(&TargetTls::default())?),
            // A machine without authorities has consoles on loopback all the same.
            None => Connector::new(&TargetTls::default()).ok(),
        };
        Ok(Self {
            accepted,
            user: rfb.user.clone(),
            password: rfb.password.clone(),
            connector,
            limit: rfb.timeout,
        })
    }

    /// The time limit, which is also that of the handshake with the browser.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Performs the handshake on a new connection. `password` is what the source of the token has told.
    ///
    /// # Errors
    /// [`LoginError`] names the host and the reason.
    pub async fn perform(
        &self,
        connection: Outgoing,
        endpoint: &Endpoint,
        password: Option<&Secret>,
    ) -> Result<Host, LoginError> {
        let performed = timeout(self.limit, self.negotiate(connection, endpoint, password)).await;
        performed
            .unwrap_or(Err(Fault::Slow(self.limit)))
            .map_err(|fault| LoginError {
                endpoint: endpoint.clone(),
                fault,
            })
    }

    async fn negotiate(
        &self,
        mut connection: Outgoing,
        endpoint: &Endpoint,
        password: Option<&Secret>,
    ) -> Result<Host, Fault> {
        let password = self.password(password).await?;
        let choice = Choice {
            accepted: self.accepted(&connection),
            is_default: self.accepted.is_none(),
            has_user: self.user.is_some(),
            has_password: password.is_some(),
        };
        let version = agree_on_version(&mut connection).await?;
        let method = choice.agree(version, &mut connection).await?;
        if method.has_certificate() {
            let Some(connector) = &self.connector else {
                let text = "this system has no authorities; name that of the host as rfb.tls.ca";
                return Err(Fault::Certificate(text.to_owned()));
            };
            connection = connector.upgrade(endpoint, connection).await?;
        }
        let password = password.as_ref().map_or("", Secret::reveal);
        let user = self.user.as_deref().unwrap_or_default();
        authenticate(&mut connection, method, user, password).await?;
        security_result(&mut connection, version, method).await?;
        Ok(Host { connection, method })
    }

    /// The methods that may be used on this connection.
    fn accepted(&self, connection: &Outgoing) -> Vec<RfbSecurity> {
        let all = self.accepted.as_deref().unwrap_or(&RfbSecurity::ALL);
        let is_usable = |method: &&RfbSecurity| {
            if method.has_certificate() {
                // There is no TLS within TLS.
                !matches!(connection, Outgoing::Tls(_))
            } else {
                self.accepted.is_some() || connection.is_protected()
            }
        };
        all.iter().filter(is_usable).copied().collect()
    }

    /// The password: that of the token, or else of the file, which is read each time so that it can be changed.
    async fn password(&self, of_token: Option<&Secret>) -> Result<Option<Secret>, Fault> {
        let Some(file) = self.password.as_ref().filter(|_| of_token.is_none()) else {
            return Ok(of_token.cloned());
        };
        let path = file.path();
        let read = spawn_blocking(move || read_secret(&path)).await;
        let read = read.unwrap_or_else(|error| Err(error.to_string()));
        read.map(Some)
            .map_err(|reason| Fault::Password(format!("{file}: {reason}")))
    }
}

fn read_secret(path: &Path) -> Result<Secret, String> {
    let mode = fs::metadata(path).map_or(0, |found| found.permissions().mode());
    if mode & 0o007 != 0 {
        return Err("every user of this machine has access to it; chmod o= it".to_owned());
    }
    let text = read_text(path, LARGEST_SECRET).map_err(|error| error.to_string())?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        Err("the file is empty".to_owned())
    } else {
        Ok(Secret::from(text))
    }
}

/// The choice of a method.
struct Choice {
    accepted: Vec<RfbSecurity>,
    is_default: bool,
    has_user: bool,
    has_password: bool,
}

impl Choice {
    /// Agrees on a method: with 3.3 the host decides, later it offers some (RFC 6143 §7.1.2, §A.1).
    async fn agree<S>(&self, version: Version, host: &mut S) -> Result<RfbSecurity, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if version == Version::V3_3 {
            return match host.read_u32().await? {
                0 => Err(Fault::Refused(wire::reason(host).await)),
                decided => self.best(&[decided]),
            };
        }
        let offered = wire::list(host).await?;
        let offered: Vec<u32> = offered.into_iter().map(u32::from).collect();
        if offered.is_empty() {
            return Err(Fault::Refused(wire::reason(host).await));
        }
        let best = self.best(&offered)?;
        if !best.has_certificate() {
            let number = method::number(best);
            host.write_u8(u8::try_from(number).unwrap_or_default())
                .await?;
            host.flush().await?;
            return Ok(best);
        }
        host.write_u8(u8::try_from(VENCRYPT).unwrap_or_default())
            .await?;
        host.flush().await?;
        self.agree_on_subtype(host).await
    }

    /// Agrees on a subtype of VeNCrypt 0.2, up to the beginning of TLS.
    async fn agree_on_subtype<S>(&self, host: &mut S) -> Result<RfbSecurity, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if wire::bytes::<2>(host).await? < [0, 2] {
            return Err(Fault::Violation("its VeNCrypt is older than 0.2"));
        }
        host.write_all(&[0, 2]).await?;
        host.flush().await?;
        if host.read_u8().await? != 0 {
            return Err(Fault::Violation("it does not take VeNCrypt 0.2"));
        }
        let mut offered = Vec::new();
        for _ in 0..host.read_u8().await? {
            offered.push(host.read_u32().await?);
        }
        let of_certificates: Vec<_> = offered
            .iter()
            .copied()
            // Behind VeNCrypt there is nothing without a certificate to fall back to.
            .filter(|number| *number >= 256)
            .collect();
        if of_certificates.is_empty() {
            return Err(self.nothing(&offered));
        }
        let best = self.best(&of_certificates)?;
        host.write_u32(method::number(best)).await?;
        host.flush().await?;
        if host.read_u8().await? != 1 {
            return Err(Fault::Refused("without a reason".to_owned()));
        }
        Ok(best)
    }

    /// The best accepted method that the host has, and Noren the secrets for.
    fn best(&self, offered: &[u32]) -> Result<RfbSecurity, Fault> {
        let common = self.accepted.iter().copied().filter(|method| {
            let wrapped = method.has_certificate() && offered.contains(&VENCRYPT);
            wrapped || offered.contains(&method::number(*method))
        });
        let mut missing = None;
        for method in common {
            if method.has_password() && !self.has_password {
                missing = missing.or(Some(Fault::NoPassword(method)));
            } else if method == RfbSecurity::X509Plain && !self.has_user {
                missing = missing.or(Some(Fault::NoUser));
            } else {
                return Ok(method);
            }
        }
        Err(missing.unwrap_or_else(|| self.nothing(offered)))
    }

    fn nothing(&self, offered: &[u32]) -> Fault {
        let anonymous = |number: &u32| matches!(number, 18 | 256..=259);
        let remedy = if offered.iter().any(anonymous) {
            "that is TLS without a certificate, which whoever is on the way can answer: give the host one"
        } else if self.is_default && offered.iter().any(|number| matches!(number, 1 | 2)) {
            "without encryption anybody on the way can watch and type: give the host a certificate, connect by a \
             socket of this machine or with tls, or accept it in rfb.security"
        } else {
            "accept it in rfb.security, or change the host"
        };
        Fault::NoMethod {
            offered: method::names(offered),
            remedy,
        }
    }
}

async fn agree_on_version<S>(host: &mut S) -> Result<Version, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut said = [0; LENGTH];
    let mut length = 0;
    while length < LENGTH {
        match host
            .read(said.get_mut(length..).unwrap_or_default())
            .await?
        {
            0 if length == 0 => return Err(Fault::Closed),
            0 => break,
            count => length += count,
        }
    }
    let version = Version::read(said).map_err(|fault| match fault {
        Unversioned::NotRfb => {
            let said = said.get(..length).unwrap_or_default();
            Fault::NotRfb(String::from_utf8_lossy(said).into_owned())
        }
        Unversioned::Repeater => Fault::Repeater,
        Unversioned::Ancient => Fault::Ancient,
    })?;
    host.write_all(version.message()).await?;
    host.flush().await?;
    Ok(version)
}

/// Sends what the method asks for.
async fn authenticate<S>(
    host: &mut S,
    method: RfbSecurity,
    user: &str,
    password: &str,
) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match method {
        RfbSecurity::None | RfbSecurity::X509None => return Ok(()),
        RfbSecurity::Vnc | RfbSecurity::X509Vnc => {
            let challenge = wire::bytes::<CHALLENGE>(host).await?;
            host.write_all(&vnc_auth::respond(password, challenge))
                .await?;
        }
        RfbSecurity::X509Plain => {
            let mut message = Vec::new();
            for text in [user, password] {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                message.extend_from_slice(&length.to_be_bytes());
            }
            message.extend_from_slice(user.as_bytes());
            message.extend_from_slice(password.as_bytes());
            host.write_all(&message).await?;
        }
    }
    host.flush().await?;
    Ok(())
}

/// Reads `SecurityResult` (RFC 6143 §7.1.3), which does not come after None before 3.8.
async fn security_result<S>(
    host: &mut S,
    version: Version,
    method: RfbSecurity,
) -> Result<(), Fault>
where
    S: AsyncRead + Unpin,
{
    if method == RfbSecurity::None && version < Version::V3_8 {
        return Ok(());
    }
    if host.read_u32().await? == 0 {
        return Ok(());
    }
    let reason = if version == Version::V3_8 {
        wire::reason(host).await
    } else {
        "without a reason".to_owned()
    };
    Err(if method.has_password() {
        Fault::WrongPassword(reason)
    } else {
        Fault::Denied(reason)
    })
}

#[cfg(test)]
mod tests;
