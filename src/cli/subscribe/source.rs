//! The server to which a terminal subscribes, a URL or the admin socket, and the connection to it. Does not parse
//! events.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use http::Uri;
use hyper_util::rt::TokioIo;
use noren::TlsTrust;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::cli::admin;

/// Time limit for connecting, including the handshake.
const CONNECT: Duration = Duration::from_secs(15);

/// The source of the messages.
pub(super) struct Source {
    /// The `Host` header.
    pub(super) host: String,
    /// The path and query.
    pub(super) target: String,
    transport: Transport,
}

enum Transport {
    Admin(PathBuf),
    Web {
        host: String,
        port: u16,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    },
}

/// The server certificates to trust.
pub(super) enum Trust {
    /// Certificates that the system trusts.
    System,
    /// Certificates in this file, and those that they have signed.
    File(PathBuf),
    /// Every certificate.
    Anyone,
}

/// A stream of bytes, with or without TLS.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// A connection.
pub(super) type Connected = TokioIo<Pin<Box<dyn Duplex>>>;

/// Failure to connect.
pub(super) struct Unreachable {
    pub(super) reason: anyhow::Error,
    /// True if another attempt cannot succeed.
    pub(super) lasting: bool,
}

impl Source {
    /// A source of channels of the Noren on this machine.
    pub(super) fn admin(socket: PathBuf, channels: &[String]) -> Self {
        Self {
            host: "localhost".to_owned(),
            target: format!("/events/{}?format=json", channels.join(",")),
            transport: Transport::Admin(socket),
        }
    }

    /// A source at a URL of any Noren.
    pub(super) fn url(text: &str, trust: &Trust) -> anyhow::Result<Self> {
        let uri: Uri = text
            .parse()
            .with_context(|| format!("{text} is not a URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            bail!("{text} is not a URL; write https://host:8001/events/CHANNEL");
        };
        ensure!(
            !authority.as_str().contains('@'),
            "{text}: a URL has no user name; use --header"
        );
        let query = uri.query().unwrap_or_default();
        let sets_format = query.split('&').any(|field| field.starts_with("format="));
        ensure!(
            !sets_format,
            "{text}: leave out format=, it is chosen here; --json prints envelopes"
        );
        let sign = if query.is_empty() { "?" } else { "&" };
        let path = uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        let path = path.trim_end_matches('?');
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        let (tls, port) = match scheme {
            "https" => {
                let name = ServerName::try_from(host.to_owned())
                    .with_context(|| format!("{text}: {host} is no name of a host"))?;
                (Some((Arc::new(trust.config()?), name)), 443)
            }
            "http" => (None, 80),
            other => bail!("{text}: messages come over https or http, not {other}"),
        };
        Ok(Self {
            host: authority.as_str().to_owned(),
            target: format!("{path}{sign}format=json"),
            transport: Transport::Web {
                host: host.to_owned(),
                port: authority.port_u16().unwrap_or(port),
                tls,
            },
        })
    }

    /// Connects once.
    pub(super) async fn connect(&self) -> Result<Connected, Unreachable> {
        let connecting = tokio::time::timeout(CONNECT, self.try_connect());
        let connected = connecting.await.unwrap_or_else(|_| {
            let reason = anyhow!("connect to {}: no answer within {CONNECT:?}", self.host);
            Err(Unreachable {
                reason,
                lasting: false,
            })
        });
        connected.map(TokioIo::new)
    }

    async fn try_connect(&self) -> Result<Pin<Box<dyn Duplex>>, Unreachable> {
        match &self.transport {
            Transport::Admin(path) => admin::connect(path)
                .await
                .map(|stream| Box::pin(stream.into_inner()) as Pin<Box<dyn Duplex>>)
                .map_err(|reason| Unreachable {
                    reason,
                    lasting: false,
                }),
            Transport::Web { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                let stream = stream.map_err(|error| self.unreachable(error))?;
                let Some((config, name)) = tls else {
                    return Ok(Box::pin(stream));
                };
                let connector = TlsConnector::from(Arc::clone(config));
                match connector.connect(name.clone(), stream).await {
                    Ok(stream) => Ok(Box::pin(stream)),
                    Err(error) => Err(self.unreachable(error)),
                }
            }
        }
    }

    fn unreachable(&self, error: io::Error) -> Unreachable {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let lasting = matches!(inner, Some(rustls::Error::InvalidCertificate(_)));
        let reason = anyhow!(error).context(format!("connect to {}", self.host));
        Unreachable {
            reason: if lasting {
                reason.context("the certificate is not trusted; name one with --ca FILE, or take any with --insecure")
            } else {
                reason
            },
            lasting,
        }
    }
}

impl Trust {
    fn config(&self) -> anyhow::Result<ClientConfig> {
        let builder = match self {
            Self::System => noren::tls_client(TlsTrust::System).context("use --ca FILE")?,
            Self::File(file) => noren::tls_client(TlsTrust::File(file))?,
            Self::Anyone => noren::tls_client(TlsTrust::Anyone)?,
        };
        let mut config = builder.with_no_client_auth();
        // One stream is all there is: HTTP/2 has nothing to offer here.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
