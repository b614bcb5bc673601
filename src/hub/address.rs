//! Parses the URL below the hub's path: resource, channel names, query parameters. Looks up no channel.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use http::header::IF_NONE_MATCH;

use crate::config::ChannelName;
use crate::hub::message::From;
use crate::hub::wire::Format;

/// Limit on the number of channels in one stream.
const MOST_CHANNELS: usize = 64;

/// The resource that a URL below the hub's path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address<'a> {
    /// Messages of these channels, in one stream.
    Channels(Vec<ChannelName>),
    /// The presence (subscribers) of a channel.
    Presence(ChannelName),
    /// A file of the page library.
    Asset(&'a str),
    /// The `SockJS` endpoint; the value is the rest of its path.
    SockJs(&'a str),
}

impl<'a> Address<'a> {
    /// Parses the part of the path behind the hub's path and a slash. `None` if no such resource exists.
    #[must_use]
    pub(crate) fn parse(rest: &'a str) -> Option<Self> {
        match rest.split_once('/') {
            None => names(rest).map(Self::Channels),
            Some(("-", file)) => Some(Self::Asset(file)),
            Some(("sockjs", rest)) => Some(Self::SockJs(rest)),
            Some((name, "presence")) => ChannelName::parse(name).ok().map(Self::Presence),
            Some(_) => None,
        }
    }
}

/// Parses `a,b,c` (already percent-decoded) into channel names: duplicates are dropped, order is kept.
#[must_use]
pub(crate) fn names(list: &str) -> Option<Vec<ChannelName>> {
    let mut names = Vec::new();
    for name in list.split(',') {
        let name = ChannelName::parse(name).ok()?;
        if !names.contains(&name) {
            names.push(name);
        }
        if names.len() > MOST_CHANNELS {
            return None;
        }
    }
    Some(names)
}

/// The parameters of a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// Cursor to resume from (`last-event-id`).
    pub cursor: Option<String>,
    /// Wire format of the messages (`format`).
    pub format: Option<Format>,
    /// Time limit of a long poll (`wait`).
    pub wait: Option<Duration>,
    /// `keep-alive=event`: an event stream sends its heartbeats as events that a page can see, not as comments.
    pub named_keep_alive: bool,
    /// Event name of a published message (`event`).
    pub event: Option<String>,
    /// Key of a published message (`key`).
    pub key: Option<String>,
}

impl Parameters {
    /// Parses a query string.
    ///
    /// # Errors
    /// The message says which parameter has an invalid value. Unknown parameters are ignored.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, &'static str> {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "last-event-id" => parameters.cursor = Some(value.into_owned()),
                "event" => parameters.event = some(value),
                "key" => parameters.key = some(value),
                "keep-alive" => parameters.named_keep_alive = value == "event",
                "format" => {
                    parameters.format = Some(match value.as_ref() {
                        "json" => Format::Json,
                        "plain" => Format::Plain,
                        _ => return Err("the format of messages is json or plain"),
                    });
                }
                "wait" => {
                    let seconds = value.parse().map_err(|_| "wait is a number of seconds")?;
                    parameters.wait = Some(Duration::from_secs(seconds));
                }
                _ => {}
            }
        }
        Ok(parameters)
    }

    /// Starting position of a subscription. The `Last-Event-ID` header wins over the URL, because a browser
    /// updates the header after a lost connection and goes on using the old URL.
    #[must_use]
    pub(crate) fn begin(&self, headers: &HeaderMap) -> From {
        let header = headers.get("last-event-id");
        let header = header.and_then(|value| value.to_str().ok());
        let cursor = header.or(self.cursor.as_deref());
        From::parse(cursor.or_else(|| etag(headers)))
    }
}

/// Cursor in an `If-None-Match` header (RFC 9110 §13.1.2), from a weak or a strong entity tag.
#[must_use]
pub(crate) fn etag(headers: &HeaderMap) -> Option<&str> {
    let tag = headers.get(IF_NONE_MATCH)?.to_str().ok()?;
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"')?.strip_suffix('"')
}

fn some(value: Cow<'_, str>) -> Option<String> {
    (!value.is_empty()).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(list: &str) -> Option<Vec<String>> {
        let names = names(list)?;
        Some(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn one_segment_names_the_channels() {
        assert_eq!(
            channels("a,job.1,a"),
            Some(vec!["a".into(), "job.1".into()])
        );
        for list in ["", ",", "a,", "a b", "*", "a%00", "a%2Cb"] {
            assert_eq!(channels(list), None, "{list}");
        }
        let many: Vec<_> = (0..65).map(|number| number.to_string()).collect();
        assert_eq!(channels(&many.join(",")), None);
    }

    #[test]
    fn other_segments_lead_elsewhere() {
        assert!(matches!(
            Address::parse("a/presence"),
            Some(Address::Presence(_))
        ));
        assert_eq!(
            Address::parse("-/noren.js"),
            Some(Address::Asset("noren.js"))
        );
        assert_eq!(
            Address::parse("sockjs/a/info"),
            Some(Address::SockJs("a/info"))
        );
        assert_eq!(Address::parse("a/b"), None);
    }

    #[test]
    fn the_header_of_a_browser_that_comes_back_wins() {
        let parameters = Parameters::parse(Some("last-event-id=a:1")).expect("parameters");
        let mut headers = HeaderMap::new();
        assert_eq!(parameters.begin(&headers), From::parse(Some("a:1")));
        headers.insert("last-event-id", "a:2".parse().expect("a value"));
        assert_eq!(parameters.begin(&headers), From::parse(Some("a:2")));
        let mut polls = HeaderMap::new();
        polls.insert("if-none-match", "W/\"a:3\"".parse().expect("a value"));
        assert_eq!(
            Parameters::default().begin(&polls),
            From::parse(Some("a:3"))
        );
    }

    #[test]
    fn a_parameter_that_is_wrong_is_told() {
        assert!(Parameters::parse(Some("format=xml")).is_err());
        assert!(Parameters::parse(Some("wait=soon")).is_err());
        assert!(Parameters::parse(Some("other=1&wait=3")).is_ok());
    }
}
