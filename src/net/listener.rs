//! Listening sockets: TCP (dual-stack), UNIX, or inherited from systemd.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket as RawSocket, TcpKeepalive, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::config::ListenAddress;
use crate::net::{OwnedPath, Peer, Socket, check_unix, listen_unix};
use crate::text::Reason;

/// Accept backlog in the kernel. A page that returns to 5,000 browsers at once must not lose most of them; the
/// kernel lowers this to `net.core.somaxconn` by itself.
const BACKLOG: i32 = 4096;

/// TCP keep-alive: idle time before the first probe, and interval of further probes.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Reason for a host name without an address.
const NO_ADDRESS: &str = "the name has no address";

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    inner: Inner,
    address: BoundAddress,
    /// The address as the configuration spells it.
    name: String,
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Path of the socket file; `None` for a socket of systemd, which removes the file itself.
        path: Option<OwnedPath>,
    },
}

/// The actual address of a listener, with its real port.
#[derive(Clone, Debug, PartialEq, Eq)]
enum BoundAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Failure to open a listener.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}: {reason}")]
pub struct BindError {
    address: String,
    reason: Reason,
}

impl BindError {
    /// The file or directory, if this user may not use it.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        self.reason.denied()
    }
}

/// Inherited sockets: those of systemd by name (`sd_listen_fds(3)`), and those of a process that this one replaces, by
/// the addresses in its configuration.
pub(crate) struct Inherited {
    sockets: ListenFd,
    names: Vec<String>,
    /// Sockets of systemd that were taken to read their addresses, each with its index among the names.
    seen: Vec<(usize, std::net::TcpListener)>,
    handed: Vec<(String, OwnedFd)>,
}

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inherited")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Inherited {
    /// Takes the sockets of systemd from the environment; empty if there are none.
    #[must_use]
    pub(crate) fn from_env() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        Self {
            sockets: ListenFd::from_env(),
            names: names.split(':').map(str::to_owned).collect(),
            seen: Vec::new(),
            handed: Vec::new(),
        }
    }

    /// Adds the sockets of another process.
    #[must_use]
    pub(crate) fn with(mut self, handed: Vec<(String, OwnedFd)>) -> Self {
        self.handed = handed;
        self
    }

    /// The socket that another process has used for this address.
    fn handed(&mut self, address: &ListenAddress) -> Option<OwnedFd> {
        let name = address.to_string();
        let index = self.handed.iter().position(|(known, _)| *known == name)?;
        Some(self.handed.remove(index).1)
    }

    /// The socket of systemd that listens at exactly this address, if there is one: the port is open already, and
    /// belongs to this process. So a configuration that names the address, or has no listener, works together with a
    /// socket unit.
    fn with_address(&mut self, name: &str) -> Option<std::net::TcpListener> {
        if self.sockets.len() == 0 {
            return None;
        }
        for index in 0..self.sockets.len() {
            if let Ok(Some(listener)) = self.sockets.take_tcp_listener(index) {
                self.seen.push((index, listener));
            }
        }
        let wanted: Vec<SocketAddr> = name.to_socket_addrs().ok()?.collect();
        let place = self.seen.iter().position(|(_, listener)| {
            listener
                .local_addr()
                .is_ok_and(|address| wanted.contains(&address))
        })?;
        Some(self.seen.remove(place).1)
    }

    fn take(&mut self, name: &str) -> Result<(Inner, BoundAddress), Reason> {
        if self.sockets.len() == 0 {
            return Err(
                "systemd passed no socket; start Noren through its noren.socket unit".into(),
            );
        }
        let index = self
            .names
            .iter()
            .position(|known| known == name)
            .ok_or_else(|| {
                let known = self.names.join(", ");
                Reason::from(format!(
                    "systemd passed no socket of this name; set FileDescriptorName={name} \
                                  (there is: {known})"
                ))
            })?;
        let described = |error: io::Error| Reason::from(error.to_string());
        let seen = self.seen.iter().position(|(place, _)| *place == index);
        let seen = seen.map(|place| self.seen.remove(place).1);
        // The kind of socket is not known beforehand, and a wrong guess leaves it in its place.
        if let Some(listener) = seen.or(self.sockets.take_tcp_listener(index).ok().flatten()) {
            return adopt_tcp(listener);
        }
        match self.sockets.take_unix_listener(index) {
            Ok(Some(listener)) => {
                let address = listener.local_addr().map_err(described)?;
                let path = address.as_pathname().unwrap_or(Path::new("")).to_owned();
                listener.set_nonblocking(true).map_err(described)?;
                let listener = UnixListener::from_std(listener).map_err(described)?;
                Ok((
                    Inner::Unix {
                        listener,
                        path: None,
                    },
                    BoundAddress::Unix(path),
                ))
            }
            Ok(None) => Err("this socket is already used by another listener".into()),
            Err(error) => Err(described(error)),
        }
    }
}

