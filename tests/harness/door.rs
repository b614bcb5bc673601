//! The server under test, on ports of its own.

use std::net::SocketAddr;
use std::sync::Once;

use noren::{Config, Drained, Handle, Server};
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

use super::tls::{Identity, connector};
use super::wire::Wire;
use super::within;

/// The host name of the door's certificate, and the `Host` of ordinary requests.
const NAME: &str = "door.example";

/// A running server with an `https` and an `http` listener.
pub(crate) struct Door {
    pub https: SocketAddr,
    pub http: SocketAddr,
    /// The addresses of further listeners.
    pub others: Vec<SocketAddr>,
    /// The address of `[admin]`.
    pub admin: Option<SocketAddr>,
    pub handle: Handle,
    /// The certificate of `door.example`.
    pub trusted: CertificateDer<'static>,
    /// Listeners and certificate, for a reload.
    pub base: String,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Drained>,
    _directory: TempDir,
}

impl Door {
    /// Opens a door with all of a configuration but the listeners and the certificate.
    pub(crate) async fn open(settings: &str) -> Self {
        Self::open_with_listener("", settings).await
    }

    /// The same, with further keys of the https listener.
    #[expect(
        clippy::unused_async,
        reason = "sockets are opened inside a runtime, which being a future makes sure of"
    )]
    pub(crate) async fn open_with_listener(keys: &str, settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::new(directory.path(), &[NAME, "also.example"]);
        let listener =
            |protocol| format!("[[listener]]\naddress = '127.0.0.1:0'\nprotocol = '{protocol}'\n");
        let base = format!(
            "{}{keys}{}{}",
            listener("https"),
            listener("http"),
            identity.settings
        );
        let server = bind(&format!("{base}{settings}"));
        let addresses = server.local_addrs();
        let admin = server.admin_addr();
        let handle = server.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self {
            https: addresses[0],
            http: addresses[1],
            others: addresses[2..].to_vec(),
            admin,
            handle,
            trusted: identity.certificate,
            base,
            stop,
            running,
            _directory: directory,
        }
    }

    /// A connection without TLS.
    pub(crate) async fn plain(&self) -> Wire {
        Wire::new(self.plain_socket().await)
    }

    /// The same from another address of this machine: 127.0.0.1 to 127.255.255.254 are all its own.
    pub(crate) async fn plain_from(&self, address: &str) -> Wire {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(format!("{address}:0").parse().unwrap())
            .unwrap();
        Wire::new(socket.connect(self.http).await.unwrap())
    }

    pub(crate) async fn plain_socket(&self) -> TcpStream {
        TcpStream::connect(self.http).await.unwrap()
    }

    /// A connection with TLS and HTTP/1.1.
    pub(crate) async fn tls(&self) -> Wire {
        Wire::new(self.tls_stream("http/1.1").await)
    }

    /// A verified TLS connection with this application protocol.
    pub(crate) async fn tls_stream(&self, protocol: &str) -> TlsStream<TcpStream> {
        let socket = TcpStream::connect(self.https).await.unwrap();
        let name = ServerName::try_from(NAME).unwrap();
        let connector = connector(&self.trusted, protocol);
        within("the TLS handshake", connector.connect(name, socket))
            .await
            .unwrap()
    }

    /// An open WebSocket over TLS; the bridge's, if the path is.
    pub(crate) async fn websocket(&self, path: &str) -> Wire {
        let mut client = self.tls().await;
        let answer = client.ask(&Self::handshake(path, "")).await;
        assert_eq!(answer.status, 101, "{}", answer.text());
        assert_eq!(
            answer.head.one("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        client
    }

    /// The opening handshake of RFC 6455 §1.3, with further header lines.
    pub(crate) fn handshake(path: &str, lines: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
        )
    }

    /// A GET without anything special, with further header lines.
    pub(crate) fn get(path: &str, lines: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\n{lines}\r\n")
    }

    /// Asks the server to stop; what is returned waits for it.
    pub(crate) fn stop(self) -> JoinHandle<Drained> {
        let _ = self.stop.send(());
        self.running
    }
}

/// A server that does not run yet.
pub(crate) fn bind(settings: &str) -> Server {
    keep_log_lines_alive();
    let config = Config::parse(settings, "test.toml").unwrap_or_else(|error| panic!("{error}"));
    Server::bind(config).unwrap_or_else(|error| panic!("{error}"))
}

/// Installs a process-wide subscriber that takes no line, so that each line asks the subscriber of its own thread.
///
/// Without one, a line that is first written by a thread without a subscriber may be cached as wanted by none, for
/// good, while the test that waits for it installs its own on another thread (tracing-core, `Interest::never`).
fn keep_log_lines_alive() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let deaf = tracing_subscriber::registry().with(dynamic_filter_fn(|_, _| false));
        tracing::subscriber::set_global_default(deaf).unwrap();
    });
}
