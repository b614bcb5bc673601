//! One end of a connection, byte by byte: what is sent goes out as it stands, and what comes is looked at as it
//! is. For clients and for backends alike; knows as much of HTTP/1.1 as it takes to find the end of a message.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{PATIENCE, within};

/// Both directions.
pub(crate) struct Wire {
    pub input: Input,
    pub output: Output,
}

/// The bytes received.
pub(crate) struct Input {
    stream: Box<dyn AsyncRead + Unpin + Send>,
    read: Vec<u8>,
}

/// The sending side.
pub(crate) struct Output(Box<dyn AsyncWrite + Unpin + Send>);

/// The start line and the fields of a message.
#[derive(Debug)]
pub(crate) struct Head {
    pub start: String,
    fields: Vec<(String, String)>,
    /// The names of the fields, as they are spelled.
    pub names: Vec<String>,
}

/// An answer with all of its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub head: Head,
    pub body: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (input, output) = tokio::io::split(stream);
        Self {
            input: Input::new(input),
            output: Output(Box::new(output)),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.output.send(bytes).await;
    }

    /// Sends a request without a body and reads the answer.
    pub(crate) async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    pub(crate) async fn head(&mut self) -> Head {
        self.input.head().await
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.input.answer().await
    }

    pub(crate) async fn take(&mut self, length: usize) -> Vec<u8> {
        self.input.take(length).await
    }

    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        self.input.rest().await
    }
}

impl Output {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        within("the other side to read", async {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        })
        .await
    }

    /// Says that nothing more will come.
    pub(crate) async fn finish(&mut self) {
        let _ = within("the end to be sent", self.0.shutdown()).await;
    }
}

impl Input {
    pub(crate) fn new(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            read: Vec::new(),
        }
    }

    /// Reads a little more; false at the end. A reset is an end too.
    async fn fill(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut piece)).await;
        let Ok(read) = read else {
            let there = String::from_utf8_lossy(&self.read);
            panic!("waited {PATIENCE:?} in vain for more than {there:?}");
        };
        let read = read.unwrap_or(0);
        self.read.extend_from_slice(&piece[..read]);
        read > 0
    }

    /// True once so many bytes have come, without taking them; false if the connection ends before.
    pub(crate) async fn has(&mut self, length: usize) -> bool {
        while self.read.len() < length {
            if !self.fill().await {
                return false;
            }
        }
        true
    }

    /// The received bytes, at most this many.
    pub(crate) fn peek(&self, length: usize) -> &[u8] {
        &self.read[..length.min(self.read.len())]
    }

    async fn fill_or_fail(&mut self, wanted: &str) {
        assert!(
            self.fill().await,
            "the connection ended before {wanted}; there was only {:?}",
            String::from_utf8_lossy(&self.read)
        );
    }

    pub(crate) async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            self.fill_or_fail(&format!("{length} bytes")).await;
        }
        self.read.drain(..length).collect()
    }

    /// Waits for bytes, at least one; empty at the end.
    pub(crate) async fn some(&mut self) -> Vec<u8> {
        if self.read.is_empty() {
            self.fill().await;
        }
        std::mem::take(&mut self.read)
    }

    /// Everything until the other side ends the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.read)
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(end + 2).await;
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            self.fill_or_fail("the end of a line").await;
        }
    }

    pub(crate) async fn head(&mut self) -> Head {
        let start = self.line().await;
        let (mut fields, mut names) = (Vec::new(), Vec::new());
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return Head {
                    start,
                    fields,
                    names,
                };
            }
            let (name, value) = line.split_once(':').unwrap();
            names.push(name.to_owned());
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// An answer to a request that was not HEAD.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let status = head.status();
        let body = if matches!(status, 100..200 | 204 | 304) {
            Vec::new()
        } else {
            self.body(&head).await
        };
        Answer { status, head, body }
    }

    /// The body that belongs to a head.
    pub(crate) async fn body(&mut self, head: &Head) -> Vec<u8> {
        if let Some(length) = head.one("content-length") {
            return self.take(length.parse().unwrap()).await;
        }
        if head.one("transfer-encoding") != Some("chunked") {
            return self.rest().await;
        }
        let mut body = Vec::new();
        loop {
            let piece = self.chunk().await;
            if piece.is_empty() {
                return body;
            }
            body.extend(piece);
        }
    }

    /// The body of a request, as the door sends it: with a length, or none.
    pub(crate) async fn body_of_request(&mut self, head: &Head) -> Vec<u8> {
        match head.one("content-length") {
            Some(_) => self.body(head).await,
            None => Vec::new(),
        }
    }

    /// One chunk of a chunked body; the last one is empty.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        let size = usize::from_str_radix(&self.line().await, 16).unwrap();
        let piece = self.take(size).await;
        assert_eq!(self.line().await, "", "a chunk ends with a line");
        piece
    }
}

impl Head {
    /// The fields as sorted lines, to be compared with all that is expected.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.fields.iter();
        let mut lines: Vec<_> = lines
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        lines.sort_unstable();
        lines
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.fields.iter().filter(|(field, _)| field == name);
        fields.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a field that must not occur twice.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} occurs {} times", all.len());
        all.first().copied()
    }

    pub(crate) fn status(&self) -> u16 {
        let status = self.start.split(' ').nth(1).unwrap();
        status.parse().unwrap()
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
