//! Connects to an endpoint within a time limit; errors name the cause.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::sleep;

use crate::config::Endpoint;
use crate::net::Socket;

/// Delay before another attempt at a UNIX socket whose backlog is full.
const FULL_QUEUE: Duration = Duration::from_millis(10);

/// Reasons why connecting to an endpoint failed. The text names the endpoint and, if there is one, the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The connection was not established within the limit.
    #[error("connect to {endpoint}: no answer within {limit:?}")]
    Slow {
        /// The endpoint.
        endpoint: Endpoint,
        /// The time limit.
        limit: Duration,
    },
    /// The connection was refused: no program listens there, the socket file is missing, or access is denied or
    /// not permitted.
    #[error("connect to {endpoint}: {}", explain(.source))]
    Refused {
        /// The endpoint.
        endpoint: Endpoint,
        /// The error of the system.
        source: io::Error,
    },
}

/// Connects once, within `limit`.
///
/// # Errors
/// [`ConnectError`] names the endpoint and the reason.
pub(crate) async fn connect(endpoint: &Endpoint, limit: Duration) -> Result<Socket, ConnectError> {
    connect_if(endpoint, limit, |_| true).await
}

/// Connects once, within `limit`, and only to addresses that `permits` accepts.
///
/// # Errors
/// [`ConnectError`] names the endpoint and the reason.
pub(crate) async fn connect_if(
    endpoint: &Endpoint,
    limit: Duration,
    permits: impl Fn(IpAddr) -> bool,
) -> Result<Socket, ConnectError> {
    match tokio::time::timeout(limit, open(endpoint, permits)).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(source)) => Err(ConnectError::Refused {
            endpoint: endpoint.clone(),
            source,
        }),
        Err(_) => Err(ConnectError::Slow {
            endpoint: endpoint.clone(),
            limit,
        }),
    }
}

async fn open(endpoint: &Endpoint, permits: impl Fn(IpAddr) -> bool) -> io::Result<Socket> {
    match endpoint {
        Endpoint::Tcp { host, port } => {
            // Resolved once: what is permitted is what is then connected to.
            let mut addresses: Vec<_> = lookup_host((host.as_str(), *port)).await?.collect();
            let found = !addresses.is_empty();
            addresses.retain(|address| permits(address.ip()));
            if found && addresses.is_empty() {
                return Err(io::Error::other(
                    "none of its addresses is permitted (`allow`; this machine, its link, metadata services and \
                     translated addresses need a rule of their own)",
                ));
            }
            let stream = TcpStream::connect(addresses.as_slice()).await?;
            // A keystroke must not wait for the acknowledgement of the one before it.
            stream.set_nodelay(true)?;
            Ok(Socket::Tcp(stream))
        }
        Endpoint::Unix(path) => loop {
            match UnixStream::connect(path).await {
                // Its queue is full. A TCP connection would wait in the network; here the system says so at
                // once, and nothing has reached the program yet.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(FULL_QUEUE).await,
                connected => return connected.map(Socket::Unix),
            }
        },
    }
}

/// The system's text, with the usual cause if the text alone does not explain it.
fn explain(error: &io::Error) -> String {
    let cause = match error.kind() {
        io::ErrorKind::NotFound => "no such socket; is the program behind it running?",
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there; is the program behind it running?"
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; the user Noren runs as may not write to this socket"
        }
        _ => return error.to_string(),
    };
    cause.to_owned()
}
