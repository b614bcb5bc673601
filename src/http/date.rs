//! The `Date` header of a response (RFC 9110 §6.6.1).
//!
//! hyper adds one if it is missing, and caches it until the next second of the wall clock: after the clock is set back
//! by ten days, its date stays the same for ten days. So the header is set here. Independent of the handler.

use std::cell::RefCell;
use std::time::SystemTime;

use http::header::DATE;
use http::{HeaderMap, HeaderValue};
use httpdate::fmt_http_date;

use crate::clock::unix_time;

/// The last second of the year 9999; the format has no room for later ones.
const LAST: u64 = 253_402_300_799;

thread_local! {
    /// The second that was formatted last, with its text.
    static WRITTEN: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// Sets the current time, unless the app has set one.
pub(crate) fn set_date(headers: &mut HeaderMap) {
    if headers.contains_key(DATE) {
        return;
    }
    if let Some(value) = value(SystemTime::now()) {
        headers.insert(DATE, value);
    }
}

/// The formatted time; each thread formats it once a second.
fn value(now: SystemTime) -> Option<HeaderValue> {
    let second = unix_time(now).as_secs();
    if second > LAST {
        return None;
    }
    WRITTEN.with_borrow_mut(|written| match written {
        Some((of, value)) if *of == second => Some(value.clone()),
        _ => {
            let value = HeaderValue::try_from(fmt_http_date(now)).ok()?;
            *written = Some((second, value.clone()));
            Some(value)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::moment;

    #[test]
    fn a_date_is_written_as_http_wants_it_and_an_apps_own_stays() {
        let moment = moment(784_111_777);
        let example = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(value(moment), Some(example.clone()));
        let mut headers = HeaderMap::from_iter([(DATE, example.clone())]);
        set_date(&mut headers);
        assert_eq!(headers.get(DATE), Some(&example));
        headers.clear();
        set_date(&mut headers);
        assert!(headers.contains_key(DATE));
    }
}
