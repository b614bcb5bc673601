//! Reads and removes the cookies that bind a visitor to an address of an app (`affinity = "cookie"`). Must not know the
//! addresses.

use http::header::{COOKIE, Entry};
use http::{HeaderMap, HeaderValue};

/// Prefix of the names of these cookies; the name of the app follows. Apps never see them.
pub(crate) const AFFINITY_COOKIE: &str = "noren-affinity-";

/// Removes the affinity cookies of all apps, and returns the first value of this app's cookie that `parse` accepts.
pub(crate) fn take_affinity<T>(
    headers: &mut HeaderMap,
    app: &str,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Option<T> {
    let Entry::Occupied(mut lines) = headers.entry(COOKIE) else {
        return None;
    };
    if !lines.iter().any(|line| is_named(line.as_bytes())) {
        return None;
    }
    let mut found = None;
    let mut rest = Vec::new();
    for line in lines.iter() {
        for pair in line.as_bytes().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            if !is_affinity(pair) {
                if !rest.is_empty() {
                    rest.extend_from_slice(b"; ");
                }
                rest.extend_from_slice(pair);
                continue;
            }
            let own = pair.get(AFFINITY_COOKIE.len()..).unwrap_or_default();
            let value = own
                .strip_prefix(app.as_bytes())
                .and_then(|own| own.strip_prefix(b"="));
            found = found.or_else(|| parse(value?));
        }
    }
    match HeaderValue::from_bytes(&rest) {
        Ok(mut value) if !rest.is_empty() => {
            value.set_sensitive(lines.get().is_sensitive());
            lines.insert(value);
        }
        _ => drop(lines.remove_entry_mult()),
    }
    found
}

/// True if a `Cookie` line may contain an affinity cookie.
fn is_named(line: &[u8]) -> bool {
    line.split(|byte| *byte == b';')
        .any(|pair| is_affinity(pair.trim_ascii()))
}

/// True if the name of a cookie pair is that of an affinity cookie, in any letter case: an app may ignore the case of
/// cookie names.
fn is_affinity(pair: &[u8]) -> bool {
    let name = pair.get(..AFFINITY_COOKIE.len());
    name.is_some_and(|name| name.eq_ignore_ascii_case(AFFINITY_COOKIE.as_bytes()))
}
