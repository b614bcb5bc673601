//! Token source for OpenStack: Nova's API reports the target of a token (`GET /os-console-auth-tokens/TOKEN`), with a
//! login from Keystone.
//!
//! Nova's own proxies query the database of each cell instead. Through the API one Noren serves all cells of a region,
//! and needs neither their databases nor their message queues. No error contains a token or a secret.

mod catalog;
mod keystone;
mod response;

use std::sync::Arc;

use http::Request;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::address::SourceResponse;
use super::service_client::{Reply, ServiceClient};
use super::{ConsoleKind, Token};
use crate::config::{Endpoint, NovaLifetime, NovaSource};
use crate::text::percent::encoded;
use crate::tls::TlsError;

use keystone::{Keystone, Session};
use response::{Verdict, understand, understand_server};

/// Limit on concurrent queries, so that a flood of invented tokens does not reach the API.
const AT_ONCE: usize = 16;

/// The API of one region.
pub(super) struct NovaApi {
    settings: NovaSource,
    client: Arc<ServiceClient>,
    keystone: Keystone,
    asking: Semaphore,
}

/// A server of the cloud, whose existence limits the time that its console may be open.
#[derive(Clone)]
pub(crate) struct CloudServer {
    api: Arc<NovaApi>,
    id: String,
}

/// Omits the login.
impl std::fmt::Debug for CloudServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CloudServer").field(&self.id).finish()
    }
}

impl CloudServer {
    /// The kind of the console at an address of the server's host. Nova does not tell it, but has ports for serial
    /// consoles; displays, VNC's and SPICE's, share theirs.
    pub(super) fn kind(&self, endpoint: &Endpoint) -> ConsoleKind {
        let serial = &self.api.settings.serial_ports;
        match endpoint {
            Endpoint::Tcp { port, .. } if serial.iter().any(|range| range.contains(port)) => {
                ConsoleKind::Serial
            }
            Endpoint::Tcp { .. } | Endpoint::Unix(_) => ConsoleKind::Graphical,
        }
    }

    /// True if consoles of the server may stay open although their token has ended: the source permits it, and the
    /// server exists, or Nova cannot say that it does not.
    pub(crate) async fn holds_consoles(&self) -> bool {
        match self.api.settings.lifetime {
            NovaLifetime::Token => false,
            NovaLifetime::Server => self.api.has_server(&self.id).await,
        }
    }
}

impl NovaApi {
    pub(super) fn new(settings: NovaSource) -> Result<Self, TlsError> {
        let endpoint = settings.endpoint.as_ref();
        let is_secure = settings.auth_url.secure || endpoint.is_some_and(|url| url.secure);
        let client = ServiceClient::new(settings.ca.as_deref(), is_secure, settings.timeout)?;
        let client = Arc::new(client);
        Ok(Self {
            keystone: Keystone::new(settings.clone(), Arc::clone(&client)),
            client,
            asking: Semaphore::new(AT_ONCE),
            settings,
        })
    }

    /// Returns the target of a token that Nova knows, with the id of its server; the error describes a failure of Nova
    /// or of Keystone.
    pub(super) async fn find(
        &self,
        token: &Token,
    ) -> Result<Option<(SourceResponse, String)>, String> {
        // Nova's tokens are UUIDs. What is of another form is for another source, and no question to a cloud.
        if !is_uuid(token.plain()) {
            return Ok(None);
        }
        let path = format!("/os-console-auth-tokens/{}", encoded(token.plain()));
        self.query(&path, understand).await
    }

    /// The server of a console, for later queries.
    pub(super) fn server(self: &Arc<Self>, id: &str) -> CloudServer {
        CloudServer {
            api: Arc::clone(self),
            id: id.to_owned(),
        }
    }

    async fn has_server(&self, id: &str) -> bool {
        let path = format!("/servers/{}", encoded(id));
        // Only what Nova says for certain ends a console.
        !matches!(self.query(&path, understand_server).await, Ok(None))
    }

    /// Sends a query within the limits of time and number.
    async fn query<T>(
        &self,
        path: &str,
        understand: fn(&Reply, &NovaSource) -> Verdict<T>,
    ) -> Result<Option<T>, String> {
        let limit = self.settings.timeout;
        let asked = timeout(limit, async {
            // The semaphore is never closed.
            let _turn = self.asking.acquire().await;
            self.query_logged_in(path, understand).await
        });
        asked
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {limit:?} (timeout)")))
    }

    /// Sends a query with the current login, and repeats it with a new one if Nova refuses that: a token of Keystone
    /// can be revoked before its end.
    async fn query_logged_in<T>(
        &self,
        path: &str,
        understand: fn(&Reply, &NovaSource) -> Verdict<T>,
    ) -> Result<Option<T>, String> {
        for _ in 0..2 {
            let session = self.keystone.session().await?;
            let reply = self.get(&session, path).await;
            let url = &session.compute;
            let reply = reply.map_err(|reason| format!("Nova at {url}: {reason}"))?;
            match understand(&reply, &self.settings) {
                Verdict::Known(found) => return Ok(Some(found)),
                Verdict::Unknown => return Ok(None),
                Verdict::Failed(reason) => return Err(format!("Nova at {url}: {reason}")),
                Verdict::LoggedOut => self.keystone.forget(&session),
            }
        }
        let url = &self.settings.auth_url;
        Err(format!(
            "Nova does not take the tokens of Keystone at {url} (401); see [keystone_authtoken] of its nova.conf"
        ))
    }

    async fn get(&self, session: &Session, path: &str) -> Result<Reply, String> {
        let version = &self.settings.microversion;
        let request = Request::get("/")
            .header("X-Auth-Token", session.token_header()?)
            .header("OpenStack-API-Version", format!("compute {version}"))
            .header("X-OpenStack-Nova-API-Version", version.as_str());
        self.client
            .send(&session.compute, path, request, Vec::new())
            .await
    }
}

/// True for a UUID, with its hyphens or without.
fn is_uuid(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let hyphens = text.bytes().filter(|byte| *byte == b'-').count();
    digits == 32 && digits + hyphens == text.len() && matches!(hyphens, 0 | 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_token_of_nova_is_asked_for() {
        for text in [
            "8e1f4b2a-9d3c-4c5e-8f6a-0b1c2d3e4f50",
            "8e1f4b2a9d3c4c5e8f6a0b1c2d3e4f50",
        ] {
            assert!(is_uuid(text), "{text}");
        }
        for text in [
            "",
            "vm1",
            "8e1f4b2a-9d3c-4c5e-8f6a-0b1c2d3e4f5",
            "../servers",
        ] {
            assert!(!is_uuid(text), "{text}");
        }
    }
}
