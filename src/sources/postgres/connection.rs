//! One connection to a PostgreSQL server, over our own socket and TLS. It is polled by the task that uses it, so no
//! task is spawned, and no notification is lost between two queries.
//!
//! tokio-postgres implements the protocol. Must not know channels of the hub.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_postgres::config::SslMode as Wanted;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Connection, Error, Notification, Row};

use super::fault::error_text;
use super::passfile::password;
use crate::config::{Endpoint, PostgresServer, SslMode, TableName, TargetTls};
use crate::hub::PublishError;
use crate::net::{ConnectError, connect};
use crate::text::Reason;
use crate::tls::{Connector, DialError, Outgoing};

/// Time limit for opening a connection: TCP, TLS and the login.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// Time limit of a statement at the server.
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);
/// Time limit for the response to a statement, a little longer, so that a working server can report a timeout itself.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// Time limit for closing the connection.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// Silence after which the other end of the connection is probed, here and at the server: a machine that vanished
/// must not hold the lock of an outbox for the two hours that are the system's default.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The settings of a server, read and checked, ready to connect.
#[derive(Clone)]
pub(in super::super) struct Database {
    settings: PostgresServer,
    tls: Option<Connector>,
}

/// Reasons to give up the current connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Passfile(Reason),
    #[error("{0} did not answer within {1:?}")]
    Slow(String, Duration),
    #[error("the server closed the connection")]
    Closed,
    #[error("{0}")]
    Database(String),
    /// The row is not deleted, so it will be read again.
    #[error(transparent)]
    NotStored(#[from] PublishError),
}

/// Receives the notifications that arrive during a query.
pub(super) type Heard<'a> = &'a mut (dyn FnMut(&Notification) + Send);

type Link = Connection<Outgoing, Encrypted>;

/// An open connection.
pub(super) struct Session {
    client: Client,
    link: Link,
    server: PostgresServer,
}

impl Database {
    /// Reads the password and the certificates, so that errors in them are reported at the start.
    pub(in super::super) fn new(settings: &PostgresServer) -> Result<Self, Reason> {
        // Read again for each connection, so that a password can be changed; but missing is missing now.
        password(settings)?;
        let tls = match settings.mode {
            SslMode::Disable => None,
            mode => Some(TargetTls {
                ca: settings.ca.clone(),
                any_name: mode == SslMode::VerifyCa,
                ..TargetTls::default()
            }),
        };
        let connector = tls.as_ref().map(Connector::new).transpose();
        Ok(Self {
            tls: connector.map_err(|error| Reason::with_text(&error, error.denied()))?,
            settings: settings.clone(),
        })
    }

    /// Opens a connection and sets what Noren relies on.
    pub(super) async fn open(&self) -> Result<Session, ConnectionError> {
        let settings = &self.settings;
        let mut wanted = tokio_postgres::Config::new();
        wanted
            .user(&settings.user)
            .dbname(&settings.database)
            .application_name("noren")
            .ssl_mode(match self.tls {
                Some(_) => Wanted::Require,
                None => Wanted::Disable,
            });
        if let Some(password) = password(settings).map_err(ConnectionError::Passfile)? {
            wanted.password(password);
        }
        let endpoint = settings.endpoint();
        let socket = connect(&endpoint, OPEN_LIMIT).await?;
        socket.keep_alive(KEEPALIVE);
        let handshake = Handshake {
            connector: self.tls.clone(),
            endpoint,
        };
        let opened = timeout(
            OPEN_LIMIT,
            wanted.connect_raw(Outgoing::Left(socket), handshake),
        );
        let (client, link) = match opened.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => {
                return Err(ConnectionError::Database(error_text(
                    &error, settings, None,
                )));
            }
            Err(_) => return Err(ConnectionError::Slow(settings.to_string(), OPEN_LIMIT)),
        };
        let mut session = Session {
            client,
            link,
            server: settings.clone(),
        };
        session.run(preamble().as_str()).await?;
        Ok(session)
    }
}

