//! The login at Keystone (Identity API v3): one at a time, kept until shortly before its end, and not repeated with a
//! refused password. Independent of its use.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{HeaderValue, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use time::{Date, Month, PrimitiveDateTime, Time};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::catalog::{self, Service};
use crate::config::{Domain, NovaLogin, NovaSource, SecretLocation, ServiceUrl};
use crate::sync::lock;
use crate::text::Secret;
use crate::text::file::{LARGEST_SECRET, read_text};
use crate::tokens::service_client::{Reply, ServiceClient};

/// Pause before a refused login is repeated with the same secret: Keystone may lock the user out after several
/// failures, and each browser that connects would cause one.
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// Pause after a login whose client left before the result was known: it may have been refused, too.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);
/// Upper bound on the time before its end at which a login is renewed.
const EARLY: Duration = Duration::from_secs(60);
/// Lifetime of a login whose times cannot be read; Keystone's default is an hour.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(300);

/// Keystone, with its last response.
pub(super) struct Keystone {
    settings: NovaSource,
    client: Arc<ServiceClient>,
    /// Single-flight: the holder logs in, the others await its result.
    turn: Semaphore,
    session: Mutex<Option<Arc<Session>>>,
    refusal: Mutex<Option<Refused>>,
    /// Start of a login without a result.
    started_at: Mutex<Option<Instant>>,
}

/// A login.
pub(super) struct Session {
    token: Secret,
    /// Nova's API, from the catalog or the configuration.
    pub(super) compute: ServiceUrl,
    renewal: Instant,
}

/// A login that was refused.
struct Refused {
    at: Instant,
    secret: Secret,
    reason: String,
}

impl Session {
    /// The value of `X-Auth-Token`.
    pub(super) fn token_header(&self) -> Result<HeaderValue, String> {
        let value = HeaderValue::from_str(self.token.reveal());
        let mut value =
            value.map_err(|_| "the token of Keystone cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Keystone {
    pub(super) fn new(settings: NovaSource, client: Arc<ServiceClient>) -> Self {
        Self {
            settings,
            client,
            turn: Semaphore::new(1),
            session: Mutex::default(),
            refusal: Mutex::default(),
            started_at: Mutex::default(),
        }
    }

    /// The current login, or a new one.
    pub(super) async fn session(&self) -> Result<Arc<Session>, String> {
        if let Some(session) = self.current() {
            return Ok(session);
        }
        // The semaphore is never closed.
        let _turn = self.turn.acquire().await;
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let place = self.settings.login.secret();
        let secret = read_secret(place)
            .await
            .map_err(|reason| format!("read the secret {place}: {reason}"))?;
        if let Some(reason) = self.is_still_refused(&secret) {
            return Err(reason);
        }
        let started_at = *lock(&self.started_at);
        if let Some(started_at) = started_at {
            sleep(UNKNOWN_FOR.saturating_sub(started_at.elapsed())).await;
        }
        *lock(&self.started_at) = Some(Instant::now());
        let url = &self.settings.auth_url;
        let session = self.log_in(&secret).await;
        *lock(&self.started_at) = None;
        let session = session.map_err(|reason| format!("Keystone at {url}: {reason}"))?;
        let session = Arc::new(session);
        *lock(&self.session) = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Drops a login that is not accepted any more, unless it was replaced meanwhile.
    pub(super) fn forget(&self, refused: &Arc<Session>) {
        let mut session = lock(&self.session);
        if session
            .as_ref()
            .is_some_and(|one| Arc::ptr_eq(one, refused))
        {
            *session = None;
        }
    }

    fn current(&self) -> Option<Arc<Session>> {
        let session = lock(&self.session).clone();
        session.filter(|session| Instant::now() < session.renewal)
    }

    fn is_still_refused(&self, secret: &Secret) -> Option<String> {
        let refusal = lock(&self.refusal);
        let refusal = refusal.as_ref()?;
        let left = REFUSED_FOR.checked_sub(refusal.at.elapsed())?;
        (refusal.secret == *secret).then(|| {
            format!(
                "{}; the next try with this secret is in {} s",
                refusal.reason,
                left.as_secs() + 1
            )
        })
    }

    async fn log_in(&self, secret: &Secret) -> Result<Session, String> {
        let url = &self.settings.auth_url;
        let path = if url.path.ends_with("/v3") {
            "/auth/tokens"
        } else {
            "/v3/auth/tokens"
        };
        let body = login_body(&self.settings.login, secret).to_string();
        let request = Request::post("/").header(header::CONTENT_TYPE, "application/json");
        let reply = self.client.send(url, path, request, body.into_bytes());
        let reply = reply.await?;
        if reply.status != StatusCode::CREATED {
            let reason = explain(reply.status, &self.settings.login);
            if reply.status == StatusCode::UNAUTHORIZED {
                *lock(&self.refusal) = Some(Refused {
                    at: Instant::now(),
                    secret: secret.clone(),
                    reason: format!("Keystone at {url}: {reason}"),
                });
            }
            return Err(reason);
        }
        *lock(&self.refusal) = None;
        self.understand(&reply)
    }

    fn understand(&self, reply: &Reply) -> Result<Session, String> {
        let token = reply.headers.get("x-subject-token");
        let token = token.and_then(|value| value.to_str().ok());
        let token = token.ok_or("its answer has no X-Subject-Token")?;
        let TokenDocument { token: said } = serde_json::from_slice(&reply.body)
            .map_err(|_| "its answer is not that of the Identity API v3")?;
        let lifetime = said.lifetime().unwrap_or(UNKNOWN_LIFETIME);
        let compute = match &self.settings.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => catalog::compute(&said.catalog, &self.settings)?,
        };
        Ok(Session {
            token: Secret::from(token),
            compute: catalog::versioned(compute),
            renewal: Instant::now() + lifetime.saturating_sub(EARLY.min(lifetime / 10)),
        })
    }
}

/// The body of Keystone's response.
#[derive(Deserialize)]
struct TokenDocument {
    token: SaidToken,
}

#[derive(Deserialize)]
struct SaidToken {
    issued_at: Option<String>,
    expires_at: Option<String>,
    #[serde(default)]
    catalog: Vec<Service>,
}

impl SaidToken {
    /// The lifetime, which does not depend on the clock of this machine.
    fn lifetime(&self) -> Option<Duration> {
        let (issued, expires) = (self.issued_at.as_deref()?, self.expires_at.as_deref()?);
        let lifetime = parse_time(expires)? - parse_time(issued)?;
        lifetime.try_into().ok()
    }
}

/// Parses a time such as `2026-11-30T03:43:00.000000Z`, to the second.
fn parse_time(text: &str) -> Option<PrimitiveDateTime> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u16>().ok();
    let small = |range| u8::try_from(number(range)?).ok();
    let month = Month::try_from(small(5..7)?).ok()?;
    let date = Date::from_calendar_date(i32::from(number(0..4)?), month, small(8..10)?).ok()?;
    let time = Time::from_hms(small(11..13)?, small(14..16)?, small(17..19)?).ok()?;
    Some(PrimitiveDateTime::new(date, time))
}

/// The body of a login.
fn login_body(login: &NovaLogin, secret: &Secret) -> Value {
    let domain = |domain: &Domain| match domain {
        Domain::Name(name) => json!({ "name": name }),
        Domain::Id(id) => json!({ "id": id }),
    };
    match login {
        NovaLogin::Password {
            user,
            user_domain,
            project,
            project_domain,
            ..
        } => json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": user, "domain": domain(user_domain), "password": secret.reveal(),
            }}},
            "scope": {"project": {"name": project, "domain": domain(project_domain)}},
        }}),
        // A credential has its project, and Keystone refuses one that is named beside it.
        NovaLogin::ApplicationCredential { id, .. } => json!({"auth": {
            "identity": {"methods": ["application_credential"], "application_credential": {
                "id": id, "secret": secret.reveal(),
            }},
        }}),
    }
}