impl Listener {
    /// Opens the socket. `mode` is the file mode of a UNIX socket.
    ///
    /// # Errors
    /// [`BindError`] names the address and the remedy.
    pub(crate) fn bind(
        address: &ListenAddress,
        mode: u32,
        inherited: &mut Inherited,
    ) -> Result<Self, BindError> {
        let handed = inherited.handed(address);
        let bound = match (address, handed) {
            (_, Some(socket)) => adopt(address, socket).map_err(|error| error.to_string().into()),
            (ListenAddress::Tcp(name), None) => match inherited.with_address(name) {
                Some(listener) => adopt_tcp(listener),
                None => bind_tcp(name),
            },
            (ListenAddress::Unix(path), None) => bind_unix(path, mode),
            (ListenAddress::Systemd(name), None) => inherited.take(name),
        };
        let (inner, bound) = bound.map_err(|reason| BindError {
            address: address.to_string(),
            reason,
        })?;
        Ok(Self {
            inner,
            address: bound,
            name: address.to_string(),
        })
    }

    /// Checks that the socket can be opened, as far as that is possible without opening it.
    ///
    /// # Errors
    /// As for [`bind`](Self::bind).
    pub(crate) fn check(address: &ListenAddress) -> Result<(), BindError> {
        let looked = match address {
            ListenAddress::Tcp(name) => check_tcp(name),
            ListenAddress::Unix(path) => check_unix(path),
            // Only systemd knows.
            ListenAddress::Systemd(_) => Ok(()),
        };
        looked.map_err(|reason| BindError {
            address: address.to_string(),
            reason,
        })
    }

    /// The address as the configuration spells it.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The descriptor, to be passed to another process.
    #[must_use]
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.inner {
            Inner::Tcp(listener) => listener.as_fd(),
            Inner::Unix { listener, .. } => listener.as_fd(),
        }
    }

    /// Sets if the socket file belongs to another process. It does while either of two processes may still have to
    /// serve alone.
    pub(crate) fn give_away(&self, away: bool) {
        if let Inner::Unix {
            path: Some(path), ..
        } = &self.inner
        {
            path.give_away(away);
        }
    }

    /// The TCP address with its real port; `None` for a UNIX socket.
    #[must_use]
    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        match self.address {
            BoundAddress::Tcp(address) => Some(address),
            BoundAddress::Unix(_) => None,
        }
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// The error of accept(2); most of them are temporary, see the server's accept loop.
    pub(crate) async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match &self.inner {
            Inner::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Socket::Tcp(stream), Peer::tcp(address)))
            }
            Inner::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::Unix(stream), Peer::Unix))
            }
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            BoundAddress::Tcp(address) => address.fmt(f),
            BoundAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Takes over a socket of another process.
