//! `remove`, `set`, `add` and `default`: rules for the header fields of responses, or of requests to an app. This file
//! reads them and merges those of two tables; `http::header_rules` applies them.

use std::cell::RefCell;
use std::collections::HashMap;

use http::header::{
    CACHE_CONTROL, EXPIRES, HeaderName, HeaderValue, PRAGMA, STRICT_TRANSPORT_SECURITY,
};

use super::header_fields::{Operation, Side};
use super::reader::Table;

/// The most names, or lines with values, in one of the lists.
const MOST: usize = 100;
/// The longest value, in bytes. Clients and apps refuse heads that are not much larger.
const LONGEST: usize = 8 * 1024;
/// The beginnings of variables in the files of nginx, Caddy and HAProxy.
const VARIABLES: [&str; 18] = [
    "$arg_",
    "$cookie_",
    "$host",
    "$http_",
    "$proxy_",
    "$realip_",
    "$remote_",
    "$request",
    "$scheme",
    "$sent_http_",
    "$server_",
    "$ssl_",
    "$upstream_",
    "$uri",
    "{host}",
    "{http.",
    "{remote",
    "%[",
];

/// The rules of one table. No name stands in two of the lists, or twice in one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// `remove`: fields that are taken away.
    pub remove: Vec<HeaderName>,
    /// `set`: fields that take the place of all others of their name.
    pub set: Vec<Field>,
    /// `add`: fields that stand beside others of their name.
    pub add: Vec<Field>,
    /// `default`: fields for messages that have none of their name.
    pub default: Vec<Field>,
}

/// One field, with a line for each value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Name of the header.
    pub name: HeaderName,
    /// Values of the header; at least one.
    pub values: Vec<HeaderValue>,
    /// The responses it is for. Requests get all fields.
    pub scope: Scope,
}

/// The responses a field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Every,
    /// Responses over TLS only: HSTS must not be sent without it (RFC 6797 §7.2).
    Tls,
    /// Responses with a status below 400 only: a cache would keep an error for as long as the page.
    Success,
}

impl HeaderRules {
    /// A table of rules and nothing else.
    pub(super) fn read_table(table: &mut Table<'_>, key: &'static str, side: Side) -> Self {
        table.table(key, |table| Self::read(table, side))
    }

    /// The four keys of a table that may have others.
    pub(super) fn read(table: &mut Table<'_>, side: Side) -> Self {
        let names = Names::new(side);
        let rules = Self {
            remove: table.list("remove", Vec::new(), |name| {
                names.take(name, Operation::Remove)
            }),
            set: fields(table, Operation::Set, &names),
            add: fields(table, Operation::Add, &names),
            default: fields(table, Operation::Default, &names),
        };
        rules.check_number(table);
        rules
    }

    /// Each message is taken through each rule, and clients and apps take no more lines than some hundreds.
    fn check_number(&self, table: &Table<'_>) {
        let lines = |fields: &[Field]| fields.iter().map(|field| field.values.len()).sum();
        for (key, number) in [
            ("remove", self.remove.len()),
            ("set", lines(&self.set)),
            ("add", lines(&self.add)),
            ("default", lines(&self.default)),
        ] {
            if number > MOST {
                let text = format!("has {number} headers; {MOST} is the most");
                table.problem(key, text);
            }
        }
    }

    /// One field that messages get which have none of its name.
    pub(super) fn defaulting(name: HeaderName, value: &str) -> Option<Field> {
        let value = HeaderValue::from_str(value).ok()?;
        (!value.is_empty()).then(|| Field::new(name, vec![value]))
    }

    /// True if there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty()
            && self.set.is_empty()
            && self.add.is_empty()
            && self.default.is_empty()
    }

    /// True if a rule concerns this name.
    #[must_use]
    pub fn names(&self, name: &HeaderName) -> bool {
        self.removes(name)
            || [&self.set, &self.add, &self.default]
                .iter()
                .any(|fields| fields.iter().any(|field| field.name == *name))
    }

    /// True if a field of this name is removed.
    #[must_use]
    pub fn removes(&self, name: &HeaderName) -> bool {
        self.remove.contains(name)
    }

    /// Combines these rules with the general ones for other headers: a table never cancels a rule for a header that
    /// it does not name.
    #[must_use]
    pub fn combined_with(&self, general: &Self) -> Self {
        let is_other = |name: &HeaderName| !self.names(name);
        let merge = |own: &[Field], general: &[Field]| {
            let inherited = general.iter().filter(|field| is_other(&field.name));
            own.iter().chain(inherited).cloned().collect()
        };
        let removed = general.remove.iter().filter(|name| is_other(name));
        Self {
            remove: self.remove.iter().chain(removed).cloned().collect(),
            set: merge(&self.set, &general.set),
            add: merge(&self.add, &general.add),
            default: merge(&self.default, &general.default),
        }
    }
}

impl Field {
    fn new(name: HeaderName, values: Vec<HeaderValue>) -> Self {
        let scope = if name == STRICT_TRANSPORT_SECURITY {
            Scope::Tls
        } else if is_for_caches(&name) && !values.iter().any(keeps_out_of_caches) {
            Scope::Success
        } else {
            Scope::Every
        };
        Self {
            name,
            values,
            scope,
        }
    }
}

