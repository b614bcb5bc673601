//! Connects to the target of a token, and starts its recording; errors become refusals. Does not know the visitor's
//! permissions.

use std::time::Duration;

use http::StatusCode;

use crate::bridge::{Connection, NotRecorded, Recorder, Tap};
use crate::clock::now_milliseconds;
use crate::http::Refusal;
use crate::net::ConnectError;
use crate::recording::Header;
use crate::rfb::{LoginError, Rules, Session};
use crate::service::audit_record::AuditRecord;
use crate::shutdown::Shutdown;
use crate::tls::{DialError, Outgoing};
use crate::tokens::Target;

/// Connects to a target once, before the handshake is accepted, so that a failure becomes an HTTP response.
pub(super) async fn connect(target: &Target, limit: Duration) -> Result<Outgoing, Refusal> {
    let socket = target.connect(limit).await;
    socket.map_err(|error| {
        let (status, reason) = match error {
            DialError::Slow { .. } | DialError::Connect(ConnectError::Slow { .. }) => (
                StatusCode::GATEWAY_TIMEOUT,
                "the console behind this token did not respond in time",
            ),
            DialError::Handshake { .. } => (
                StatusCode::BAD_GATEWAY,
                "the console behind this token cannot be connected to safely",
            ),
            DialError::Connect(ConnectError::Refused { .. }) => (
                StatusCode::BAD_GATEWAY,
                "the console behind this token is not running",
            ),
        };
        Refusal::new(status, reason).because(&error)
    })
}

/// The header of a recording, with the client of an audit record.
pub(super) fn header(target: &Target, audit: &AuditRecord) -> Header {
    let client = audit.client();
    let mut header = Header::new(now_milliseconds(), target.to_string(), client.peer);
    header.console.clone_from(&audit.object().console);
    let user = client.user.or(client.login).or(client.certificate);
    header.user = user.map(|user| user.to_string());
    header
}

/// Starts to record a console, if the configuration says so.
pub(super) async fn record(
    recorder: Option<&Recorder>,
    target: &Target,
    header: Header,
    tasks: &Shutdown,
) -> Result<Option<Tap>, Refusal> {
    let Some(recorder) = recorder else {
        return Ok(None);
    };
    let tap = recorder.begin(&target.name, header, tasks).await;
    tap.map_err(|error: NotRecorded| {
        let reason = "this console is only opened when it can be recorded, which is not so now";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason).because(&error)
    })
}

/// A host that accepts the connection and refuses Noren's login: the reason for the browser, and the refusal for the
/// log.
pub(super) struct HostRefusal {
    pub(super) reason: &'static str,
    /// Time limit for the browser to send its version.
    pub(super) limit: Duration,
    pub(super) refusal: Refusal,
}

/// Reasons why a client gets no console.
pub(super) enum NotConnected {
    Refused(Refusal),
    HostRefusal(HostRefusal),
}

impl From<Refusal> for NotConnected {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<HostRefusal> for NotConnected {
    fn from(turned_away: HostRefusal) -> Self {
        Self::HostRefusal(turned_away)
    }
}

/// Performs the RFB handshake with the target, if Noren is to speak RFB with it.
pub(super) async fn log_in(
    connection: Outgoing,
    target: &Target,
    rules: Option<Rules>,
    audit: &mut AuditRecord,
) -> Result<Connection, HostRefusal> {
    let (Some(rfb), Some(rules)) = (target.rfb(), rules) else {
        return Ok(Connection::Raw(connection));
    };
    let login = &rfb.login;
    let performed = login.perform(connection, &target.endpoint, target.password.as_ref());
    let host = performed.await.map_err(|error: LoginError| {
        let (status, reason) = if error.is_slow() {
            (
                StatusCode::GATEWAY_TIMEOUT,
                "the console behind this token did not respond in time",
            )
        } else {
            (
                StatusCode::BAD_GATEWAY,
                "the console behind this token refuses Noren; the log of Noren says why",
            )
        };
        HostRefusal {
            reason,
            limit: login.limit(),
            refusal: Refusal::new(status, reason).because(&error),
        }
    })?;
    audit.secured(host.method, rules);
    let session = Session::new(host, login.limit(), rules);
    Ok(Connection::Rfb(Box::new(session)))
}
