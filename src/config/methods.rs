//! Names of request methods (RFC 9110 §9.1) and `methods`, the list of those an app takes.
//!
//! Any token is a method. A server may know methods of its own, so the names here only tell which tokens could pass for
//! another one. Must not know what a request is.

/// Longer names are refused: the longest registered method has 17 letters, and a name stands in each line of the log.
pub const LONGEST_METHOD: usize = 32;

/// The registered methods (IANA, "HTTP Method Registry"), with PURGE of caches.
const REGISTERED: [&str; 41] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PRI",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// True if a token differs from a registered method only in case. Methods are compared by bytes, but some
/// frameworks turn `post` into `POST`, and a decision about the one would then apply to the other.
#[must_use]
pub fn is_method_in_other_case(name: &str) -> bool {
    name.bytes().any(|byte| byte.is_ascii_lowercase())
        && REGISTERED
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
}

/// The methods an app takes. Empty, the default: any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Methods(Vec<String>);

impl Methods {
    /// The methods of a list whose members [`Self::parse`] has read.
    pub(super) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Reads one member of the list.
    pub(super) fn parse(text: &str) -> Result<String, String> {
        let is_token = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        if text.is_empty() || !is_token {
            return Err(format!(
                r#"{text:?} is not a method; write one such as "GET" or "PROPFIND""#
            ));
        }
        if text.len() > LONGEST_METHOD {
            return Err(format!(
                "{text:?} is longer than any method that passes; write at most {LONGEST_METHOD} letters"
            ));
        }
        if is_method_in_other_case(text) {
            let capitals = text.to_ascii_uppercase();
            return Err(format!(
                r#"{text:?} is refused, because methods are written in capitals; write "{capitals}""#
            ));
        }
        match text {
            "CONNECT" => Err(
                r#""CONNECT" never reaches an app; leave it out: WebSockets over HTTP/2 come with "GET""#
                    .to_owned(),
            ),
            "TRACE" | "PRI" => Err(format!(
                "{text:?} never reaches an app; leave it out"
            )),
            _ => Ok(text.to_owned()),
        }
    }

    /// True if the app accepts a method. HEAD comes with GET (RFC 9110 §9.3.2).
    #[must_use]
    pub fn permits(&self, method: &str) -> bool {
        let lists = |name: &str| self.0.iter().any(|listed| listed == name);
        self.0.is_empty() || lists(method) || (method == "HEAD" && lists("GET"))
    }

    /// True if the other list permits all methods of this one.
    #[must_use]
    pub fn permit_no_more_than(&self, other: &Self) -> bool {
        other.0.is_empty() || (!self.0.is_empty() && self.0.iter().all(|name| other.permits(name)))
    }

    /// The value of `Allow` (RFC 9110 §10.2.1); none where any method is taken.
    #[must_use]
    pub fn allow(&self) -> Option<String> {
        let lists = |name: &str| self.0.iter().any(|listed| listed == name);
        let listed = self.0.join(", ");
        let has_head = lists("HEAD") || !lists("GET");
        match self.0.len() {
            0 => None,
            _ if has_head => Some(listed),
            _ => Some(format!("{listed}, HEAD")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_permits_its_methods_and_head_with_get() {
        let methods = Methods::new(vec!["GET".to_owned(), "PROPFIND".to_owned()]);
        for method in ["GET", "HEAD", "PROPFIND"] {
            assert!(methods.permits(method), "{method}");
        }
        for method in ["POST", "propfind", "PROPPATCH", ""] {
            assert!(!methods.permits(method), "{method}");
        }
        assert_eq!(methods.allow().as_deref(), Some("GET, PROPFIND, HEAD"));
        let posts = Methods::new(vec!["POST".to_owned()]);
        assert!(!posts.permits("HEAD"));
        assert_eq!(posts.allow().as_deref(), Some("POST"));
        assert!(Methods::default().permits("BREW"));
        assert_eq!(Methods::default().allow(), None);
    }

    #[test]
    fn a_token_is_another_spelling_of_a_registered_method_by_its_case_only() {
        for name in ["get", "Post", "propFIND", "Version-Control", "trace"] {
            assert!(is_method_in_other_case(name), "{name}");
        }
        for name in ["GET", "BREW", "brew", "Propfinds", "M-SEARCH"] {
            assert!(!is_method_in_other_case(name), "{name}");
        }
    }
}
