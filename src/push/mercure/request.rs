//! The parameters of a subscription: its selectors and its cursor. Does not check permissions.

use http::HeaderMap;

use crate::config::MercureVersion;

use super::characters::{are_visible, pairs};
use super::rules::Rules;
use super::selector::{Selector, SelectorKind};

/// Header with the cursor of an `EventSource` that reconnects.
const LAST_EVENT_ID: &str = "last-event-id";

/// A requested subscription.
#[derive(Debug)]
pub(crate) struct Order {
    /// The version of the protocol that it speaks.
    pub version: MercureVersion,
    /// The selectors, without repetitions.
    pub selectors: Vec<Selector>,
    /// The cursor, if it has one.
    pub last_event_id: Option<String>,
}

impl Order {
    /// Reads the query and, of a request with the method QUERY, the body. The form of the parameters shows the version.
    ///
    /// # Errors
    /// The reason why they are malformed.
    pub(crate) fn read(
        query: Option<&str>,
        body: &[u8],
        headers: &HeaderMap,
        rules: &Rules,
    ) -> Result<Self, &'static str> {
        const NO_UTF8: &str = "the parameters are not UTF-8";
        let mut parameters = pairs(query.unwrap_or_default().as_bytes()).ok_or(NO_UTF8)?;
        parameters.extend(pairs(body).ok_or(NO_UTF8)?);
        let version = version(&parameters, rules)?;
        let mut selectors: Vec<Selector> = Vec::new();
        for (name, value) in &parameters {
            let Some(kind) = kind(name, version)? else {
                continue;
            };
            if value.len() > rules.settings.topic_length {
                return Err("a selector is too long (mercure.topic-length)");
            }
            if !are_visible(value) {
                return Err("a selector has control or invisible characters");
            }
            let is_same = |other: &Selector| other.kind == kind && *other.text == **value;
            if selectors.iter().any(is_same) {
                continue;
            }
            if selectors.len() >= rules.settings.selectors {
                return Err("there are too many selectors (mercure.selectors)");
            }
            let selector = Selector::parse(kind, value, &rules.base);
            selectors.push(selector.ok_or("a URL pattern is malformed, or too large")?);
        }
        if selectors.iter().filter(|one| one.is_pattern()).count() > rules.settings.patterns {
            return Err("there are too many templates or URL patterns (mercure.patterns)");
        }
        let cursor = match version {
            MercureVersion::Draft => "lastEventID",
            MercureVersion::One => "last_event_id",
        };
        let in_header = headers
            .get(LAST_EVENT_ID)
            .and_then(|value| String::from_utf8(value.as_bytes().to_vec()).ok());
        let mut parameters = parameters.into_iter();
        let in_query = || {
            parameters
                .find(|(name, _)| name == cursor)
                .map(|(_, value)| value)
        };
        let last_event_id = in_header
            .filter(|id| !id.is_empty())
            .or_else(in_query)
            .filter(|id| !id.is_empty());
        Ok(Self {
            version,
            selectors,
            last_event_id,
        })
    }
}

/// The version that these parameters belong to.
fn version(parameters: &[(String, String)], rules: &Rules) -> Result<MercureVersion, &'static str> {
    use MercureVersion::{Draft, One};
    let has = |version| {
        rules.speaks(version)
            && parameters.iter().any(|(name, _)| match version {
                Draft => name == "topic",
                One => is_of_match(name),
            })
    };
    match (has(Draft), has(One)) {
        (true, false) => Ok(Draft),
        (false, true) => Ok(One),
        (true, true) => Err("topic is of version 0.x and match of version 1.0; write one of them"),
        (false, false) if rules.speaks(Draft) => Err("the parameter topic is missing"),
        (false, false) => Err("the parameter match or match_urlpattern is missing"),
    }
}

/// True for the names that version 1.0 has reserved.
fn is_of_match(name: &str) -> bool {
    let begin = name.get(..5);
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case("match"))
}

