//! permessage-deflate (RFC 7692), each message by itself: what a client offers, and the messages that it sends. No
//! memory is kept between two messages, on either side (`server_no_context_takeover`, `client_no_context_takeover`).
//!
//! Compression itself is done where a message is encoded, once for all.

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

use crate::websocket::Violation;

/// The response to an offer that is accepted.
pub(super) const ACCEPTED: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// The same for an offer that asks for a window of 2^15 bytes, which is the one there is.
pub(super) const ACCEPTED_WITH_WINDOW: &str = "permessage-deflate; server_no_context_takeover; \
     client_no_context_takeover; server_max_window_bits=15";

/// The end of a block that a sender leaves out (RFC 7692 §7.2.1), and an empty last block, which deflate needs to be
/// whole (RFC 1951 §3.2.4).
const TAIL: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// The response to the first offer of a list that can be accepted; `None` if there is none.
pub(super) fn accept<'a>(mut offers: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    offers.find_map(acceptable)
}

/// The response to one offer. One with a parameter that is unknown, double or out of range is declined (RFC 7692 §7.1),
/// and so is a smaller window for our messages: they are compressed once for all.
fn acceptable(offer: &str) -> Option<&'static str> {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next()? != "permessage-deflate" {
        return None;
    }
    let mut names = Vec::new();
    let mut response = ACCEPTED;
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        if names.contains(&name) {
            return None;
        }
        names.push(name);
        match (name, value) {
            (
                "server_no_context_takeover"
                | "client_no_context_takeover"
                | "client_max_window_bits",
                None,
            ) => {}
            ("client_max_window_bits", Some(bits)) if window(bits).is_some() => {}
            ("server_max_window_bits", Some("15")) => response = ACCEPTED_WITH_WINDOW,
            _ => return None,
        }
    }
    Some(response)
}

/// A window's size in bits: 8 to 15, without a leading zero.
fn window(bits: &str) -> Option<u8> {
    let number: u8 = bits.parse().ok()?;
    ((8..=15).contains(&number) && number.to_string() == bits).then_some(number)
}

/// Decompresses a message, to at most `limit` bytes.
///
/// # Errors
/// A [`Violation`]: it is larger, or no deflate.
pub(crate) fn inflate(mut message: Vec<u8>, limit: usize) -> Result<Vec<u8>, Violation> {
    message.extend_from_slice(&TAIL);
    decompress_to_vec_with_limit(&message, limit).map_err(|error| match error.status {
        TINFLStatus::HasMoreOutput => Violation {
            code: 1009,
            reason: "the message is too large",
        },
        _ => Violation {
            code: 1007,
            reason: "a compressed message is broken",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification_are_read() {
        // RFC 7692 §7.2.3: one block, one without compression, two blocks, a last block, and none.
        for (message, text) in [
            (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], "Hello"),
            (
                &[
                    0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
                ],
                "Hello",
            ),
            (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], "Hello"),
            (
                &[
                    0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
                ],
                "Hello",
            ),
            (&[0x00], ""),
        ] {
            let read = inflate(message.to_vec(), 100).expect("deflate");
            assert_eq!(read, text.as_bytes());
        }
    }

    #[test]
    fn a_message_that_grows_or_is_broken_is_refused() {
        let bomb = miniz_oxide::deflate::compress_to_vec(&vec![b'a'; 10_000_000], 9);
        assert!(bomb.len() < 20_000);
        assert_eq!(
            inflate(bomb, 100_000).map_err(|fault| fault.code),
            Err(1009)
        );
        for broken in [&b"Hello"[..], &[0xff], &[0xf2, 0x48, 0xcd]] {
            let read = inflate(broken.to_vec(), 100);
            assert_eq!(read.map_err(|fault| fault.code), Err(1007), "{broken:?}");
        }
    }

    #[test]
    fn an_offer_with_anything_that_is_not_kept_is_declined() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=9",
            "permessage-deflate;server_no_context_takeover;client_no_context_takeover",
            "permessage-deflate; client_max_window_bits=\"15\"",
        ] {
            assert_eq!(acceptable(offer), Some(ACCEPTED), "{offer}");
        }
        let with_window = acceptable("permessage-deflate; server_max_window_bits=15");
        assert_eq!(with_window, Some(ACCEPTED_WITH_WINDOW));
        for offer in [
            "",
            "permessage-bzip2",
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=08",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; unknown",
            "permessage-deflate;",
        ] {
            assert_eq!(acceptable(offer), None, "{offer}");
        }
        let second = [
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate",
        ];
        assert_eq!(accept(second.into_iter()), Some(ACCEPTED));
    }
}
