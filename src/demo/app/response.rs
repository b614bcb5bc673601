//! A response, and its form on the connection (RFC 9112).

use std::io::{self, Write};

use super::super::calendar::Moment;
use super::super::json;

/// Content security policy: only what the app serves may run or load, and only its own pages may embed it. The
/// `wss:` is for browsers that do not count a WebSocket to the same host as 'self'.
const POLICY: &str = "default-src 'self'; connect-src 'self' wss:; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(super) struct Response {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    headers: Vec<(&'static str, String)>,
}

impl Response {
    pub(super) fn new(
        status: u16,
        content_type: &'static str,
        body: impl Into<Vec<u8>>,
    ) -> Response {
        Response {
            status,
            content_type,
            body: body.into(),
            headers: Vec::new(),
        }
    }

    /// A response whose `body` is JSON already.
    pub(super) fn json(status: u16, body: impl Into<Vec<u8>>) -> Response {
        // No page of the app may be old: what it shows changes all the time.
        Response::new(status, "application/json", body).with("Cache-Control", "no-store")
    }

    pub(super) fn error(status: u16, reason: &str) -> Response {
        Response::json(
            status,
            format!(r#"{{"status":{status},"error":{}}}"#, json::quote(reason)),
        )
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// Writes the response; the body only if the method is not HEAD.
    pub(super) fn write(
        &self,
        mut to: impl Write,
        method: &str,
        keep_alive: bool,
    ) -> io::Result<()> {
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nDate: {}\r\nServer: noren-demo\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
             Content-Security-Policy: {POLICY}\r\nReferrer-Policy: no-referrer\r\nConnection: {}\r\n",
            self.status,
            reason(self.status),
            Moment::now().http(),
            self.content_type,
            self.body.len(),
            if keep_alive { "keep-alive" } else { "close" },
        );
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        let mut answer = head.into_bytes();
        if method != "HEAD" {
            answer.extend_from_slice(&self.body);
        }
        // In one write: a small answer then leaves in one piece.
        to.write_all(&answer)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        303 => "See Other",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}
