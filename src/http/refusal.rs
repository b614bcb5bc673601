//! The responses of Noren itself for all errors: a status and one clear sentence, as HTML, JSON or plain text.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode};

use crate::http::body::{Body, full};
use crate::http::trace::{REQUEST_ID, RequestId};

/// Default `Retry-After` of a 503 or 429. An upgrade or a reload takes less time.
const RETRY: Duration = Duration::from_secs(2);

/// A request that is not served, with the text for its client. Further text for the operator is in
/// [`cause`](Self::cause), which goes to the log only.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// Status of the response.
    pub status: StatusCode,
    /// One sentence for the client, without a full stop.
    pub reason: Cow<'static, str>,
    /// One line for the log, with details that are not for the client.
    pub cause: Option<String>,
    header: Option<(http::HeaderName, HeaderValue)>,
    close: bool,
    id: Option<RequestId>,
}

/// The format of a response that Noren makes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A page, for a browser.
    Html,
    /// A JSON object, for a script.
    Json,
    /// One line of text, for curl and for clients without a preference.
    Text,
}

impl Form {
    /// The client's preference, by its `Accept` header (RFC 9110 §12.5.1).
    #[must_use]
    pub(crate) fn preferred(accept: Option<&HeaderValue>) -> Self {
        let accepted = accept
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let mut best = (Self::Text, 0.0_f32);
        for range in accepted.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let form = match parts.next().unwrap_or_default() {
                "text/html" | "application/xhtml+xml" => Self::Html,
                "application/json" | "text/json" => Self::Json,
                "text/plain" => Self::Text,
                _ => continue,
            };
            let quality = parts
                .find_map(|parameter| parameter.strip_prefix("q=")?.parse().ok())
                .unwrap_or(1.0);
            if quality > best.1 {
                best = (form, quality);
            }
        }
        best.0
    }
}

/// The refusal of a WebSocket that was accepted only to be closed, as an extension of the response: its status for the
/// metrics, and its line for the log.
#[derive(Clone, Debug)]
pub(crate) struct ClosedFor(pub Refusal);

