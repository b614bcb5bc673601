//! Output of Noren's own that a browser has not taken yet.

use tokio::io::ReadBuf;

/// Moves bytes to a reader, as many as it has room for; false if there are none.
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
