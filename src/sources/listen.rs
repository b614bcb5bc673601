//! The `listen` source: a socket on which programs of this machine write messages. It is one-way: it sends no
//! replies, and a program may stay connected for ever.
//!
//! An invalid message is dropped, and its connection goes on. Independent of subscribers.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::{UnixDatagram, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::rejected::Rejections;
use super::sink::Sink;
use super::splitter::{Piece, Splitter};
use super::{CHUNK, Stop};
use crate::config::{Framing, Listen};
use crate::hub::Published;
use crate::net::{AcceptRetry, OwnedPath, bind_unix_datagram, listen_unix};
use crate::text::Reason;

/// Limit on connections to one socket. Each may hold an incomplete message.
const CONNECTIONS: usize = 64;

/// Listen backlog of the socket.
const BACKLOG: i32 = 128;

/// Size limit of a JSON object apart from its data: the longest event, key and channel, and their names.
const AROUND_DATA: usize = 1024;

/// An open socket.
#[derive(Debug)]
pub(super) struct PublishSocket {
    socket: Socket,
    path: OwnedPath,
}

#[derive(Debug)]
enum Socket {
    Stream(UnixListener),
    Datagram(UnixDatagram),
}

/// The rules for reading messages from a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) framing: Framing,
    pub(super) boundary: String,
    /// User ids that may write; if empty, the file mode decides alone.
    pub(super) users: Vec<u32>,
}

impl PublishSocket {
    pub(super) fn open(listen: &Listen) -> Result<Self, Reason> {
        let described = |error: io::Error| Reason::from(error.to_string());
        let (socket, path) = if listen.datagram {
            let (socket, path) = bind_unix_datagram(&listen.address, listen.mode)?;
            let socket = UnixDatagram::from_std(socket).map_err(described)?;
            (Socket::Datagram(socket), path)
        } else {
            let (socket, path) = listen_unix(&listen.address, listen.mode, BACKLOG)?;
            let socket = UnixListener::from_std(socket).map_err(described)?;
            (Socket::Stream(socket), path)
        };
        Ok(Self { socket, path })
    }

    /// The socket is in use from here on.
    pub(super) fn keep(&self) {
        self.path.keep_directory();
    }

    pub(super) fn is_datagram(&self) -> bool {
        matches!(self.socket, Socket::Datagram(_))
    }

    pub(super) fn set_mode(&self, mode: u32) -> Result<(), Reason> {
        self.path.set_mode(mode)
    }
}

/// Reads messages from a socket until the source is stopped.
pub(super) async fn serve(door: &PublishSocket, outlet: &Arc<Sink>, rules: Rules, stop: &Stop) {
    outlet.set_up();
    match &door.socket {
        Socket::Stream(listener) => accept_all(listener, outlet, Arc::new(rules), stop).await,
        Socket::Datagram(socket) => receive_all(socket, outlet, &rules).await,
    }
}

async fn accept_all(listener: &UnixListener, outlet: &Arc<Sink>, rules: Arc<Rules>, stop: &Stop) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut retry = AcceptRetry::default();
    loop {
        let (stream, uid) = match accept(listener).await {
            Ok(accepted) => accepted,
            Err(error) => {
                retry.after(&error, || report(outlet, &error)).await;
                continue;
            }
        };
        let _ = retry.ends();
        if !rules.users.is_empty() && !rules.users.contains(&uid) {
            outlet.refuse(Some(uid), &"`users` does not name this user");
            continue;
        }
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            let reason = format!("{CONNECTIONS} programs are connected already");
            outlet.refuse(Some(uid), &reason);
            continue;
        };
        let (outlet, rules, own_stop) = (Arc::clone(outlet), Arc::clone(&rules), stop.clone());
        stop.spawn(async move {
            own_stop.ends(converse(stream, uid, &outlet, &rules)).await;
            drop(place);
        });
    }
}

async fn accept(listener: &UnixListener) -> io::Result<(UnixStream, u32)> {
    let (stream, _) = listener.accept().await?;
    let uid = stream.peer_cred()?.uid();
    Ok((stream, uid))
}

/// Reads one connection to its end.
async fn converse(mut stream: UnixStream, uid: u32, outlet: &Sink, rules: &Rules) {
    let uid = Some(uid);
    let _counted = outlet.connected();
    let mut splitter = rules.splitter();
    let mut chunk = vec![0; CHUNK];
    let mut unkept = Rejections::default();
    loop {
        let limit = rules.longest(outlet.message_size());
        let read = tokio::select! {
            read = stream.read(&mut chunk), if !unkept.is_full() => read,
            () = unkept.settle(outlet) => continue,
        };
        match read {
            Ok(0) => {
                // The last line of `printf`, unlike a message that shall end with a boundary, may be whole.
                if rules.framing != Framing::Boundary
                    && let Some(piece) = splitter.rest(limit)
                {
                    unkept.push(uid, rules.take(outlet, uid, piece));
                }
                break;
            }
            Ok(count) => splitter.push(chunk.get(..count).unwrap_or_default()),
            Err(error) => {
                outlet.set_trouble(&error);
                break;
            }
        }
        while let Some(piece) = splitter.next(limit) {
            unkept.push(uid, rules.take(outlet, uid, piece));
        }
    }
    unkept.settle_all(outlet).await;
}

/// Receives datagrams, each of which is one message.
async fn receive_all(socket: &UnixDatagram, outlet: &Sink, rules: &Rules) {
    let splitter = rules.splitter();
    let mut buffer = Vec::new();
    let mut unkept = Rejections::default();
    let mut retry = AcceptRetry::default();
    loop {
        let limit = rules.longest(outlet.message_size());
        // The kernel cuts off what does not fit, silently: one byte more tells it from what just fits.
        let room = limit + rules.boundary.len().max(2) + 1;
        buffer.resize(room, 0);
        let received = tokio::select! {
            received = socket.recv(&mut buffer), if !unkept.is_full() => received,
            () = unkept.settle(outlet) => continue,
        };
        let count = match received {
            Ok(count) => count,
            Err(error) => {
                retry.after(&error, || report(outlet, &error)).await;
                continue;
            }
        };
        let _ = retry.ends();
        let message = splitter.only(buffer.get(..count).unwrap_or_default());
        if count == room || message.len() > limit {
            outlet.too_large(None, limit);
        } else if !message.is_empty() {
            unkept.push(None, rules.take(outlet, None, Piece::Message(message)));
        }
    }
}

fn report(outlet: &Sink, failure: &io::Error) {
    outlet.warn(None, failure, "a source's socket fails; trying again");
}

impl Rules {
    fn splitter(&self) -> Splitter {
        match self.framing {
            Framing::Lines | Framing::Json => Splitter::lines(),
            Framing::Boundary => Splitter::boundary(self.boundary.as_bytes()),
        }
    }

    /// Size limit of a message on the socket. A JSON object may be longer than its data, and most characters that
    /// JSON escapes take two bytes; the hub checks the data itself.
    fn longest(&self, message_size: usize) -> usize {
        match self.framing {
            Framing::Lines | Framing::Boundary => message_size,
            Framing::Json => message_size * 2 + AROUND_DATA,
        }
    }

    fn take(&self, outlet: &Sink, uid: Option<u32>, piece: Piece<'_>) -> Option<Published> {
        match piece {
            Piece::TooLarge => {
                outlet.too_large(uid, self.longest(outlet.message_size()));
                None
            }
            Piece::Message(object) if self.framing == Framing::Json => {
                outlet.publish_json(uid, object)
            }
            Piece::Message(message) => outlet.publish(uid, message),
        }
    }
}
