//! The `wok` source: one connection to the push socket of an app, which writes the same messages to all connected
//! programs. A lost connection is retried for ever; subscribers are not affected.
//!
//! Nothing is ever written to it. Independent of subscribers.

use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::pending_writes::PendingWrites;
use super::sink::Sink;
use super::splitter::{CHUNK, Piece, Splitter};
use super::stop::Stop;
use crate::config::Endpoint;
use crate::net::{Backoff, LONGEST_PAUSE};
use crate::net::{Socket, connect};

/// Time limit of a connection attempt. A UNIX socket accepts at once, unless its backlog is full.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Connects and reads until it is stopped.
pub(super) async fn follow(sink: &Sink, address: &Path, boundary: &str, stop: &Stop) {
    let endpoint = Endpoint::Unix(address.to_owned());
    let mut backoff = Backoff::default();
    let mut told = false;
    loop {
        let connected = tokio::select! {
            connected = connect(&endpoint, CONNECT_LIMIT) => connected,
            () = stop.requested() => return,
        };
        match connected {
            Ok(socket) => {
                info!(channel = %sink.channel(), address = sink.address(), "connected to a source");
                let (reason, use_of_it) = read_all(sink, socket, boundary, stop).await;
                if stop.is_requested() {
                    return;
                }
                warn!(
                    channel = %sink.channel(),
                    address = sink.address(),
                    reason,
                    "a source is lost; trying to reach it again",
                );
                told = true;
                if use_of_it {
                    backoff = Backoff::default();
                }
            }
            Err(error) => {
                sink.set_down_because(&error);
                if !std::mem::replace(&mut told, true) {
                    warn!(channel = %sink.channel(), %error, "a source cannot be reached; trying again until it can");
                }
            }
        }
        tokio::select! {
            () = sleep(backoff.pause()) => {}
            () = stop.requested() => return,
        }
    }
}

/// Reads until the connection ends; returns the reason, and whether it was of any use: an app that accepts and closes
/// at once must not be tried ten times a second.
///
/// At the stop the app cannot write any more, and what it has written before is read.
async fn read_all(sink: &Sink, mut socket: Socket, boundary: &str, stop: &Stop) -> (String, bool) {
    let began = Instant::now();
    let _counted = sink.connected();
    sink.set_up();
    let mut splitter = Splitter::boundary(boundary.as_bytes());
    let mut chunk = vec![0; CHUNK];
    let mut unkept = PendingWrites::default();
    let (mut use_of_it, mut stopped) = (false, false);
    let reason = loop {
        let read = tokio::select! {
            read = socket.read(&mut chunk), if !unkept.is_full() => read,
            () = unkept.settle(sink) => continue,
            () = stop.requested(), if !stopped => {
                stopped = true;
                match socket.end_reading() {
                    Ok(()) => continue,
                    Err(error) => break error.to_string(),
                }
            }
        };
        let read = match read {
            Ok(0) => break "the app closed the connection".to_owned(),
            Ok(count) => chunk.get(..count).unwrap_or_default(),
            Err(error) => break error.to_string(),
        };
        use_of_it = true;
        splitter.push(read);
        let limit = sink.message_size();
        while let Some(piece) = splitter.next(limit) {
            match piece {
                Piece::Message(message) => unkept.push(None, sink.publish(None, message)),
                Piece::TooLarge => sink.too_large(None, limit),
            }
        }
    };
    unkept.settle_all(sink).await;
    if splitter.rest(usize::MAX).is_some() {
        debug!(channel = %sink.channel(), address = sink.address(), "an incomplete message of a source was dropped");
    }
    sink.set_down_because(&reason);
    (reason, use_of_it || began.elapsed() >= LONGEST_PAUSE)
}
