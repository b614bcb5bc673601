//! The choice of a security method (RFC 6143 §7.1.2, §A.1; VeNCrypt 0.2): the best that is accepted, that the host has,
//! and that Noren has the secrets for. Does not speak with the host.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::fault::Fault;
use super::method::{self, VENCRYPT};
use super::version::Version;
use super::wire;
use crate::config::RfbSecurity;

/// The choice of a method.
pub(super) struct Choice {
    /// The methods that may be used, the best first.
    pub(super) accepted: Vec<RfbSecurity>,
    /// True if the operator has not listed them.
    pub(super) is_default: bool,
    pub(super) has_user: bool,
    pub(super) has_password: bool,
}

impl Choice {
    /// Agrees on a method: with 3.3 the host decides, later it offers some (RFC 6143 §7.1.2, §A.1).
    pub(super) async fn agree<S>(
        &self,
        version: Version,
        host: &mut S,
    ) -> Result<RfbSecurity, Fault>
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