/// Session settings that override those of the role: no statement waits for ever, each sees committed data, and the
/// server notices when Noren is gone.
fn preamble() -> String {
    format!(
        "SET client_min_messages = warning; SET statement_timeout = {}; \
         SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off; \
         SET tcp_keepalives_idle = {}; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3",
        STATEMENT_LIMIT.as_millis(),
        KEEPALIVE.as_secs()
    )
}

impl Session {
    /// Runs statements without a result. Notifications that arrive meanwhile are dropped.
    pub(super) async fn run(&mut self, statements: &str) -> Result<(), ConnectionError> {
        let work = self.client.batch_execute(statements);
        let mut heard = |_: &Notification| {};
        let driven = drive(&mut self.link, work, &mut heard);
        answered(driven, &self.server, None).await
    }

    /// Runs a query. `heard` receives the notifications that arrive meanwhile; `table` is named in an error.
    pub(super) async fn query(
        &mut self,
        table: Option<&TableName>,
        heard: Heard<'_>,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, ConnectionError> {
        let work = self.client.query(statement, parameters);
        let driven = drive(&mut self.link, work, heard);
        answered(driven, &self.server, table).await
    }

    /// Waits for the next notification. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Notification, ConnectionError> {
        loop {
            match poll_fn(|cx| self.link.poll_message(cx)).await {
                Some(Ok(AsyncMessage::Notification(notification))) => return Ok(notification),
                // Warnings of the server are for its own log.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return Err(ConnectionError::Database(error_text(
                        &error,
                        &self.server,
                        None,
                    )));
                }
                None => return Err(ConnectionError::Closed),
            }
        }
    }

    /// Closes the connection, so that the server releases the locks of the session at once.
    pub(super) async fn close(self) {
        let Self {
            client, mut link, ..
        } = self;
        drop(client);
        let ended = poll_fn(|cx| {
            loop {
                match link.poll_message(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        // It ends either way.
        let _ = timeout(CLOSE_LIMIT, ended).await;
    }
}

/// Waits for the response to a query, within its limit.
async fn answered<T>(
    driven: impl Future<Output = Result<T, Option<Error>>>,
    server: &PostgresServer,
    table: Option<&TableName>,
) -> Result<T, ConnectionError> {
    match timeout(ANSWER_LIMIT, driven).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(Some(error))) => Err(ConnectionError::Database(error_text(&error, server, table))),
        Ok(Err(None)) => Err(ConnectionError::Closed),
        Err(_) => Err(ConnectionError::Slow(server.to_string(), ANSWER_LIMIT)),
    }
}

/// Polls a query together with the connection it runs on. The error is `None` if the server closed the connection.
async fn drive<T>(
    link: &mut Link,
    work: impl Future<Output = Result<T, Error>>,
    heard: Heard<'_>,
) -> Result<T, Option<Error>> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done.map_err(Some));
            }
            match link.poll_message(cx) {
                Poll::Ready(Some(Ok(AsyncMessage::Notification(one)))) => heard(&one),
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Some(error))),
                Poll::Ready(None) => return Poll::Ready(Err(None)),
                // Its answer may have arrived just now; the query is woken then, which is this task.
                Poll::Pending => return work.as_mut().poll(cx).map_err(Some),
            }
        }
    })
    .await
}

/// TLS for a connection that has begun without (PostgreSQL documentation, section 55.2.10).
struct Handshake {
    connector: Option<Connector>,
    endpoint: Endpoint,
}

impl TlsConnect<Outgoing> for Handshake {
    type Stream = Encrypted;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Encrypted, DialError>> + Send>>;

    fn connect(self, stream: Outgoing) -> Self::Future {
        Box::pin(async move {
            match &self.connector {
                Some(connector) => connector
                    .upgrade(&self.endpoint, stream)
                    .await
                    .map(Encrypted),
                // Cannot be: without a connector no TLS is wanted.
                None => Ok(Encrypted(stream)),
            }
        })
    }
}

/// A connection after its handshake.
pub(super) struct Encrypted(Outgoing);

impl TlsStream for Encrypted {
    /// Offers no channel binding: the certificate is always verified, which is what the binding would add to a login.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
