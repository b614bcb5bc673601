//! Output of a command to the terminal. Text may come from others (a server, a file, a message), so all of it is
//! escaped here, and no command can forget that.

use std::io::{ErrorKind, Write as _};

use anyhow::anyhow;
use noren::text::escape;

/// Writes lines to standard output; false if the reader has gone (`| head`), which is no error.
pub(super) fn print(text: &str) -> anyhow::Result<bool> {
    write(&escape::lines(text))
}

/// Writes JSON to standard output, escaped so that its values stay the same; false if the reader has gone.
pub(super) fn print_json(text: &str) -> anyhow::Result<bool> {
    write(&escape::json(text))
}

/// Writes TOML to standard output, escaped so that its basic strings keep their values; false if the reader has gone.
pub(super) fn print_toml(text: &str) -> anyhow::Result<bool> {
    write(&escape::toml(text))
}

/// Writes a note for a person to standard error.
pub(super) fn note(text: &str) {
    let line = format!("noren: {}\n", escape::lines(text));
    // Nobody may be reading, and that changes nothing.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn write(text: &str) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(anyhow!(error).context("write to standard output")),
    }
}
