//! A stream that looks to a browser like a host which refuses it (RFC 6143 §7.1.2): viewers show a reason that comes
//! so, and none that stands in an HTTP response. Does not know why the browser is refused.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::output::give;
use super::protocol_error::ProtocolError;
use super::version::{LENGTH, Version};

/// A host that refuses whoever comes, and then breaks off with the same reason.
#[derive(Debug)]
pub(crate) struct Rejection {
    reason: &'static str,
    /// Bytes that the browser has not taken yet.
    output: Vec<u8>,
    /// The version of the browser, as far as it has come.
    input: Vec<u8>,
    /// True once the reason is in the output.
    is_told: bool,
    limit: Pin<Box<Sleep>>,
    reader: Option<Waker>,
}

impl Rejection {
    /// Refuses with this reason a browser that has so much time to say its version.
    #[must_use]
    pub(crate) fn new(reason: &'static str, limit: Duration) -> Self {
        Self {
            reason,
            output: Version::V3_8.message().to_vec(),
            input: Vec::new(),
            is_told: false,
            limit: Box::pin(sleep(limit)),
            reader: None,
        }
    }

    /// Reads the version, and tells the reason in its form. What is no version needs no reason.
    fn read(&mut self, bytes: &[u8]) {
        let missing = LENGTH - self.input.len().min(LENGTH);
        self.input.extend(bytes.iter().take(missing));
        let Ok(said) = <[u8; LENGTH]>::try_from(self.input.as_slice()) else {
            return;
        };
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        match Version::read(said) {
            Ok(Version::V3_3) => self.output.extend_from_slice(&0_u32.to_be_bytes()),
            Ok(_) => self.output.push(0),
            Err(_) => return self.wake(),
        }
        let length = u32::try_from(self.reason.len()).unwrap_or_default();
        self.output.extend_from_slice(&length.to_be_bytes());
        self.output.extend_from_slice(self.reason.as_bytes());
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl AsyncRead for Rejection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if give(&mut this.output, buf) {
            return Poll::Ready(Ok(()));
        }
        if !this.is_told {
            this.reader = Some(cx.waker().clone());
            ready!(this.limit.as_mut().poll(cx));
        }
        Poll::Ready(Err(ProtocolError::host(this.reason).into()))
    }
}

impl AsyncWrite for Rejection {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().read(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn told(said: &[&[u8]]) -> (Vec<u8>, Option<&'static str>) {
        let mut host = Rejection::new("closed", Duration::from_secs(10));
        for part in said {
            host.write_all(part).await.expect("it takes everything");
        }
        let mut read = Vec::new();
        let error = host
            .read_to_end(&mut read)
            .await
            .expect_err("it breaks off");
        let broken = error.get_ref().and_then(|inner| inner.downcast_ref());
        (read, broken.map(|broken: &ProtocolError| broken.reason))
    }

    #[tokio::test(start_paused = true)]
    async fn every_version_is_told_the_reason_in_its_form() {
        for (said, form) in [
            (&[&b"RFB 003.008\n"[..]][..], &b"\0"[..]),
            (&[b"RFB 003", b".008\nmore"], b"\0"),
            (&[b"RFB 003.003\n"], b"\0\0\0\0"),
        ] {
            let expected = [b"RFB 003.008\n", form, b"\0\0\0\x06closed"].concat();
            assert_eq!(told(said).await, (expected, Some("closed")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_speak_rfb_is_closed_all_the_same() {
        for said in [&[][..], &[&b"GET / HTTP/1.1"[..]], &[b"RFB"]] {
            assert_eq!(
                told(said).await,
                (b"RFB 003.008\n".to_vec(), Some("closed"))
            );
        }
    }
}
