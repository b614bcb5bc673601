//! The `listen` source: a socket to which programs of this machine write messages. It sends no replies, and a program
//! may stay connected for ever.
//!
//! An invalid message is dropped, and its connection continues. At the stop the socket is closed, and everything that
//! was written before is read: the next write of a program fails, so it connects again. Independent of subscribers.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;

use rustix::net::RecvFlags;
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::{UnixDatagram, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pending_writes::PendingWrites;
use super::sink::Sink;
use super::splitter::{CHUNK, Piece, Splitter};
use super::stop::Stop;
use crate::config::{Framing, Listen};
use crate::hub::Published;
use crate::net::{AcceptLoop, AcceptReport, OwnedPath, bind_unix_datagram, listen_unix};
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

    /// Marks the socket as in use.
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

/// Reads messages from a socket until the source is stopped, and then the remaining ones.
pub(super) async fn serve(door: &Arc<PublishSocket>, sink: &Arc<Sink>, rules: Rules, stop: &Stop) {
    sink.set_up();
    match &door.socket {
        Socket::Stream(listener) => {
            let listening = Listening {
                sink,
                rules: Arc::new(rules),
                stop,
                places: Arc::new(Semaphore::new(CONNECTIONS)),
            };
            listening.accept_all(listener, door).await;
        }
        Socket::Datagram(socket) => receive_all(socket, sink, &rules, stop, door).await,
    }
}

/// True if nothing else uses the socket: a source that a reload changes keeps its socket.
fn is_closing(door: &Arc<PublishSocket>) -> bool {
    Arc::strong_count(door) == 1
}

/// A listening socket and its connections.
struct Listening<'a> {
    sink: &'a Arc<Sink>,
    rules: Arc<Rules>,
    stop: &'a Stop,
    places: Arc<Semaphore>,
}

impl Listening<'_> {
    async fn accept_all(&self, listener: &UnixListener, door: &Arc<PublishSocket>) {
        let mut accepting = AcceptLoop::default();
        let report = |report: AcceptReport<'_>| trouble(self.sink, &report);
        loop {
            let (stream, uid) = tokio::select! {
                accepted = accepting.next(|| accept(listener), &report) => accepted,
                () = self.stop.requested() => break,
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                let reason = format!("{CONNECTIONS} programs are connected already");
                self.sink.refuse(Some(uid), &reason);
                continue;
            };
            self.begin(stream, uid, place);
        }
        if is_closing(door) {
            self.accept_rest(listener).await;
        }
        // Each connection ends now, when it has been read to its end.
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        let _ = self.places.acquire_many(all).await;
    }

    /// Accepts the programs that had connected before the stop; the others cannot connect any more.
    async fn accept_rest(&self, listener: &UnixListener) {
        let listener = SockRef::from(listener);
        let _ = listener.shutdown(Shutdown::Read);
        for _ in 0..=BACKLOG {
            let Ok((socket, _)) = listener.accept() else {
                break;
            };
            let stream = socket
                .set_nonblocking(true)
                .and_then(|()| UnixStream::from_std(socket.into()));
            let accepted = stream.and_then(|stream| {
                let uid = stream.peer_cred()?.uid();
                Ok((stream, uid))
            });
            let place = Arc::clone(&self.places).acquire_owned().await;
            if let (Ok((stream, uid)), Ok(place)) = (accepted, place) {
                self.begin(stream, uid, place);
            }
        }
    }

    /// Reads a connection in its own task.
    fn begin(&self, stream: UnixStream, uid: u32, place: OwnedSemaphorePermit) {
        if !self.rules.users.is_empty() && !self.rules.users.contains(&uid) {
            let reason = "`users` does not name this user";
            return self.sink.refuse(Some(uid), &reason);
        }
        let (sink, rules) = (Arc::clone(self.sink), Arc::clone(&self.rules));
        let stop = self.stop.clone();
        self.stop.spawn(async move {
            converse(stream, uid, &sink, &rules, &stop).await;
            drop(place);
        });
    }
}

async fn accept(listener: &UnixListener) -> io::Result<(UnixStream, u32)> {
    let (stream, _) = listener.accept().await?;
    let uid = stream.peer_cred()?.uid();
    Ok((stream, uid))
}