/// The reason for a failed login.
fn explain(status: StatusCode, login: &NovaLogin) -> String {
    match status {
        StatusCode::UNAUTHORIZED => {
            format!(
                "it refuses {login} (401): the name, a domain, the project or the secret is wrong"
            )
        }
        StatusCode::NOT_FOUND | StatusCode::MULTIPLE_CHOICES => {
            format!("there is no Identity API v3 ({status}); see auth-url")
        }
        _ => format!("it answered {status} to the login of {login}"),
    }
}

/// Reads the secret for each login, so that it can be changed.
async fn read_secret(place: &SecretLocation) -> Result<Secret, String> {
    let text = match place {
        SecretLocation::Environment(name) => {
            std::env::var(name).map_err(|_| "the variable is not set, or not UTF-8".to_owned())?
        }
        SecretLocation::File(file) => {
            let path = file.path();
            let read = spawn_blocking(move || read_private(&path)).await;
            read.map_err(|error| error.to_string())??
        }
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        Err("it is empty".to_owned())
    } else {
        Ok(Secret::from(text))
    }
}

fn read_private(path: &Path) -> Result<String, String> {
    let mode = fs::metadata(path).map_or(0, |found| found.permissions().mode());
    if mode & 0o007 != 0 {
        return Err("every user of this machine has access to it; chmod o= it".to_owned());
    }
    read_text(path, LARGEST_SECRET).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lifetime_of_a_login_is_the_time_between_its_ends() {
        let said = |issued: &str, expires: &str| SaidToken {
            issued_at: Some(issued.to_owned()),
            expires_at: Some(expires.to_owned()),
            catalog: Vec::new(),
        };
        for (issued, expires, seconds) in [
            (
                "2026-11-30T23:59:59.000000Z",
                "2026-12-01T00:59:59.000000Z",
                Some(3600),
            ),
            ("2024-02-28T12:00:00Z", "2024-02-29T12:00:01Z", Some(86401)),
            ("2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z", None),
            ("yesterday", "2026-01-01T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", "2026-01-01T00:00:00Z", None),
        ] {
            let lifetime = said(issued, expires).lifetime();
            assert_eq!(lifetime.map(|time| time.as_secs()), seconds, "{issued}");
        }
    }

    #[test]
    fn an_application_credential_has_its_project() {
        let secret = Secret::from("soup");
        let credential = NovaLogin::ApplicationCredential {
            id: "ID".to_owned(),
            secret: SecretLocation::Environment("X".to_owned()),
        };
        let asked = login_body(&credential, &secret);
        assert_eq!(asked.pointer("/auth/scope"), None);
        let user = NovaLogin::Password {
            user: "nova".to_owned(),
            user_domain: Domain::Id("default".to_owned()),
            project: "service".to_owned(),
            project_domain: Domain::default(),
            password: SecretLocation::Environment("X".to_owned()),
        };
        let asked = login_body(&user, &secret);
        let at = |place: &str| asked.pointer(place).and_then(Value::as_str);
        assert_eq!(
            at("/auth/identity/password/user/domain/id"),
            Some("default")
        );
        assert_eq!(at("/auth/scope/project/domain/name"), Some("Default"));
        assert_eq!(at("/auth/identity/password/user/password"), Some("soup"));
    }
}
