//! The transports of the hub: WebSocket, event stream, long poll and `SockJS`, the page library that speaks them, and
//! GRIP and Mercure, for apps whose libraries speak these.
//!
//! Each walks the history of its subscription at the pace of its client. Independent of routes, sessions and the app:
//! who may subscribe is decided above.

mod client_messages;
mod control;
mod event_coding;
pub(crate) mod grip;
mod long_poll;
pub(crate) mod mercure;
mod publish_refusal;
mod send_buffer;
mod sockjs;
mod sockjs_frames;
mod sse;
mod websocket;

pub(crate) use client_messages::{Outcome, Receiver};
pub(crate) use event_coding::preferred;
pub(crate) use long_poll::{Wait, poll};
pub(crate) use publish_refusal::publish_refusal;
pub(crate) use sockjs::{SockJs, SockJsResource, Visitor};
pub(crate) use sse::{EventStreamOptions, event_stream, set_headers};
pub(crate) use websocket::{Form, Listening, open_socket};