/// Reads one connection to its end, or at a stop to the last byte that was written before.
async fn converse(mut stream: UnixStream, uid: u32, sink: &Sink, rules: &Rules, stop: &Stop) {
    let uid = Some(uid);
    let _counted = sink.connected();
    let mut splitter = rules.splitter();
    let mut chunk = vec![0; CHUNK];
    let mut unkept = PendingWrites::default();
    let mut stopped = false;
    loop {
        let limit = rules.longest(sink.message_size());
        let read = tokio::select! {
            read = stream.read(&mut chunk), if !unkept.is_full() => read,
            () = unkept.settle(sink) => continue,
            () = stop.requested(), if !stopped => {
                stopped = true;
                if SockRef::from(&stream).shutdown(Shutdown::Read).is_err() {
                    break;
                }
                continue;
            }
        };
        match read {
            Ok(0) => {
                // The last line of `printf`, unlike a message that shall end with a boundary, may be whole. At a stop
                // it may be the beginning of one.
                if stopped {
                    if splitter.rest(limit).is_some() {
                        sink.refuse(uid, &"the source was stopped within it");
                    }
                } else if rules.framing != Framing::Boundary
                    && let Some(piece) = splitter.rest(limit)
                {
                    unkept.push(uid, rules.take(sink, uid, piece));
                }
                break;
            }
            Ok(count) => splitter.push(chunk.get(..count).unwrap_or_default()),
            Err(error) => {
                sink.set_trouble(&error);
                break;
            }
        }
        while let Some(piece) = splitter.next(limit) {
            unkept.push(uid, rules.take(sink, uid, piece));
        }
    }
    unkept.settle_all(sink).await;
}

/// Receives datagrams, each of which is one message.
async fn receive_all(
    socket: &UnixDatagram,
    sink: &Sink,
    rules: &Rules,
    stop: &Stop,
    door: &Arc<PublishSocket>,
) {
    let splitter = rules.splitter();
    let mut buffer = Vec::new();
    let mut unkept = PendingWrites::default();
    let mut receiving = AcceptLoop::default();
    let mut stopped = false;
    loop {
        let limit = rules.longest(sink.message_size());
        // The kernel cuts off what does not fit, silently: one byte more tells it from what just fits.
        let room = limit + rules.boundary.len().max(2) + 1;
        buffer.resize(room, 0);
        let received = tokio::select! {
            received = receive(socket, &mut buffer, stopped), if !unkept.is_full() => received,
            () = unkept.settle(sink) => continue,
            () = stop.requested(), if !stopped => {
                stopped = true;
                if !is_closing(door) || SockRef::from(socket).shutdown(Shutdown::Read).is_err() {
                    break;
                }
                continue;
            }
        };
        let count = match received {
            Ok(count) => count,
            Err(_) if stopped => break,
            Err(error) => {
                let report = |report: AcceptReport<'_>| trouble(sink, &report);
                receiving.pause_after(&error, &report).await;
                continue;
            }
        };
        receiving.recover(&|_| {});
        let message = splitter.only(buffer.get(..count).unwrap_or_default());
        if count == room || message.len() > limit {
            sink.too_large(None, limit);
        } else if !message.is_empty() {
            unkept.push(None, rules.take(sink, None, Piece::Message(message)));
        }
    }
    unkept.settle_all(sink).await;
}

/// Receives a datagram; after the stop only one that is already there, otherwise an error.
async fn receive(socket: &UnixDatagram, buffer: &mut [u8], stopped: bool) -> io::Result<usize> {
    if !stopped {
        return socket.recv(buffer).await;
    }
    // By the system and not by what the runtime knows of the socket.
    match rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT) {
        Ok((0, _)) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok((count, _)) => Ok(count),
        Err(error) => Err(error.into()),
    }
}

fn trouble(sink: &Sink, report: &AcceptReport<'_>) {
    if let AcceptReport::Failed(error) = report {
        sink.warn(None, error, "a source's socket fails; trying again");
    }
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

    fn take(&self, sink: &Sink, uid: Option<u32>, piece: Piece<'_>) -> Option<Published> {
        match piece {
            Piece::TooLarge => {
                sink.too_large(uid, self.longest(sink.message_size()));
                None
            }
            Piece::Message(object) if self.framing == Framing::Json => {
                sink.publish_json(uid, object)
            }
            Piece::Message(message) => sink.publish(uid, message),
        }
    }
}