/// True if a field controls caching.
fn is_for_caches(name: &HeaderName) -> bool {
    [CACHE_CONTROL, EXPIRES, PRAGMA].contains(name)
        || name.as_str().ends_with("-cache-control")
        || name.as_str() == "surrogate-control"
}

/// True if a value keeps a response out of caches.
fn keeps_out_of_caches(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    ["no-store", "no-cache"]
        .iter()
        .any(|word| text.contains(word))
}

fn fields(table: &mut Table<'_>, operation: Operation, names: &Names) -> Vec<Field> {
    table.table(operation.key(), |table| {
        let mut fields = Vec::new();
        table.each_named(|name, values| {
            let name = names.take(name, operation)?;
            let values: Result<_, _> = values
                .iter()
                .map(|text| parse_value(text, &name, names.side))
                .collect();
            fields.push(Field::new(name, values?));
            Ok(())
        });
        fields
    })
}

/// The names that have come in one table, each with its list.
struct Names {
    side: Side,
    taken: RefCell<HashMap<HeaderName, Operation>>,
}

impl Names {
    fn new(side: Side) -> Self {
        Self {
            side,
            taken: RefCell::default(),
        }
    }

    /// Reads a name, which must be the file's to touch, and new here.
    fn take(&self, text: &str, operation: Operation) -> Result<HeaderName, String> {
        let name = self.side.parse(text, operation)?;
        let mut taken = self.taken.borrow_mut();
        if let Some(other) = taken.get(&name) {
            return Err(if *other == operation {
                format!(
                    "{text} stands here twice; write it once, with a list of values if it has several"
                )
            } else {
                format!(
                    "{text} stands in {} as well; write it into one of the two (set takes the place of what is there, \
                     add stands beside it, default is for where there is none)",
                    other.key()
                )
            });
        }
        taken.insert(name.clone(), operation);
        Ok(name)
    }
}

/// Parses a value (RFC 9110 §5.5) without the bytes that implementations treat differently. A line break would let
/// the file write a second field.
fn parse_value(text: &str, name: &HeaderName, side: Side) -> Result<HeaderValue, String> {
    if text.is_empty() {
        return Err(format!(
            "is empty; to take the header away, write remove = [\"{name}\"]"
        ));
    }
    if let Some(variable) = VARIABLES.iter().find(|start| text.contains(**start)) {
        return Err(format!(
            "{text:?} has a variable of another program ({variable}…), and would be sent as it stands; write a fixed \
             text{}",
            side.instead_of_variables()
        ));
    }
    if text.len() > LONGEST {
        return Err(format!(
            "has {} bytes, which many programs refuse; write at most {LONGEST}",
            text.len()
        ));
    }
    let fits = |c: char| c.is_ascii_graphic() || matches!(c, ' ' | '\t');
    let value = HeaderValue::from_str(text)
        .ok()
        .filter(|_| text.chars().all(fits) && text.trim() == text);
    let mut value = value.ok_or_else(|| {
        format!("{text:?} cannot stand in a header; write visible ASCII without spaces around it")
    })?;
    // An app may know its door by a secret in a header.
    value.set_sensitive(side.may_be_secret());
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &'static str) -> Field {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        Field::new(name, vec![HeaderValue::from_static(value)])
    }

    #[test]
    fn a_table_takes_away_only_the_general_rules_that_it_has_rules_for() {
        let general = HeaderRules {
            remove: vec![HeaderName::from_static("server")],
            set: vec![field("referrer-policy", "no-referrer"), field("x-a", "1")],
            add: vec![field("link", "</a>")],
            default: vec![
                field("x-frame-options", "DENY"),
                field("x-b", "1"),
                field("x-c", "1"),
            ],
        };
        let own = HeaderRules {
            remove: vec![
                HeaderName::from_static("x-frame-options"),
                HeaderName::from_static("x-a"),
            ],
            set: vec![field("x-b", "2")],
            add: vec![field("link", "</b>")],
            default: vec![field("server", "mine")],
        };
        let merged = own.combined_with(&general);
        assert_eq!(merged.remove, own.remove);
        assert_eq!(
            merged.set,
            [field("x-b", "2"), field("referrer-policy", "no-referrer")]
        );
        assert_eq!(merged.add, [field("link", "</b>")]);
        assert_eq!(merged.default, [field("server", "mine"), field("x-c", "1")]);
        assert_eq!(HeaderRules::default().combined_with(&general), general);
        assert!(HeaderRules::default().is_empty() && !general.is_empty());
    }

    #[test]
    fn what_lets_a_response_be_kept_is_for_no_error_and_hsts_for_tls() {
        for (name, value, scope) in [
            ("cache-control", "max-age=3600", Scope::Success),
            ("cache-control", "private", Scope::Success),
            ("cache-control", "No-Store", Scope::Every),
            ("expires", "Thu, 01 Jan 2099 00:00:00 GMT", Scope::Success),
            ("cdn-cache-control", "max-age=1", Scope::Success),
            ("surrogate-control", "max-age=1", Scope::Success),
            ("strict-transport-security", "max-age=1", Scope::Tls),
            (
                "content-security-policy",
                "default-src 'self'",
                Scope::Every,
            ),
        ] {
            assert_eq!(field(name, value).scope, scope, "{name}: {value}");
        }
    }
}
