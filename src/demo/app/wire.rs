//! Reads the requests of one connection, blocking and within limits. Independent of routes.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::request::Trouble::{self, Over, Refused};
use super::request::{Request, body_size, parse_head};

const MOST_HEAD: usize = 16 * 1024;
/// Size limit of a body kept in memory.
const MOST_BODY: usize = 1024 * 1024;
/// Size limit of a body that is only counted.
const MOST_COUNTED: u64 = 256 * 1024 * 1024;

/// Idle time limit between two requests, like cheroot's.
const IDLE: Duration = Duration::from_secs(10);
/// Time limit for a complete head, and for each piece of a body.
const PATIENCE: Duration = Duration::from_secs(10);
/// Interval at which a worker that waits for the next request checks whether it is needed elsewhere.
const GLANCE: Duration = Duration::from_millis(50);

/// A connection with the bytes that were read but not used yet.
pub(super) struct Wire<'a> {
    stream: &'a UnixStream,
    unused: Vec<u8>,
}

impl<'a> Wire<'a> {
    pub(super) fn new(stream: &'a UnixStream) -> io::Result<Wire<'a>> {
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire {
            stream,
            unused: Vec::new(),
        })
    }

    /// Reads the next request. `wanted` is polled while the connection is idle: true gives the worker to another
    /// connection. `counted` decides by method and path which bodies are not kept.
    pub(super) fn next(
        &mut self,
        wanted: impl Fn() -> bool,
        counted: impl Fn(&str, &str) -> bool,
    ) -> Result<Request, Trouble> {
        self.wait_for_first_byte(wanted)?;
        let head = self.head()?;
        let mut request = parse_head(&head)?;
        let size = body_size(&request)?;
        let keep = !counted(&request.method, &request.path);
        let limit = if keep { MOST_BODY as u64 } else { MOST_COUNTED };
        if size > limit {
            return Err(Refused(413, "this body is larger than the demo takes"));
        }
        if size > 0
            && request
                .header("expect")
                .is_some_and(|value| value == "100-continue")
        {
            self.stream
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .map_err(|_| Over)?;
        }
        request.body = self.body(size, keep)?;
        request.body_size = size;
        Ok(request)
    }

    /// Reads what the client still sends after a refusal, for a short while and up to a limit. Closing with unread
    /// bytes would reset the connection, and the client might never see the reason.
    pub(super) fn linger(mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
        let deadline = Instant::now() + Duration::from_secs(1);
        while self.fill(deadline).is_ok() {
            self.unused.clear();
        }
    }

    fn wait_for_first_byte(&mut self, wanted: impl Fn() -> bool) -> Result<(), Trouble> {
        let end = Instant::now() + IDLE;
        while self.unused.is_empty() {
            match self.fill(end.min(Instant::now() + GLANCE)) {
                Err(Refused(..)) if Instant::now() < end && !wanted() => {}
                Err(_) => return Err(Over),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn head(&mut self) -> Result<Vec<u8>, Trouble> {
        let deadline = Instant::now() + PATIENCE;
        let mut searched = 0;
        loop {
            let from = self.unused.get(searched..).unwrap_or_default();
            if let Some(found) = from.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.unused.split_off(searched + found + 4);
                return Ok(std::mem::replace(&mut self.unused, rest));
            }
            if self.unused.len() > MOST_HEAD {
                return Err(Refused(
                    431,
                    "this request head is larger than the demo takes",
                ));
            }
            // The end may lie across two reads.
            searched = self.unused.len().saturating_sub(3);
            self.fill(deadline)?;
        }
    }

    fn body(&mut self, size: u64, keep: bool) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        let mut missing = size;
        while missing > 0 {
            if self.unused.is_empty() {
                self.fill(Instant::now() + PATIENCE)?;
            }
            let available = self
                .unused
                .len()
                .min(usize::try_from(missing).unwrap_or(usize::MAX));
            let piece = self.unused.drain(..available);
            if keep {
                body.extend(piece);
            }
            missing -= available as u64;
        }
        Ok(body)
    }

    /// Reads more bytes into `unused`.
    fn fill(&mut self, deadline: Instant) -> Result<(), Trouble> {
        let mut piece = [0; 16 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Zero would mean no limit at all.
            self.stream
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))
                .map_err(|_| Over)?;
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Over),
                Ok(size) => {
                    self.unused.extend(piece.iter().take(size));
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Refused(408, "the request did not come in time"));
                }
                Err(_) => return Err(Over),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `sent` as a worker does, with the connection closed after it.
    fn read(sent: &str) -> Result<Request, Trouble> {
        let (mut client, server) = UnixStream::pair().expect("two ends");
        client
            .write_all(sent.as_bytes())
            .expect("room for a request");
        drop(client);
        Wire::new(&server)
            .expect("a wire")
            .next(|| false, |_, path| path == "/upload")
    }

    fn refusal(sent: &str) -> u16 {
        match read(sent) {
            Err(Refused(status, _)) => status,
            Err(Over) => 0,
            Ok(_) => 200,
        }
    }

    #[test]
    fn a_request_is_read_and_what_follows_it_is_kept_for_the_next() {
        let (mut client, server) = UnixStream::pair().expect("two ends");
        client
            .write_all(b"POST /a?b HTTP/1.1\r\nA: 1\r\na:  2 \r\nContent-Length: 2\r\n\r\nhiGET / HTTP/1.0\r\n\r\n")
            .expect("room for two requests");
        let mut wire = Wire::new(&server).expect("a wire");
        let first = wire
            .next(|| false, |_, _| false)
            .expect("the first request");
        assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/a"));
        assert_eq!(first.header("a"), Some("2"));
        assert_eq!(
            (first.body.as_slice(), first.body_size, first.keep_alive),
            (&b"hi"[..], 2, true)
        );
        let second = wire
            .next(|| false, |_, _| false)
            .expect("the second request");
        assert_eq!((second.path.as_str(), second.keep_alive), ("/", false));
    }

    #[test]
    fn a_counted_body_is_not_kept() {
        let request =
            read("POST /upload HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello").expect("a request");
        assert_eq!((request.body.len(), request.body_size), (0, 5));
    }

    #[test]
    fn a_request_that_could_be_read_two_ways_is_refused() {
        for (status, sent) in [
            (400, "GET /\r\n\r\n"),
            (400, "GET  / HTTP/1.1\r\n\r\n"),
            (400, "GET http://a/ HTTP/1.1\r\n\r\n"),
            (505, "GET / HTTP/2.0\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nA : b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n"),
            (411, "POST / HTTP/1.1\r\n\r\n"),
            (
                400,
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
            (400, "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na"),
            (
                400,
                "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            ),
            (413, "POST / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n"),
            (
                413,
                "POST /upload HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n",
            ),
            (0, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na"),
            (0, "GET / HTT"),
            (0, ""),
        ] {
            assert_eq!(refusal(sent), status, "{sent}");
        }
        assert_eq!(
            refusal(&format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(MOST_HEAD))),
            431
        );
    }

    #[test]
    fn an_idle_connection_gives_its_worker_to_another_one() {
        let (_client, server) = UnixStream::pair().expect("two ends");
        let started_at = Instant::now();
        let next = Wire::new(&server)
            .expect("a wire")
            .next(|| true, |_, _| false);
        assert_eq!(next.err(), Some(Over));
        assert!(started_at.elapsed() < Duration::from_secs(5));
    }
}
