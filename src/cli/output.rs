//! The way of a command to the terminal. Text may be that of others (a server, a file, a message), so all of it is
//! escaped here, and no command can forget it.

use std::io::{ErrorKind, Write as _};

use anyhow::anyhow;
use noren::text::escape;

/// Writes lines to standard output; false if the reader has gone (`| head`), which is no error.
pub(super) fn print(text: &str) -> anyhow::Result<bool> {
    write(&escape::lines(text))
}

/// The same for JSON, which keeps its value.
pub(super) fn print_json(text: &str) -> anyhow::Result<bool> {
    write(&escape::json(text))
}

/// The same for TOML, which keeps the value of its basic strings.
pub(super) fn print_toml(text: &str) -> anyhow::Result<bool> {
    write(&escape::toml(text))
}

/// Says something on standard error, where a person reads it and no program does.
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
