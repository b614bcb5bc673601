//! permessage-deflate (RFC 7692), each message by itself: what a client offers, and the messages that it sends. No
//! memory is kept between two messages, on either side (`server_no_context_takeover`, `client_no_context_takeover`).
//!
//! Compression itself is done where a message is encoded, once for all who have agreed on the same window.

use std::borrow::Cow;

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

use crate::websocket::Violation;

/// The response to an offer that is accepted.
const ACCEPTED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The end of a block that a sender leaves out (RFC 7692 §7.2.1), and an empty last block, which deflate needs to be
/// whole (RFC 1951 §3.2.4).
const TAIL: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// The window of the messages to a client: the distance over which they may repeat themselves. There are two, so that
/// each message is compressed twice at most, however many clients there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// 2^15 bytes, as large as there is.
    Full,
    /// 2^9 bytes, for clients with less memory.
    Small,
}

impl Window {
    /// Size of the small window in bytes.
    pub(crate) const SMALL: usize = 1 << 9;
}

/// A response that accepts an offer, and the window that it agrees on.
pub(super) type Accepted = (Cow<'static, str>, Window);

/// The response to the first offer of a list that can be accepted; `None` if there is none.
pub(super) fn accept<'a>(mut offers: impl Iterator<Item = &'a str>) -> Option<Accepted> {
    offers.find_map(acceptable)
}

/// The response to one offer. One with a parameter that is unknown, double or out of range is declined (RFC 7692 §7.1),
/// and so is a window of 2^8 bytes for our messages, which zlib itself does not make.
fn acceptable(offer: &str) -> Option<Accepted> {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next()? != "permessage-deflate" {
        return None;
    }
    let mut names = Vec::new();
    let mut accepted = (Cow::Borrowed(ACCEPTED), Window::Full);
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
            ("server_max_window_bits", Some(bits)) => {
                let window = match window(bits)? {
                    15.. => Window::Full,
                    9.. => Window::Small,
                    _ => return None,
                };
                let response = format!("{ACCEPTED}; server_max_window_bits={bits}");
                accepted = (response.into(), window);
            }
            _ => return None,
        }
    }
    Some(accepted)
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
            let expected = Some((ACCEPTED.into(), Window::Full));
            assert_eq!(acceptable(offer), expected, "{offer}");
        }
        for (bits, window) in [(9, Window::Small), (14, Window::Small), (15, Window::Full)] {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            let response = format!("{ACCEPTED}; server_max_window_bits={bits}");
            assert_eq!(acceptable(&offer), Some((response.into(), window)));
        }
        for offer in [
            "",
            "permessage-bzip2",
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=010",
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
        let expected = Some((ACCEPTED.into(), Window::Full));
        assert_eq!(accept(second.into_iter()), expected);
    }
}
