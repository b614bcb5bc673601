//! An app or a console behind the server, played by the test.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::wire::Wire;
use super::within;

/// A listening socket that accepts when the test says so.
pub(crate) struct Backend {
    listener: Listening,
    address: String,
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Backend {
    pub(crate) async fn tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            address: listener.local_addr().unwrap().to_string(),
            listener: Listening::Tcp(listener),
        }
    }

    pub(crate) fn unix(path: &Path) -> Self {
        Self {
            listener: Listening::Unix(UnixListener::bind(path).unwrap()),
            address: format!("unix:{}", path.display()),
        }
    }

    /// `host:port` or `unix:/path`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The `[[app]]` that leads here; further keys of it may follow.
    pub(crate) fn app(&self) -> String {
        let scheme = match self.listener {
            Listening::Tcp(_) => "http://",
            Listening::Unix(_) => "",
        };
        format!("[[app]]\nname = 'app'\nurl = '{scheme}{}'\n", self.address)
    }

    /// The `[[bridge.target]]` that leads here.
    pub(crate) fn target(&self, token: &str) -> String {
        format!(
            "[[bridge.target]]\ntoken = '{token}'\naddress = '{}'\n",
            self.address
        )
    }

    /// The next connection of the door.
    pub(crate) async fn accept(&self) -> Wire {
        within("the door to connect", async {
            match &self.listener {
                Listening::Tcp(listener) => Wire::new(listener.accept().await.unwrap().0),
                Listening::Unix(listener) => Wire::new(listener.accept().await.unwrap().0),
            }
        })
        .await
    }

    /// The same as a socket, for a test that resets it.
    pub(crate) async fn accept_tcp(&self) -> TcpStream {
        let Listening::Tcp(listener) = &self.listener else {
            panic!("this backend listens on a UNIX socket");
        };
        within("the door to connect", listener.accept())
            .await
            .unwrap()
            .0
    }

    /// Fails if a connection waits to be accepted. The listener is given a moment to notice it: on loopback a
    /// connection is there as soon as the door has asked for it.
    pub(crate) async fn has_nobody(&self) {
        let moment = Duration::from_millis(30);
        let came = match &self.listener {
            Listening::Tcp(listener) => tokio::time::timeout(moment, listener.accept())
                .await
                .is_ok(),
            Listening::Unix(listener) => tokio::time::timeout(moment, listener.accept())
                .await
                .is_ok(),
        };
        assert!(!came, "the door has connected");
    }
}

/// A listening socket whose queue is full, as that of a busy app: nobody can connect until it accepts.
pub(crate) struct FullBacklog {
    listener: Socket,
    address: String,
    /// Connections that fill the queue.
    filling: (Vec<TcpStream>, Vec<UnixStream>),
}

impl FullBacklog {
    pub(crate) async fn tcp() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&loopback.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        // The kernel drops what asks for a place beyond the queue, and the client asks again later.
        let moment = Duration::from_millis(100);
        while let Ok(connected) = tokio::time::timeout(moment, TcpStream::connect(address)).await {
            waiting.push(connected.unwrap());
        }
        Self {
            listener,
            address: address.to_string(),
            filling: (waiting, Vec::new()),
        }
    }

    pub(crate) async fn unix(path: &Path) -> Self {
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let mut waiting = Vec::new();
        while let Ok(connected) = UnixStream::connect(path).await {
            waiting.push(connected);
        }
        Self {
            listener,
            address: format!("unix:{}", path.display()),
            filling: (Vec::new(), waiting),
        }
    }

    /// `host:port` or `unix:/path`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Accepts what has waited, which makes room, and goes on as an ordinary backend.
    pub(crate) fn accept_waiting(self) -> Backend {
        for _ in 0..self.filling.1.len() {
            self.listener.accept().unwrap();
        }
        self.listener.set_nonblocking(true).unwrap();
        let listener = UnixListener::from_std(self.listener.into()).unwrap();
        Backend {
            listener: Listening::Unix(listener),
            address: self.address,
        }
    }
}