impl Refusal {
    /// Creates a refusal with a sentence for the client.
    pub(crate) fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            reason: reason.into(),
            cause: None,
            header: None,
            close: false,
            id: None,
        }
    }

    /// Creates a 400 refusal: the request itself is invalid. The connection is closed, because the bytes behind it
    /// may be the second half of an attempt to smuggle a request.
    pub(crate) fn bad_request(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason).closing()
    }

    /// Creates a 404 refusal.
    pub(crate) fn not_found(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason)
    }

    /// Adds the line for the log.
    #[must_use]
    pub(crate) fn because(mut self, cause: &impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds `Retry-After`.
    #[must_use]
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        self.with(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
    }

    /// Adds the list of supported methods (405).
    #[must_use]
    pub(crate) fn allow(self, methods: &'static str) -> Self {
        self.with(ALLOW, HeaderValue::from_static(methods))
    }

    /// Adds a header, in place of an earlier one.
    #[must_use]
    pub(crate) fn with(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// True if the refusal asks the client for a credential of this scheme (RFC 9110 §11.6.1).
    #[must_use]
    pub(crate) fn asks_for(&self, scheme: &[u8]) -> bool {
        let header = self.header.as_ref();
        header.is_some_and(|(name, value)| {
            name == http::header::WWW_AUTHENTICATE && value.as_bytes().starts_with(scheme)
        })
    }

    /// Adds the id of the request, with which an operator finds the line of the log.
    #[must_use]
    pub(crate) fn of(mut self, id: RequestId) -> Self {
        self.id = Some(id);
        self
    }

    /// Closes an HTTP/1.1 connection after the response.
    #[must_use]
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The response to a request with this method, in the given form.
    #[must_use]
    pub(crate) fn into_response(self, form: Form, method: &Method) -> Response<Body> {
        let (kind, text) = match form {
            Form::Html => ("text/html; charset=utf-8", self.page(method)),
            Form::Json => ("application/json", self.object()),
            Form::Text => ("text/plain; charset=utf-8", format!("{}\n", self.reason)),
        };
        let mut response = Response::new(full(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // A temporary refusal says when to try again (RFC 9110 §10.2.3).
        if matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        ) {
            headers.insert(RETRY_AFTER, HeaderValue::from(RETRY.as_secs()));
        }
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        if let Some(Ok(value)) = self.id.map(|id| HeaderValue::try_from(id.to_string())) {
            headers.insert(REQUEST_ID, value);
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn page(&self, method: &Method) -> String {
        let status = self.status.as_u16();
        let title = self.status.canonical_reason().unwrap_or("Error");
        let id = self
            .id
            .map(|id| format!("<p class=\"id\">Request {id}</p>"));
        format!(
            include_str!("refusal.html"),
            status = status,
            title = title,
            reason = sentence(&escape_html(&self.reason)),
            next = self.next_step(method),
            id = id.unwrap_or_default(),
        )
    }

    /// The part of the page that explains how to try again. The page reloads itself only if that repeats a request that
    /// never reached the app: a GET that got 503. After a 504 the app may still be working on the first request, and
    /// after a POST the reload would be a different request.
    fn next_step(&self, method: &Method) -> String {
        let Some((_, wait)) = self.header.as_ref().filter(|(name, _)| name == RETRY_AFTER) else {
            return String::new();
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            return include_str!("refusal_back.html").to_owned();
        }
        match wait.to_str() {
            Ok(seconds) if self.status == StatusCode::SERVICE_UNAVAILABLE => {
                format!(include_str!("refusal_reload.html"), seconds = seconds)
            }
            _ => include_str!("refusal_link.html").to_owned(),
        }
    }

    fn object(&self) -> String {
        let mut reason = String::with_capacity(self.reason.len());
        for sign in self.reason.chars() {
            match sign {
                '"' | '\\' => reason.extend(['\\', sign]),
                sign if sign.is_control() => {
                    let _ = write!(reason, "\\u{:04x}", u32::from(sign));
                }
                sign => reason.push(sign),
            }
        }
        let id = self
            .id
            .map(|id| format!(",\"request\":\"{id}\""))
            .unwrap_or_default();
        format!(
            "{{\"code\":{},\"reason\":\"{reason}\"{id}}}\n",
            self.status.as_u16()
        )
    }
}

/// The text as a sentence: with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut signs = text.chars();
    let first = signs.next().map(|sign| sign.to_ascii_uppercase());
    first.into_iter().chain(signs).chain(['.']).collect()
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(accept: &'static str) -> Form {
        Form::preferred(Some(&HeaderValue::from_static(accept)))
    }

    #[test]
    fn whoever_is_turned_away_for_a_while_is_told_for_how_long() {
        let told = |refusal: Refusal| {
            let response = refusal.into_response(Form::Text, &Method::GET);
            let value = response.headers().get(RETRY_AFTER)?;
            Some(value.to_str().expect("a number").to_owned())
        };
        for status in [503, 429] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(told(Refusal::new(status, "busy")).as_deref(), Some("2"));
            let longer = Refusal::new(status, "busy").retry_after(Duration::from_secs(9));
            assert_eq!(told(longer).as_deref(), Some("9"));
        }
        assert_eq!(told(Refusal::not_found("nothing")), None);
    }

    #[test]
    fn the_form_follows_the_accept_header() {
        assert_eq!(
            preferred("text/html,application/xhtml+xml,*/*;q=0.8"),
            Form::Html
        );
        assert_eq!(preferred("application/json, text/html;q=0.5"), Form::Json);
        assert_eq!(
            preferred("text/html;q=0.1, application/json;q=0.9"),
            Form::Json
        );
        assert_eq!(preferred("*/*"), Form::Text);
        assert_eq!(Form::preferred(None), Form::Text);
    }

    #[test]
    fn what_came_from_outside_cannot_break_out_of_the_page_or_the_object() {
        let refusal = Refusal::bad_request("a \"<b>\" \\ \n");
        let page = refusal.page(&Method::GET);
        assert!(page.contains("A &quot;&lt;b&gt;&quot;"));
        assert_eq!(
            refusal.object(),
            "{\"code\":400,\"reason\":\"a \\\"<b>\\\" \\\\ \\u000a\"}\n"
        );
    }

    #[test]
    fn only_a_get_that_never_reached_the_app_is_repeated_by_its_page() {
        let soon = Duration::from_secs(5);
        let page = |status, method| {
            Refusal::new(status, "the app is busy")
                .retry_after(soon)
                .page(&method)
        };
        let reloads = |page: &str| page.contains("location.reload");
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        assert!(reloads(&page(busy, Method::GET)));
        assert!(page(busy, Method::GET).contains("id=\"stop\""));
        for (status, method) in [
            (busy, Method::POST),
            (busy, Method::DELETE),
            (StatusCode::GATEWAY_TIMEOUT, Method::GET),
            (StatusCode::TOO_MANY_REQUESTS, Method::GET),
            (StatusCode::TOO_MANY_REQUESTS, Method::POST),
        ] {
            let page = page(status, method);
            assert!(!reloads(&page) && !page.contains("http-equiv"), "{page}");
        }
        let link = "<a href=\"\">";
        assert!(page(StatusCode::GATEWAY_TIMEOUT, Method::GET).contains(link));
        assert!(!page(busy, Method::POST).contains(link));
    }
}
