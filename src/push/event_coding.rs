//! The content coding of an event stream (RFC 9110 §8.4). The client can decode every message as soon as it arrives,
//! and the coded form of a message is made once for all subscribers.
//!
//! With zstd each message is a frame (RFC 8878 §3). With gzip (RFC 1952) a stream is one member with a flushed deflate
//! block for each message, and a checksum that each stream computes itself. The coding of one message contains nothing
//! of another. Must not know subscriptions.

use bytes::{BufMut as _, Bytes, BytesMut};
use crc32fast::Hasher;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use crate::hub::{Coding, Format, Message};

/// The head of a gzip member: deflate, no name, no time, an unknown system (RFC 1952 §2.3).
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// An empty last block of deflate.
const GZIP_LAST_BLOCK: [u8; 2] = [3, 0];

/// The coding that a client prefers among those supported; `None` if it accepts none of them.
pub(crate) fn preferred(headers: &HeaderMap) -> Option<Coding> {
    let lines = headers.get_all(ACCEPT_ENCODING).iter();
    let lines: Vec<&str> = lines.filter_map(|line| line.to_str().ok()).collect();
    let wants = |name: &str| {
        let mut members = lines.iter().flat_map(|line| line.split(','));
        members.any(|member| {
            let mut parts = member.split(';').map(str::trim);
            let named = parts
                .next()
                .is_some_and(|own| own.eq_ignore_ascii_case(name));
            let refused = parts.any(|part| {
                let quality = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
                quality.is_some_and(|quality| quality.trim().parse() == Ok(0.0_f32))
            });
            named && !refused
        })
    };
    let codings = [Coding::Zstd, Coding::Gzip];
    codings.into_iter().find(|coding| wants(coding.name()))
}

/// Codes one stream.
pub(super) struct EventCoder {
    coding: Coding,
    /// The checksum and the length of all that was coded, for gzip.
    sum: Hasher,
    length: u64,
}

impl EventCoder {
    pub(super) fn new(coding: Coding) -> Self {
        Self {
            coding,
            sum: Hasher::new(),
            length: 0,
        }
    }

    /// The first bytes of the stream.
    pub(super) fn begin(&self) -> Bytes {
        match self.coding {
            Coding::Zstd => Bytes::new(),
            Coding::Gzip => Bytes::from_static(&GZIP_HEAD),
        }
    }

    /// Codes a message.
    pub(super) fn message(&mut self, message: &Message, format: Format) -> Bytes {
        if self.coding == Coding::Gzip {
            self.count(&message.stream_event(format));
        }
        message.coded_event(format, self.coding)
    }

    /// Codes an event of the stream's own.
    pub(super) fn own(&mut self, event: &[u8]) -> Bytes {
        self.count(event);
        self.coding.encode(event).into()
    }

    fn count(&mut self, plain: &[u8]) {
        self.sum.update(plain);
        self.length += plain.len() as u64;
    }

    /// The last bytes of the stream.
    pub(super) fn end(&self) -> Bytes {
        match self.coding {
            Coding::Zstd => Bytes::new(),
            Coding::Gzip => {
                let mut end = BytesMut::from(&GZIP_LAST_BLOCK[..]);
                end.put_u32_le(self.sum.clone().finalize());
                // Modulo 2^32, as the specification has it.
                end.put_u32_le(u32::try_from(self.length % (1 << 32)).unwrap_or_default());
                end.freeze()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_better_coding_that_a_client_takes_is_chosen() {
        for (accept, chosen) in [
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip", Some(Coding::Gzip)),
            ("zstd;q=0, gzip;q=0.5", Some(Coding::Gzip)),
            ("gzip;q=0.000", None),
            ("br, deflate", None),
            ("identity", None),
            ("*", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accept));
            assert_eq!(preferred(&headers), chosen, "{accept}");
        }
        assert_eq!(preferred(&HeaderMap::new()), None);
    }
}
