//! Reserved event names: a page takes them for signals of Noren, so publishers cannot use them.
//!
//! An event stream marks Noren's own signals by the event name, where the name of a publisher would stand, and a
//! browser's `EventSource` dispatches `open` and `error` itself. So [`Hub::publish`](super::Hub::publish), which every
//! message passes, refuses these names. A message with such a name from the history or the stream of an older Noren is
//! delivered without its name.

/// Event name of a presence message.
pub(super) const PRESENCE: &str = "presence";

/// Names of Noren's signals: `reset` (a gap) and `keep-alive` of event streams, `presence`, `open` and `error` of
/// `EventSource`, and `*`, with which the page library subscribes to every message.
const RESERVED: [&str; 6] = ["*", "reset", "keep-alive", "open", "error", PRESENCE];

/// Prefix reserved for signals of later versions.
const RESERVED_PREFIX: &str = "noren:";

/// The error for a publisher that uses a reserved name.
pub(super) const REFUSAL: &str = "this event name is one of Noren's own signals (*, reset, keep-alive, \
                                  open, error, presence, noren:…); choose another";

/// True if a name is reserved. Surrounding blanks and invisible characters are ignored: not all readers of event
/// streams keep them, and `trim()` in a page removes a byte order mark.
pub(super) fn is_reserved(name: &str) -> bool {
    let name = name.trim_matches(is_invisible);
    RESERVED.contains(&name) || name.starts_with(RESERVED_PREFIX)
}

/// True for blanks, the byte order mark, and characters without a width.
fn is_invisible(sign: char) -> bool {
    sign.is_whitespace()
        || matches!(sign, '\u{feff}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}')
}

/// True if a name found in a history is shown as it is. `presence` is, because there it is Noren's own message.
pub(super) fn may_be_shown(name: &str) -> bool {
    name == PRESENCE || !is_reserved(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noren_s_own_names_are_reserved_and_their_like_are_not() {
        for name in RESERVED {
            assert!(is_reserved(name) && is_reserved(&format!(" {name}\t")));
            assert!(is_reserved(&format!("\u{feff}{name}\u{200b} ")));
            assert!(REFUSAL.contains(name), "{name} is told");
        }
        assert!(is_reserved("noren:anything"));
        for name in ["message", "resets", "Open", "re set", "opened", "noren"] {
            assert!(!is_reserved(name), "{name}");
        }
        assert!(may_be_shown(PRESENCE) && !may_be_shown("reset"));
    }
}
