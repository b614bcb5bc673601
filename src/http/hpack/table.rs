//! The tables of HPACK (RFC 7541 §2.3, Appendix A), with only the lengths and kinds of names.

use std::collections::VecDeque;

use crate::http::hpack::Lost;

/// Size limit of the table in the SETTINGS that h2 sends (RFC 9113 §6.5.2), which is the default.
const LIMIT: usize = 4096;
/// Size of an entry beyond its octets (RFC 7541 §4.1).
const OVERHEAD: usize = 32;

/// The properties of a field's name that matter here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Name {
    /// Length of the name, capped at 65535, which is more than the table holds.
    length: u16,
    pub(super) is_pseudo: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    name: Name,
    size: usize,
}

/// The dynamic table, newest entry first. It holds at most 128 entries.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    pub(super) size: usize,
    limit: usize,
}

impl Name {
    pub(super) fn new(length: usize, is_pseudo: bool) -> Self {
        Self {
            length: u16::try_from(length).unwrap_or(u16::MAX),
            is_pseudo,
        }
    }

    /// True for `:path`, the only pseudo-header of its length.
    pub(super) fn is_path(self) -> bool {
        self.is_pseudo && usize::from(self.length) == ":path".len()
    }
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            limit: LIMIT,
        }
    }

    /// The name at an index of both tables (RFC 7541 §2.3.3).
    pub(super) fn name(&self, index: usize) -> Result<Name, Lost> {
        let index = index.checked_sub(1).ok_or(Lost)?;
        if let Some(name) = STATIC.get(index) {
            return Ok(Name::new(name.len(), name.starts_with(':')));
        }
        let entry = self.entries.get(index - STATIC.len()).ok_or(Lost)?;
        Ok(entry.name)
    }

    /// Adds a field; one larger than the table empties it (RFC 7541 §4.4).
    pub(super) fn insert(&mut self, name: Name, value: usize) {
        let size = OVERHEAD + usize::from(name.length) + value;
        self.evict(self.limit.saturating_sub(size));
        if size <= self.limit {
            self.size += size;
            self.entries.push_front(Entry { name, size });
        }
    }

    /// Changes the size limit as the client asks (RFC 7541 §6.3), within ours.
    pub(super) fn resize(&mut self, limit: usize) -> Result<(), Lost> {
        if limit > LIMIT {
            return Err(Lost);
        }
        self.limit = limit;
        self.evict(limit);
        Ok(())
    }

    fn evict(&mut self, most: usize) {
        while self.size > most
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size;
        }
    }
}

/// The names of the static table.
const STATIC: [&str; 61] = [
    ":authority",
    ":method",
    ":method",
    ":path",
    ":path",
    ":scheme",
    ":scheme",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
];