fn adopt(address: &ListenAddress, socket: OwnedFd) -> io::Result<(Inner, BoundAddress)> {
    let socket = RawSocket::from(socket);
    let local = socket.local_addr()?;
    let Some(path) = local.as_pathname() else {
        let listener = std::net::TcpListener::from(socket);
        let bound = listener.local_addr()?;
        return Ok((tcp(listener)?, BoundAddress::Tcp(bound)));
    };
    let listener = std::os::unix::net::UnixListener::from(OwnedFd::from(socket));
    listener.set_nonblocking(true)?;
    let own = match address {
        ListenAddress::Systemd(_) => None,
        _ => OwnedPath::of(path).ok(),
    };
    // It is the other process's until that has retired.
    if let Some(own) = &own {
        own.give_away(true);
    }
    let inner = Inner::Unix {
        listener: UnixListener::from_std(listener)?,
        path: own,
    };
    Ok((inner, BoundAddress::Unix(path.to_owned())))
}

fn bind_tcp(name: &str) -> Result<(Inner, BoundAddress), Reason> {
    let described = |error: io::Error| Reason::from(error.to_string());
    let mut reason = NO_ADDRESS.into();
    for address in name.to_socket_addrs().map_err(described)? {
        match listen_on(address) {
            Ok(listener) => {
                let bound = listener.local_addr().map_err(described)?;
                let listener = tcp(listener).map_err(described)?;
                return Ok((listener, BoundAddress::Tcp(bound)));
            }
            Err(error) => reason = explain(&error, address).into(),
        }
    }
    Err(reason)
}

/// Checks that the name has an address of this machine. The port is not tried: the process that this one will replace
/// may use it, or only systemd may open it.
fn check_tcp(name: &str) -> Result<(), Reason> {
    let described = |error: io::Error| Reason::from(error.to_string());
    let mut reason = NO_ADDRESS.into();
    for address in name.to_socket_addrs().map_err(described)? {
        let kind = Domain::for_address(address);
        let socket = RawSocket::new(kind, Type::STREAM, Some(Protocol::TCP));
        let any_port = SocketAddr::new(address.ip(), 0);
        match socket.and_then(|socket| socket.bind(&any_port.into())) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                reason = described(error);
            }
            Ok(()) | Err(_) => return Ok(()),
        }
    }
    Err(reason)
}

fn listen_on(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = RawSocket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // `[::]` means every address of the machine, IPv4 too, whatever net.ipv6.bindv6only says.
        socket.set_only_v6(false)?;
    }
    // Inherited by what is accepted: a client that vanished is found, whatever is spoken with it.
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEP_ALIVE)
            .with_interval(KEEP_ALIVE),
    )?;
    // Without it, a restart has to wait for the last connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes over a TCP socket that listens already.
fn adopt_tcp(listener: std::net::TcpListener) -> Result<(Inner, BoundAddress), Reason> {
    let described = |error: io::Error| Reason::from(error.to_string());
    let address = listener.local_addr().map_err(described)?;
    Ok((
        tcp(listener).map_err(described)?,
        BoundAddress::Tcp(address),
    ))
}

fn tcp(listener: std::net::TcpListener) -> io::Result<Inner> {
    listener.set_nonblocking(true)?;
    Ok(Inner::Tcp(TcpListener::from_std(listener)?))
}

fn explain(error: &io::Error, address: SocketAddr) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("another program listens on port {port} already; `ss -ltnp` shows which")
        }
        io::ErrorKind::PermissionDenied => format!(
            "permission denied; either ports below 1024, which need CAP_NET_BIND_SERVICE, or the unit of \
             the service, which opens ports by noren.socket only: write address = \"systemd:https\", or use \
                 its drop-in own-ports.conf (port {port})"
        ),
        _ => error.to_string(),
    }
}

fn bind_unix(path: &Path, mode: u32) -> Result<(Inner, BoundAddress), Reason> {
    let (listener, owned) = listen_unix(path, mode, BACKLOG)?;
    owned.keep_directory();
    let listener = UnixListener::from_std(listener).map_err(|error| error.to_string())?;
    let inner = Inner::Unix {
        listener,
        path: Some(owned),
    };
    Ok((inner, BoundAddress::Unix(path.to_owned())))
}
