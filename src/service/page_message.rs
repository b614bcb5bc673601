//! A message of a page as a request to the app: with headers that begin with `Noren-`, which are removed from every
//! request of a client.
//!
//! Independent of permissions, and of the response.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderName, HeaderValue};

use crate::config::ChannelName;
use crate::text::percent::encoded;

/// Header with the channel of a message or of a presence hook, in a request to an app. No client can send it.
pub(super) const CHANNEL: &str = "noren-channel";
/// Header with the name of the event, in both directions; percent-encoded in a request to an app.
pub(super) const EVENT: &str = "noren-event";
/// Header with the key, in both directions; percent-encoded in a request to an app.
pub(super) const KEY: &str = "noren-key";
/// Header with the publisher's own id of the message, in both directions.
pub(super) const ID: &str = "noren-id";

/// A message of a page, for a request to the app.
pub(super) struct PageMessage {
    pub(super) event: Option<String>,
    pub(super) key: Option<String>,
    /// The page's own id of the message.
    pub(super) id: Option<String>,
    pub(super) bytes: Bytes,
}

impl PageMessage {
    /// The query parameters, for apps that cannot read headers. A body may contain parameters of the same names, so
    /// apps should trust the headers.
    pub(super) fn query(&self, channel: &ChannelName) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("channel", channel.as_str());
        for (name, value) in [("event", &self.event), ("key", &self.key)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }

    pub(super) fn headers(&self, channel: &ChannelName) -> HeaderMap {
        let mut headers = HeaderMap::new();
        set_own(&mut headers, CHANNEL, channel.as_str());
        for (name, value) in [(EVENT, &self.event), (KEY, &self.key), (ID, &self.id)] {
            if let Some(value) = value {
                set_own(&mut headers, name, value);
            }
        }
        headers
    }
}

/// Sets a media type that no app parses as a form, whose fields would mix with Noren's parameters: many apps parse
/// forms, and some take a body without a type for one.
pub(super) fn set_message_type(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let kind = match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().map(essence).unwrap_or_default(),
        _ => "",
    };
    let replaced = if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        "text/plain; charset=utf-8"
    } else if kind.is_empty()
        || !kind.contains('/')
        || kind.contains([',', ' '])
        || is_multipart(kind)
    {
        "application/octet-stream"
    } else {
        return;
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(replaced));
}

fn is_multipart(kind: &str) -> bool {
    let begin = kind.get(..10);
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case("multipart/"))
}

/// A media type without its parameters.
pub(super) fn essence(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

/// Sets a header of our own. Characters with another meaning are percent-encoded.
pub(super) fn set_own(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::try_from(encoded(value)) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_is_a_form_for_the_app() {
        for (sent, passed) in [
            (&["application/json"][..], "application/json"),
            (&["text/html; charset=utf-8"], "text/html; charset=utf-8"),
            (
                &["application/x-www-form-urlencoded"],
                "text/plain; charset=utf-8",
            ),
            (
                &["Application/X-WWW-Form-URLencoded ;a=b"],
                "text/plain; charset=utf-8",
            ),
            (
                &["multipart/form-data; boundary=x"],
                "application/octet-stream",
            ),
            (&["Multipart/mixed"], "application/octet-stream"),
            (&[], "application/octet-stream"),
            (&[""], "application/octet-stream"),
            (&["text"], "application/octet-stream"),
            (
                &["text/plain, application/x-www-form-urlencoded"],
                "application/octet-stream",
            ),
            (
                &["text/plain", "application/x-www-form-urlencoded"],
                "application/octet-stream",
            ),
        ] {
            let mut headers = HeaderMap::new();
            for line in sent {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(line));
            }
            set_message_type(&mut headers);
            let left: Vec<_> = headers.get_all(CONTENT_TYPE).iter().collect();
            assert_eq!(left, [passed], "{sent:?}");
        }
    }

    #[test]
    fn a_label_cannot_be_taken_for_another_parameter() {
        let channel = ChannelName::parse("lobby").expect("a name");
        let message = PageMessage {
            event: Some("a&channel=kitchen;channel=kitchen\r\n".to_owned()),
            key: Some("\u{e9}".to_owned()),
            id: None,
            bytes: Bytes::new(),
        };
        assert_eq!(
            message.query(&channel),
            "channel=lobby&event=a%26channel%3Dkitchen%3Bchannel%3Dkitchen%0D%0A&key=%C3%A9"
        );
        let headers = message.headers(&channel);
        assert_eq!(headers.get(CHANNEL).expect("a channel"), "lobby");
        let event = "a%26channel%3Dkitchen%3Bchannel%3Dkitchen%0D%0A";
        assert_eq!(headers.get(EVENT).expect("an event"), event);
        assert_eq!(headers.get(KEY).expect("a key"), "%C3%A9");
    }
}
