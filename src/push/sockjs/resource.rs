//! Parses the URLs below a `SockJS` base URL. Has no side effects.

use http::Method;

use crate::config::ChannelName;
use crate::hub::channel_names;

/// Length limit of a session id; clients use about ten characters.
const LONGEST: usize = 128;

/// The resource that a URL below a `SockJS` base URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SockJsResource {
    /// The channels that the base URL names.
    pub channels: Vec<ChannelName>,
    pub(super) duty: Duty,
}

/// The kinds of URLs of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    Greeting,
    Info,
    /// A plain WebSocket without `SockJS` framing.
    RawSocket,
    /// The WebSocket of a session. It is a session by itself, whatever session id its URL contains.
    Socket,
    Session(Box<str>, Transport),
}

/// The HTTP transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Poll,
    Streaming,
    EventSource,
    Send,
}

impl SockJsResource {
    /// Parses the path behind `sockjs/`: `<channels>`, or a URL below it. `None` if the protocol has no such URL,
    /// or one that is not supported here.
    #[must_use]
    pub(crate) fn parse(rest: &str) -> Option<Self> {
        let (channels, below) = rest.split_once('/').unwrap_or((rest, ""));
        Some(Self {
            channels: channel_names(channels)?,
            duty: Duty::parse(below)?,
        })
    }

    /// True if the request subscribes or publishes, so that the visitor needs permission. A preflight needs none:
    /// it has no cookie, and its response reveals nothing.
    #[must_use]
    pub(crate) fn needs_permission(&self, method: &Method) -> bool {
        method != Method::OPTIONS && !matches!(self.duty, Duty::Greeting | Duty::Info)
    }
}

impl SockJsResource {
    /// The methods that the resource accepts.
    #[must_use]
    pub(crate) fn methods(&self) -> &'static str {
        self.duty.methods()
    }
}

impl Duty {
    fn parse(below: &str) -> Option<Self> {
        match below {
            "" => return Some(Self::Greeting),
            "info" => return Some(Self::Info),
            "websocket" => return Some(Self::RawSocket),
            _ => {}
        }
        let mut segments = below.split('/');
        // The server's number is for load balancers, and means nothing here.
        let (server, session) = (segments.next()?, segments.next()?);
        let sound = |part: &str| (1..=LONGEST).contains(&part.len()) && !part.contains('.');
        if !sound(server) || !sound(session) {
            return None;
        }
        let transport = match (segments.next()?, segments.next()) {
            ("websocket", None) => return Some(Self::Socket),
            ("xhr", None) => Transport::Poll,
            ("xhr_streaming", None) => Transport::Streaming,
            ("eventsource", None) => Transport::EventSource,
            ("xhr_send", None) => Transport::Send,
            _ => return None,
        };
        Some(Self::Session(session.into(), transport))
    }

    /// The methods that the resource accepts.
    pub(super) fn methods(&self) -> &'static str {
        match self.method() {
            Method::GET => "GET, OPTIONS",
            _ => "POST, OPTIONS",
        }
    }

    /// The method that the resource accepts besides OPTIONS.
    pub(super) fn method(&self) -> Method {
        match self {
            Self::Session(_, Transport::EventSource)
            | Self::Greeting
            | Self::Info
            | Self::RawSocket
            | Self::Socket => Method::GET,
            Self::Session(..) => Method::POST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duty(rest: &str) -> Option<Duty> {
        SockJsResource::parse(rest).map(|asked| asked.duty)
    }

    #[test]
    fn every_url_of_the_protocol_is_known() {
        assert_eq!(duty("wok"), Some(Duty::Greeting));
        assert_eq!(duty("wok,job.1/"), Some(Duty::Greeting));
        assert_eq!(duty("wok/info"), Some(Duty::Info));
        assert_eq!(duty("wok/websocket"), Some(Duty::RawSocket));
        assert_eq!(duty("wok/000/s/websocket"), Some(Duty::Socket));
        for (word, transport) in [
            ("xhr", Transport::Poll),
            ("xhr_streaming", Transport::Streaming),
            ("eventsource", Transport::EventSource),
            ("xhr_send", Transport::Send),
        ] {
            let session = "abc_i-j%20";
            let expected = Duty::Session(session.into(), transport);
            assert_eq!(duty(&format!("wok/_/{session}/{word}")), Some(expected));
        }
    }

    #[test]
    fn other_urls_do_not_exist() {
        for rest in [
            "",
            "/info",
            "a b/info",
            "wok//",
            "wok///",
            "wok/a",
            "wok/a/a",
            "wok/a/a/",
            "wok/iframe.html",
            "wok/iframe-1.6.1.html",
            "wok//s/xhr",
            "wok/a//xhr",
            "wok/a./a/xhr",
            "wok/a/a./xhr",
            "wok/a/a/xhr/",
            "wok/a/a/jsonp",
            "wok/a/a/jsonp_send",
            "wok/a/a/htmlfile",
        ] {
            assert_eq!(duty(rest), None, "{rest}");
        }
        assert_eq!(duty(&format!("wok/0/{}/xhr", "x".repeat(129))), None);
    }
}
