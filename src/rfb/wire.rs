//! Reading of the fixed and short messages of a handshake. Reads nothing ahead, because TLS may begin behind each. Does
//! not know what a message means.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Length of a reason that is read; the rest of a longer one is left.
const LONGEST_REASON: u32 = 1024;

/// Reads a number of bytes.
pub(super) async fn bytes<const N: usize>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<[u8; N]> {
    let mut read = [0; N];
    from.read_exact(&mut read).await?;
    Ok(read)
}

/// Reads a list of bytes behind its length.
pub(super) async fn list(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = from.read_u8().await?;
    let mut list = vec![0; length.into()];
    from.read_exact(&mut list).await?;
    Ok(list)
}

/// Reads a reason: a length, and a text that may be anything, with a NUL or without.
pub(super) async fn reason(from: &mut (impl AsyncRead + Unpin)) -> String {
    let Ok(length) = from.read_u32().await else {
        return "without a reason".to_owned();
    };
    let mut text = Vec::new();
    let mut limited = from.take(length.min(LONGEST_REASON).into());
    // A reason that breaks off is better than none.
    let _ = limited.read_to_end(&mut text).await;
    let text = String::from_utf8_lossy(&text);
    let text = text.trim_matches(|sign: char| sign == '\0' || sign.is_whitespace());
    if text.is_empty() {
        "without a reason".to_owned()
    } else {
        text.to_owned()
    }
}
