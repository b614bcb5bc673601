//! Identification of a request in logs: its own id, and the trace it belongs to (W3C Trace Context, Level 1).
//!
//! The id is made here and never taken from a client, which could give two requests the same id, or forge one. A
//! client's trace is different: it only says that requests belong together.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Header with the id of the request.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Length of a `traceparent`: `00-`, 32 digits, `-`, 16 digits, `-`, two digits (§3.2.2).
const LENGTH: usize = 55;

/// The id of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(u64);

impl RequestId {
    /// Creates an id that is unique within 64 bits. It is no secret: a client that sees one may guess others.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self(unique_number())
    }

    /// Sets the headers for the app: always the id, and the trace if `trace`. A valid `traceparent` of the client
    /// is kept; otherwise a trace begins here, with the request as its first part.
    pub(crate) fn set_headers(self, headers: &mut HeaderMap, trace: bool) {
        if let Ok(value) = HeaderValue::from_bytes(&digits(self.0)) {
            headers.insert(REQUEST_ID, value);
        }
        if !trace || has_trace(headers) {
            return;
        }
        // A state without a parent has no meaning (§3.3).
        headers.remove(TRACESTATE);
        let (high, low) = (digits(unique_number()), digits(unique_number()));
        let parts: [&[u8]; 6] = [b"00-", &high, &low, b"-", &digits(self.0), b"-01"];
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(parts.concat())) {
            headers.insert(TRACEPARENT, value);
        }
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Formats a number in hexadecimal digits. Each request needs several, and this costs a tenth of the standard
/// formatting.
fn digits(number: u64) -> [u8; 16] {
    let mut left = number;
    let mut digits = [0; 16];
    for digit in digits.iter_mut().rev() {
        let value = (left & 15) as u8;
        *digit = if value < 10 {
            b'0' + value
        } else {
            b'a' + value - 10
        };
        left >>= 4;
    }
    digits
}

/// Returns a number that looks random and does not repeat: a counter with a random start, mixed (`SplitMix64`). Never
/// zero, which §3.2.2 forbids.
fn unique_number() -> u64 {
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(std::process::id())));
    let mut mixed = NEXT.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).max(1)
}

/// True if the headers contain exactly one valid trace.
fn has_trace(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let (Some(first), None) = (all.next(), all.next()) else {
        return false;
    };
    first.to_str().is_ok_and(is_traceparent)
}

fn is_traceparent(text: &str) -> bool {
    let Some((version, rest)) = text.split_once('-') else {
        return false;
    };
    let mut parts = rest.split('-');
    let digits = |part: Option<&str>, length: usize| {
        part.is_some_and(|part| {
            part.len() == length
                && part
                    .bytes()
                    .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let not_nought =
        |part: Option<&str>| part.is_some_and(|part| part.bytes().any(|digit| digit != b'0'));
    let (trace, parent, flags) = (parts.next(), parts.next(), parts.next());
    digits(Some(version), 2)
        && version != "ff"
        && digits(trace, 32)
        && not_nought(trace)
        && digits(parent, 16)
        && not_nought(parent)
        && digits(flags, 2)
        // A later version may have more behind these (§3.2.4); this one has not.
        && (text.len() == LENGTH || version != "00")
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers_after(before: &[&'static str], trace: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in before {
            headers.append(TRACEPARENT, HeaderValue::from_static(value));
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("a=1"));
        headers.insert(REQUEST_ID, HeaderValue::from_static("mine"));
        RequestId::new().set_headers(&mut headers, trace);
        headers
    }

    #[test]
    fn a_valid_trace_is_kept_and_anything_else_is_replaced() {
        for valid in [
            VALID,
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more",
        ] {
            let headers = headers_after(&[valid], true);
            assert_eq!(headers[TRACEPARENT], valid);
            assert_eq!(headers[TRACESTATE], "a=1");
        }
        for wrong in [
            &[][..],
            &[VALID, VALID],
            &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"],
            &["junk"],
        ] {
            let headers = headers_after(wrong, true);
            let own = headers[TRACEPARENT].to_str().expect("ASCII");
            assert!(is_traceparent(own), "{own}");
            assert!(!wrong.contains(&own));
            assert!(
                own.contains(headers[REQUEST_ID].to_str().expect("ASCII")),
                "{own}"
            );
            assert!(!headers.contains_key(TRACESTATE));
        }
    }

    #[test]
    fn without_traces_what_the_client_says_passes_and_the_id_is_still_ours() {
        let headers = headers_after(&["junk"], false);
        assert_eq!(headers[TRACEPARENT], "junk");
        assert_ne!(headers[REQUEST_ID], "mine");
    }

    #[test]
    fn numbers_are_written_as_they_are_displayed() {
        for number in [0, 1, 0x9abc_def0, u64::MAX] {
            let text = RequestId(number).to_string();
            assert_eq!(digits(number), text.as_bytes(), "{number}");
        }
    }

    #[test]
    fn ids_do_not_repeat() {
        let ids: std::collections::HashSet<u64> = (0..10_000).map(|_| RequestId::new().0).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