/// The kind of the selector that a parameter has; `None` if it has none.
fn kind(name: &str, version: MercureVersion) -> Result<Option<SelectorKind>, &'static str> {
    match (version, name) {
        (MercureVersion::Draft, "topic") => Ok(Some(SelectorKind::Topic)),
        (MercureVersion::One, "match") => Ok(Some(SelectorKind::Exact)),
        (MercureVersion::One, name) if is_of_match(name) => {
            let kind = name
                .strip_prefix("match_")
                .and_then(SelectorKind::of_match_type);
            kind.map(Some).ok_or(
                "there is no such kind of matcher; write match, match_exact or match_urlpattern",
            )
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mercure;
    use http::HeaderValue;

    fn read_with(
        query: &str,
        header: Option<&'static str>,
        settings: Mercure,
    ) -> Result<Order, &'static str> {
        let rules = Rules::new(settings).expect("rules");
        let mut headers = HeaderMap::new();
        if let Some(id) = header {
            headers.insert(LAST_EVENT_ID, HeaderValue::from_static(id));
        }
        Order::read(Some(query), b"", &headers, &rules)
    }

    fn read(query: &str) -> Result<Order, &'static str> {
        let settings = Mercure {
            selectors: 3,
            patterns: 1,
            ..Mercure::default()
        };
        read_with(query, None, settings)
    }

    fn texts(order: &Order) -> Vec<(SelectorKind, &str)> {
        let selectors = order.selectors.iter();
        selectors.map(|one| (one.kind, one.text.as_ref())).collect()
    }

    #[test]
    fn the_form_of_the_parameters_shows_the_version() {
        use SelectorKind::{Exact, Topic, UrlPattern};
        let draft = read("topic=a&topic=b%7Bc%7D&topic=a&x=y").expect("an order");
        assert_eq!(draft.version, MercureVersion::Draft);
        assert_eq!(texts(&draft), [(Topic, "a"), (Topic, "b{c}")]);
        let one = read("match=a&match_exact=b&match_urlpattern=/c/:d").expect("an order");
        assert_eq!(one.version, MercureVersion::One);
        assert_eq!(
            texts(&one),
            [(Exact, "a"), (Exact, "b"), (UrlPattern, "/c/:d")]
        );
        for query in [
            "",
            "x=y",
            "topic=a&match=b",
            "match=a&Match=b",
            "matcher=a",
            "match_regexp=a",
            "MATCH_EXACT=a",
            "match_=a",
            "match=%ff",
            "topic=a%00",
            "topic=1&topic=2&topic=3&topic=4",
            "topic=%7Ba%7D&topic=%7Bb%7D",
            "match_urlpattern=(",
            "match=a%E2%80%8B",
        ] {
            assert!(read(query).is_err(), "{query}");
        }
        let only = |version| Mercure {
            versions: vec![version],
            ..Mercure::default()
        };
        assert!(read_with("topic=a", None, only(MercureVersion::One)).is_err());
        assert!(read_with("match=a", None, only(MercureVersion::Draft)).is_err());
        assert!(read_with("topic=a&matches=1", None, only(MercureVersion::Draft)).is_ok());
    }

    #[test]
    fn the_header_wins_over_the_parameter() {
        let cursor = |query: &str, header| {
            let order = read_with(query, header, Mercure::default()).expect("an order");
            order.last_event_id
        };
        assert_eq!(
            cursor("topic=a&lastEventID=q", Some("h")).as_deref(),
            Some("h")
        );
        assert_eq!(cursor("topic=a&lastEventID=q", None).as_deref(), Some("q"));
        assert_eq!(
            cursor("match=a&last_event_id=q", None).as_deref(),
            Some("q")
        );
        assert_eq!(
            cursor("match=a&last_event_id=q&last_event_id=r", None).as_deref(),
            Some("q")
        );
        assert_eq!(
            cursor("match=a&last_event_id=q", Some("")).as_deref(),
            Some("q")
        );
        assert_eq!(cursor("match=a&lastEventID=q", None), None);
        assert_eq!(cursor("topic=a&last_event_id=q", None), None);
    }

    #[test]
    fn a_body_and_the_query_are_one() {
        let rules = Rules::new(Mercure::default()).expect("rules");
        let order = Order::read(
            Some("match=a&last_event_id=q"),
            b"match=b&last_event_id=b",
            &HeaderMap::new(),
            &rules,
        );
        let order = order.expect("an order");
        let expected = [(SelectorKind::Exact, "a"), (SelectorKind::Exact, "b")];
        assert_eq!(texts(&order), expected);
        assert_eq!(order.last_event_id.as_deref(), Some("q"));
    }
}
