//! What a URL below a `SockJS` base asks for. Touches nothing.

use http::Method;

use crate::config::ChannelName;
use crate::hub::address;

/// The longest session id; clients use about ten signs.
const LONGEST: usize = 128;

/// What is asked for, of which channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The channels that the base URL names.
    pub channels: Vec<ChannelName>,
    pub(super) duty: Duty,
}

/// The URLs of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    Greeting,
    Info,
    /// A WebSocket without `SockJS` in it.
    RawSocket,
    /// Of a session. A WebSocket is a session by itself, whatever id it came with.
    Socket,
    Session(Box<str>, Transport),
}

/// The transports of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Poll,
    Streaming,
    EventSource,
    Send,
}

impl Asked {
    /// Reads what follows `sockjs/`: `<channels>`, or a URL below. `None` if the protocol has none such, or one
    /// that is left out here.
    #[must_use]
    pub fn parse(rest: &str) -> Option<Self> {
        let (channels, below) = rest.split_once('/').unwrap_or((rest, ""));
        Some(Self {
            channels: address::names(channels)?,
            duty: Duty::parse(below)?,
        })
    }

    /// Whether it lets somebody listen or speak, so that the visitor's permission has to be asked for. A
    /// preflight has no cookie, and the answer to it says nothing.
    #[must_use]
    pub fn needs_permission(&self, method: &Method) -> bool {
        method != Method::OPTIONS && !matches!(self.duty, Duty::Greeting | Duty::Info)
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

    /// The one method it has beside OPTIONS.
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
        Asked::parse(rest).map(|asked| asked.duty)
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
