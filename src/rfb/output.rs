//! Hands the bytes that Noren itself says to a browser to whoever reads the stream. Must not know what they mean.

use tokio::io::ReadBuf;

/// Moves bytes into the buffer of a read, as many as it has room for; false if there are none.
pub(super) fn give(output: &mut Vec<u8>, buf: &mut ReadBuf<'_>) -> bool {
    if output.is_empty() {
        return false;
    }
    let count = buf.remaining().min(output.len());
    let rest = output.split_off(count);
    buf.put_slice(output);
    *output = rest;
    true
}
