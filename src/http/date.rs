//! The `Date` header of a response (RFC 9110 §6.6.1).
//!
//! hyper adds one if it is missing, and caches it until the next second of the wall clock: if that is set back by
//! ten days, for ten days. So it is set here. Independent of the handler.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::DATE;
use http::{HeaderMap, HeaderValue};
use time::OffsetDateTime;
use time::macros::format_description;

thread_local! {
    /// The second that was formatted last, with its text.
    static WRITTEN: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// Sets the current time, unless the app has set one.
pub fn set_date(headers: &mut HeaderMap) {
    if headers.contains_key(DATE) {
        return;
    }
    if let Some(value) = value(SystemTime::now()) {
        headers.insert(DATE, value);
    }
}

/// The formatted time; each thread formats it once a second.
fn value(now: SystemTime) -> Option<HeaderValue> {
    let second = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    WRITTEN.with_borrow_mut(|written| match written {
        Some((of, value)) if *of == second => Some(value.clone()),
        _ => {
            let value = write(now)?;
            *written = Some((second, value.clone()));
            Some(value)
        }
    })
}

/// Formats a time as `Thu, 26 Nov 2026 19:34:51 GMT`.
fn write(now: SystemTime) -> Option<HeaderValue> {
    let format = format_description!(
        version = 2,
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let text = OffsetDateTime::from(now).format(format).ok()?;
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_date_is_written_as_http_wants_it_and_an_apps_own_stays() {
        let moment = UNIX_EPOCH + Duration::from_secs(784_111_777);
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
