//! Authentication of a route by the certificate and the password that it requires.
//!
//! Noren checks both itself, before the app gets any request. Must not know the handler of the route.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::access::origin::OriginPolicy;
use crate::access::users::{Unproven, Users, UsersError};
use crate::config;
use crate::tls::ClientName;

/// The requirements of a route.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// The pages that may open WebSockets.
    pub origins: OriginPolicy,
    users: Option<Users>,
    challenge: HeaderValue,
    needs_certificate: bool,
    names: Vec<String>,
}

/// Reasons why a client is not admitted. The text is for the log, and contains no attempted credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    /// The client has presented no certificate.
    #[error("no client certificate was shown")]
    NoCertificate,
    /// The client's certificate is valid, but not permitted here.
    #[error("the names in the client certificate are not among client-names")]
    OtherCertificate,
    /// The password is missing or wrong.
    #[error("{0}")]
    Password(Unproven),
}

impl Entrance {
    /// Creates the requirements from a table of the configuration. Reads the file of users.
    ///
    /// # Errors
    /// [`UsersError`] names the file and its fault.
    pub(crate) fn new(table: &str, settings: &config::Entrance) -> Result<Self, UsersError> {
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", settings.realm);
        Ok(Self {
            origins: OriginPolicy::new(table, &settings.origins, settings.missing_origin),
            users: settings.users.as_deref().map(Users::load).transpose()?,
            // The configuration admits only what can stand in a header.
            challenge: HeaderValue::try_from(challenge)
                .unwrap_or(HeaderValue::from_static("Basic realm=\"Noren\"")),
            needs_certificate: settings.needs_certificate(),
            names: settings.certificate_names.clone(),
        })
    }

    /// Admits a client; returns the name of the user whose password was verified.
    ///
    /// # Errors
    /// [`NotAdmitted`] says if the certificate or the password failed.
    pub(crate) async fn admit(
        &self,
        headers: &HeaderMap,
        client: Option<&ClientName>,
    ) -> Result<Option<Arc<str>>, NotAdmitted> {
        self.admit_certificate(client)?;
        let Some(users) = &self.users else {
            return Ok(None);
        };
        let user = Box::pin(users.prove(headers)).await;
        user.map(Some).map_err(NotAdmitted::Password)
    }

    /// Admits a client by its certificate only.
    ///
    /// # Errors
    /// [`NotAdmitted`] says what is wrong with the certificate.
    pub(crate) fn admit_certificate(&self, client: Option<&ClientName>) -> Result<(), NotAdmitted> {
        if self.needs_certificate {
            let client = client.ok_or(NotAdmitted::NoCertificate)?;
            if !self.names.is_empty() && !client.is_one_of(&self.names) {
                return Err(NotAdmitted::OtherCertificate);
            }
        }
        Ok(())
    }

    /// The challenge that asks for a password (RFC 7617, section 2).
    #[must_use]
    pub(crate) fn challenge(&self) -> HeaderValue {
        self.challenge.clone()
    }
}
