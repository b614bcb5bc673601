//! Hosts that have to be asked to connect to a console (`CONNECT PATH`, RFC 9110 §9.3.6) before it begins, as in some
//! clouds. Reads no byte behind the head, because it belongs to the console.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::config::Endpoint;
use crate::net::ConnectError;
use crate::tls::{DialError, Outgoing};

/// Size limit of the response head.
const LONGEST: usize = 4096;

/// Requests the host to connect to `path`.
///
/// # Errors
/// [`DialError`] names the endpoint and the reason.
pub(super) async fn connect_through(
    mut connection: Outgoing,
    endpoint: &Endpoint,
    path: &str,
    limit: Duration,
) -> Result<Outgoing, DialError> {
    let asked = timeout(limit, request_path(&mut connection, path)).await;
    let endpoint = endpoint.clone();
    match asked {
        Ok(Ok(())) => Ok(connection),
        Ok(Err(source)) => Err(ConnectError::Refused { endpoint, source }.into()),
        Err(_) => Err(ConnectError::Slow { endpoint, limit }.into()),
    }
}

async fn request_path(connection: &mut Outgoing, path: &str) -> io::Result<()> {
    let request = format!("CONNECT {path} HTTP/1.1\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    connection.flush().await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == LONGEST {
            return Err(io::Error::other("its answer to CONNECT has no end"));
        }
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default();
    let status = line.split(' ').nth(1).unwrap_or_default();
    if line.starts_with("HTTP/1.") && status == "200" {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "it answered CONNECT with {line:?}"
        )))
    }
}
