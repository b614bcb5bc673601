//! RFC 6455 as far as a bridge needs it: the handshake over HTTP/1.1 and HTTP/2, and frames.
//!
//! The handshake, the frame header, the opcodes and the close codes are tokio-tungstenite's. Its `WebSocketStream`
//! returns whole messages only and keeps its buffers, so a message of 16 MiB takes as much memory, and a
//! connection that was busy once never becomes small again. A bridge needs neither: the [`FrameReader`] here
//! passes payload on as it arrives and owns no buffer.

mod deflate;
mod frame;
mod handshake;
mod mask;
mod message_reader;
mod upgrade;

pub(crate) use deflate::{Window, inflate};
pub(crate) use frame::{
    Event, FrameReader, HEADER_SPACE, Kind, Opcode, Violation, close_frame, control_frame,
    write_header,
};
pub(crate) use handshake::{Handshake, asks_for_websocket};
pub(crate) use message_reader::{Accepts, MessageReader, ReadFault, Received};
pub(crate) use upgrade::{ClientStream, Upgrade};
