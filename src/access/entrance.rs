//! The entrance of a route: the certificate and the password it asks for.
//!
//! Both are the door's own, and are looked at before the app is asked anything. Must not know what lies behind.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::access::origin::OriginPolicy;
use crate::access::users::{Unproven, Users, UsersError};
use crate::config;
use crate::tls::ClientName;

/// What a route asks of everybody.
#[derive(Debug)]
pub struct Entrance {
    /// The pages that may open WebSockets.
    pub origins: OriginPolicy,
    users: Option<Users>,
    challenge: HeaderValue,
    needs_certificate: bool,
    names: Vec<String>,
}

/// Why somebody may not come in. The text is for the log, and holds nothing that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// No certificate.
    #[error("no client certificate was shown")]
    NoCertificate,
    /// A good certificate of somebody else.
    #[error("the names in the client certificate are not among client-names")]
    OtherCertificate,
    /// No password, or not a right one.
    #[error("{0}")]
    Password(Unproven),
}

impl Entrance {
    /// The entrance that a table of the configuration describes. Reads the file of users.
    ///
    /// # Errors
    /// [`UsersError`] names the file and what is wrong with it.
    pub fn new(table: &str, settings: &config::Entrance) -> Result<Self, UsersError> {
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

    /// Lets somebody in; the name is that of the user whose password was shown.
    ///
    /// # Errors
    /// [`NotAdmitted`].
    pub async fn admit(
        &self,
        headers: &HeaderMap,
        client: Option<&ClientName>,
    ) -> Result<Option<Arc<str>>, NotAdmitted> {
        if self.needs_certificate {
            let client = client.ok_or(NotAdmitted::NoCertificate)?;
            if !self.names.is_empty() && !client.is_one_of(&self.names) {
                return Err(NotAdmitted::OtherCertificate);
            }
        }
        let Some(users) = &self.users else {
            return Ok(None);
        };
        let user = users.prove(headers).await;
        user.map(Some).map_err(NotAdmitted::Password)
    }

    /// What asks for a password (RFC 7617, section 2).
    #[must_use]
    pub fn challenge(&self) -> HeaderValue {
        self.challenge.clone()
    }
}
