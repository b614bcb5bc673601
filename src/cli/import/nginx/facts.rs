//! The properties of a request that are known in advance: its listener and its host name. Variables and conditions are
//! evaluated with them; all other values are unknown. Must not know routes.

use std::collections::HashMap;

use super::pattern::Globs;
use super::syntax::Directive;

/// The known properties of a kind of request.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) tls: bool,
    pub(super) port: String,
    /// The requested host name, if it is a single one.
    pub(super) host: Option<String>,
    /// The first name of the server.
    pub(super) server_name: String,
    /// Variables of `set` whose value is always the same; `None` for one whose value is unknown.
    set: HashMap<String, Option<String>>,
}

/// The value of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    Unknown,
}

impl Truth {
    fn of(value: Option<bool>) -> Self {
        match value {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// A condition, split into its parts.
#[derive(Debug)]
pub(super) struct Condition<'a> {
    pub(super) left: &'a str,
    pub(super) operator: &'a str,
    pub(super) right: String,
}

impl<'a> Condition<'a> {
    /// Parses `if ($a = b)`.
    pub(super) fn of(directive: &'a Directive) -> Self {
        let words = directive.arguments();
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let Some(first) = words.first_mut() {
            *first = first.strip_prefix('(').unwrap_or(first);
        }
        if let Some(last) = words.last_mut() {
            *last = last.strip_suffix(')').unwrap_or(last);
        }
        words.retain(|word| !word.is_empty());
        let mut words = words.into_iter();
        let first = words.next().unwrap_or_default();
        if first.starts_with('-') || first.starts_with("!-") {
            let file = words.next().unwrap_or_default();
            return Self {
                left: file,
                operator: first,
                right: String::new(),
            };
        }
        Self {
            left: first,
            operator: words.next().unwrap_or_default(),
            right: words.collect::<Vec<_>>().join(" "),
        }
    }

    /// True if the condition compares one of these variables.
    pub(super) fn is_about(&self, variables: &[&str]) -> bool {
        variables.contains(&self.left)
    }
}

impl Facts {
    pub(super) fn new(tls: bool, port: &str, host: Option<&str>, server_name: &str) -> Self {
        Self {
            tls,
            port: port.to_owned(),
            host: host.map(str::to_owned),
            server_name: server_name.to_owned(),
            set: HashMap::new(),
        }
    }

    /// Applies `set $name value`; `is_certain` is false if only some requests reach it.
    pub(super) fn set(&mut self, directive: &Directive, is_certain: bool) {
        let Some(name) = directive.argument(0).strip_prefix('$') else {
            return;
        };
        let value = self.expand(directive.argument(1)).filter(|_| is_certain);
        self.set.insert(name.to_owned(), value);
    }

    fn value(&self, name: &str) -> Option<String> {
        if let Some(value) = self.set.get(name) {
            return value.clone();
        }
        let by_tls = |yes: &str, no: &str| Some(if self.tls { yes } else { no }.to_owned());
        match name {
            "scheme" => by_tls("https", "http"),
            "https" => by_tls("on", ""),
            "server_port" => Some(self.port.clone()),
            "server_name" => Some(self.server_name.clone()),
            "host" => self.host.clone(),
            name if name.starts_with("ssl_") && !self.tls => Some(String::new()),
            _ => None,
        }
    }

    /// Expands the variables in a text; `None` if the value of one of them is unknown.
    pub(super) fn expand(&self, text: &str) -> Option<String> {
        let mut pieces = text.split('$');
        let mut whole = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (name, behind) = if let Some(rest) = piece.strip_prefix('{') {
                rest.split_once('}')?
            } else {
                let is_part = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
                let end = piece.find(|sign| !is_part(sign)).unwrap_or(piece.len());
                piece.split_at(end)
            };
            if name.is_empty() {
                return None;
            }
            whole.push_str(&self.value(name)?);
            whole.push_str(behind);
        }
        Some(whole)
    }

    /// The value of a condition for all requests of this kind.
    pub(super) fn truth(&self, condition: &Condition<'_>) -> Truth {
        if condition.operator.starts_with('-') || condition.operator.starts_with("!-") {
            return Truth::Unknown;
        }
        let left = self.expand(condition.left);
        let same = || Some(left.clone()? == self.expand(&condition.right)?);
        let fits = |any_case| {
            let globs = Globs::read(&condition.right, any_case);
            globs.fits(left.as_deref()?)
        };
        match condition.operator {
            "" => Truth::of(left.map(|value| !value.is_empty() && value != "0")),
            "=" | "==" => Truth::of(same()),
            "!=" => Truth::of(same()).not(),
            "~" => Truth::of(fits(false)),
            "~*" => Truth::of(fits(true)),
            "!~" => Truth::of(fits(false)).not(),
            "!~*" => Truth::of(fits(true)).not(),
            _ => Truth::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::import::nginx::syntax::read;

    #[test]
    fn conditions_about_what_is_known_are_decided_and_others_are_not() {
        let mut facts = Facts::new(true, "443", Some("a.example"), "a.example");
        for (condition, truth) in [
            ("$scheme = https", Truth::Yes),
            ("$scheme != https", Truth::No),
            ("$scheme ~ ^http$", Truth::No),
            ("$https", Truth::Yes),
            ("$server_port = 80", Truth::No),
            ("$host = a.example", Truth::Yes),
            ("$host !~* ^(a|b)\\.example$", Truth::No),
            ("$host ~ [a-z]q", Truth::No),
            ("$host ~ [a-z]", Truth::Unknown),
            ("$http_x = 1", Truth::Unknown),
            ("-f /x", Truth::Unknown),
            ("$ssl_protocol = \"\"", Truth::Unknown),
        ] {
            let text = format!("if ({condition}) {{ return 403; }}");
            let read = read(&text, "n", &|_| None).expect("a condition");
            let parts = Condition::of(read.first().expect("one"));
            assert_eq!(facts.truth(&parts), truth, "{condition}");
        }
        let set = |text: &str| read(text, "n", &|_| None).expect("set").remove(0);
        facts.set(&set("set $up 127.0.0.1:9;"), true);
        facts.set(&set("set $all http://${up}/x;"), true);
        assert_eq!(
            facts.expand("$all").as_deref(),
            Some("http://127.0.0.1:9/x")
        );
        facts.set(&set("set $up other;"), false);
        assert_eq!(facts.expand("http://$up"), None);
        assert_eq!(facts.expand("$http_x"), None);
    }
}
