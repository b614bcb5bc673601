//! The wire encodings of one message, each of which is made once and shared by all subscribers.
//! Independent of the encodings themselves.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// The encodings made so far.
#[derive(Debug, Default)]
pub(super) struct WireCache {
    pub(super) socket_json: OnceLock<Bytes>,
    pub(super) socket_plain: OnceLock<Bytes>,
    pub(super) socket_json_deflated: OnceLock<Bytes>,
    pub(super) socket_plain_deflated: OnceLock<Bytes>,
    pub(super) socket_json_deflated_small: OnceLock<Bytes>,
    pub(super) socket_plain_deflated_small: OnceLock<Bytes>,
    pub(super) stream_json: OnceLock<Bytes>,
    pub(super) stream_plain: OnceLock<Bytes>,
    pub(super) stream_json_zstd: OnceLock<Bytes>,
    pub(super) stream_plain_zstd: OnceLock<Bytes>,
    pub(super) stream_json_gzip: OnceLock<Bytes>,
    pub(super) stream_plain_gzip: OnceLock<Bytes>,
    pub(super) socket_sockjs: OnceLock<Bytes>,
    pub(super) wok_binary: OnceLock<Bytes>,
    pub(super) wok_base64: OnceLock<Bytes>,
    /// The data as parsed by a transport that has its own message format.
    pub(super) parsed: OnceLock<Arc<dyn Any + Send + Sync>>,
}
