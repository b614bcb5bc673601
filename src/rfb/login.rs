//! The security handshake with the host of a console (RFC 6143 §7.1, §7.2): version, method, certificate, password.
//! Does not know the browser.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::choice::Choice;
use super::fault::Fault;
use super::version::{LENGTH, Unversioned, Version};
use super::vnc_auth::{self, CHALLENGE};
use super::wire;
use crate::config::{Endpoint, Rfb, RfbSecurity, SecretFile, TargetTls};
use crate::text::Secret;
use crate::text::file::{LARGEST_SECRET, read_text};
use crate::tls::{Connector, Outgoing, TlsError, is_protected};

/// The settings of the handshake with the hosts of a target or a source of tokens.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    accepted: Option<Vec<RfbSecurity>>,
    user: Option<String>,
    password: Option<SecretFile>,
    /// `None` if this system has no authorities, and none was named.
    connector: Option<Connector>,
    /// True if Noren has a certificate of its own for hosts.
    has_certificate: bool,
    limit: Duration,
}

/// A host that has let Noren in, and waits for `ClientInit`.
#[derive(Debug)]
pub(crate) struct Host {
    /// The connection.
    pub connection: Outgoing,
    /// The method that the host and Noren agreed on.
    pub method: RfbSecurity,
}

/// A handshake that failed. The text is for the log, and names the remedy.
#[derive(Debug, thiserror::Error)]
#[error("RFB with {endpoint}: {fault}")]
pub(crate) struct LoginError {
    endpoint: Endpoint,
    fault: Fault,
}

impl LoginError {
    /// True if a time limit has passed.
    #[must_use]
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self.fault, Fault::Slow(_))
    }
}

impl Login {
    /// Loads authorities, certificate and key; reads no password, and does not connect.
    ///
    /// # Errors
    /// [`TlsError`] names the file and its fault.
    pub(crate) fn new(rfb: &Rfb) -> Result<Self, TlsError> {
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
            has_certificate: rfb.tls.as_ref().is_some_and(|tls| tls.client.is_some()),
            limit: rfb.timeout,
        })
    }

    /// The time limit, which is also that of the handshake with the browser.
    #[must_use]
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Performs the handshake on a new connection. `password` is what the source of the token has told.
    ///
    /// # Errors
    /// [`LoginError`] names the host and the reason.
    pub(crate) async fn perform(
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
        let finish = async {
            authenticate(&mut connection, method, user, password).await?;
            security_result(&mut connection, version, method).await
        };
        let finished = finish.await;
        finished.map_err(|fault| self.behind_tls(fault, method))?;
        Ok(Host { connection, method })
    }

    /// Adds the likely reason to an end behind TLS: with TLS 1.3 a client is through with the handshake before the host
    /// has looked at its certificate, and QEMU then closes without a word.
    fn behind_tls(&self, fault: Fault, method: RfbSecurity) -> Fault {
        match fault {
            Fault::Closed if method.has_certificate() && self.has_certificate => {
                Fault::ClosedToCertificate
            }
            Fault::Closed if method.has_certificate() => Fault::ClosedToAnyone,
            other => other,
        }
    }

    /// The methods that may be used on this connection.
    fn accepted(&self, connection: &Outgoing) -> Vec<RfbSecurity> {
        let all = self.accepted.as_deref().unwrap_or(&RfbSecurity::ALL);
        let is_usable = |method: &&RfbSecurity| {
            if method.has_certificate() {
                // There is no TLS within TLS.
                !matches!(connection, Outgoing::Right(_))
            } else {
                self.accepted.is_some() || is_protected(connection)
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

/// Sends the response of the security method.
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
