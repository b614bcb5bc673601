//! The client of a comparison: sends one request on a connection of its own, and reads the outcome.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use noren::{TlsTrust, tls_client};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Listener;
use super::requests::Request;
use super::stub::MARK;

/// Time limit of one response.
const LONGEST: Duration = Duration::from_secs(5);
/// Size limit of one response.
const LARGEST: u64 = 512 * 1024;

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// An app got the request.
    App(App),
    /// The server responded itself.
    Own { status: u16, location: String },
    /// There was no response.
    Nothing,
}

/// The request as an app received it, and the response as the client received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct App {
    pub(super) number: usize,
    /// Method and target of the request.
    pub(super) line: String,
    pub(super) request: BTreeMap<String, String>,
    pub(super) response: BTreeMap<String, String>,
}

/// Sends a request, and reads the response. A redirect of a path to itself with a final slash is followed, as clients
/// do.
pub(super) async fn ask(listener: &Listener, request: &Request) -> Reply {
    let answer = once(listener, request).await;
    let slash = format!("{}/", request.path);
    match &answer {
        Reply::Own {
            status: 301,
            location,
        } if location.ends_with(&slash) => {
            let path = slash;
            let request = Request {
                path,
                ..request.clone()
            };
            once(listener, &request).await
        }
        _ => answer,
    }
}

async fn once(listener: &Listener, request: &Request) -> Reply {
    let mut answer = Vec::new();
    // What has come until then counts: a server may leave the connection open.
    let _ = timeout(LONGEST, exchange(listener, request, &mut answer)).await;
    read(&String::from_utf8_lossy(&answer)).unwrap_or(Reply::Nothing)
}

async fn exchange(listener: &Listener, request: &Request, answer: &mut Vec<u8>) -> Result<()> {
    let stream = UnixStream::connect(&listener.socket).await?;
    if !listener.is_tls {
        return talk(stream, request, answer).await;
    }
    let config = tls_client(TlsTrust::Anyone)?.with_no_client_auth();
    let name = ServerName::try_from(request.host.clone()).context("a name for TLS")?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await?;
    talk(stream, request, answer).await
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &Request,
    answer: &mut Vec<u8>,
) -> Result<()> {
    stream.write_all(request.text().as_bytes()).await?;
    stream.flush().await?;
    // A server may end without the last words of TLS.
    let _ = stream.take(LARGEST).read_to_end(answer).await;
    Ok(())
}

fn read(text: &str) -> Option<Reply> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let response = headers(lines);
    // A body in chunks has the length of the first one before it.
    let Some((_, body)) = body.split_once(MARK) else {
        let location = response.get("location").cloned().unwrap_or_default();
        return Some(Reply::Own { status, location });
    };
    let (number, head) = body.split_once('\n')?;
    let mut lines = head.lines();
    let line = lines.next()?.rsplit_once(' ')?.0.to_owned();
    Some(Reply::App(App {
        number: number.parse().ok()?,
        line,
        request: headers(lines.take_while(|line| !line.is_empty())),
        response,
    }))
}

/// Collects headers by their names in lower case; lines of the same name are joined.
fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let known: &mut String = found.entry(name.to_ascii_lowercase()).or_default();
        if !known.is_empty() {
            known.push_str(", ");
        }
        known.push_str(value.trim());
    }
    found
}
