//! Repairing redirects of an app that lives under a prefix and forgets it.
//!
//! Wok with `server_root = /wok` serves everything below `/wok` and redirects to `/login.html`.

use http::HeaderValue;

use crate::http::{Authority, Scheme};

/// The repaired `Location`, if it points to our own origin and lacks the prefix.
pub(super) fn repair(
    value: &HeaderValue,
    root: &str,
    scheme: Scheme,
    authority: &Authority,
) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let (origin, path) = split(text, scheme, authority)?;
    let below = path
        .strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']));
    if below {
        return None;
    }
    HeaderValue::try_from(format!("{origin}{root}{path}")).ok()
}

/// Splits a redirect into origin, empty for a path, and path; `None` if it leads to another origin.
fn split<'a>(text: &'a str, scheme: Scheme, authority: &Authority) -> Option<(&'a str, &'a str)> {
    // `//host/path` names another host.
    if text.starts_with('/') && !text.starts_with("//") {
        return Some(("", text));
    }
    let rest = text.strip_prefix(scheme.as_str())?.strip_prefix("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if !rest.get(..end)?.eq_ignore_ascii_case(authority.as_str()) {
        return None;
    }
    Some(text.split_at(text.len() - (rest.len() - end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(location: &'static str) -> Option<String> {
        let authority = Authority::from_static("host.example:8001");
        let value = HeaderValue::from_static(location);
        let value = repair(&value, "/wok", Scheme::Https, &authority)?;
        Some(value.to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn our_own_redirects_get_the_prefix_once() {
        for (location, expected) in [
            ("/login.html", Some("/wok/login.html")),
            ("/wokked", Some("/wok/wokked")),
            ("/wok", None),
            ("/wok/login.html", None),
            ("/wok?x", None),
            (
                "https://host.example:8001/a",
                Some("https://host.example:8001/wok/a"),
            ),
            (
                "https://HOST.example:8001",
                Some("https://HOST.example:8001/wok"),
            ),
            ("https://host.example:8001/wok/a", None),
            ("https://other.example/a", None),
            ("http://host.example:8001/a", None),
            ("//other.example/a", None),
            ("login.html", None),
        ] {
            assert_eq!(repaired(location).as_deref(), expected, "{location}");
        }
    }
}
