//! `noren import`: the configuration of what stood in front of the app before, as a noren.toml. What has no place
//! in it becomes a comment that says so, and why.

mod draft;
mod nginx;
mod syntax;
mod websockify;

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use noren::Config;

use crate::cli::Failure;
use crate::cli::output::print_toml;

/// The arguments of `noren import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// From a file of nginx, such as /etc/nginx/conf.d/wok.conf; what it includes is not read.
    Nginx {
        /// The file
        file: PathBuf,
    },
    /// From a command line of websockify, behind two dashes.
    #[command(after_help = "Example:\n  \
        noren import websockify -- --cert /etc/ssl/self.pem --token-plugin TokenFile --token-source /etc/tokens 6080")]
    Websockify {
        /// The arguments of `websockify`
        #[arg(required = true, last = true)]
        line: Vec<String>,
    },
}

impl Import {
    pub(super) fn run(self) -> Result<(), Failure> {
        let text = match self.what {
            What::Nginx { file } => {
                let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
                let text = text_of(&bytes);
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                nginx::import(&text, &name)?
            }
            What::Websockify { line } => websockify::import(&line),
        };
        print_toml(&checked(text))?;
        Ok(())
    }
}

/// nginx takes bytes as they are, and old comments are in Latin-1. Each line is read by itself, so that one does not
/// spoil the names in others.
fn text_of(bytes: &[u8]) -> String {
    let line = |line: &[u8]| {
        let latin = || line.iter().copied().map(char::from).collect();
        str::from_utf8(line).map_or_else(|_| latin(), str::to_owned)
    };
    let lines: Vec<String> = bytes.split(|byte| *byte == b'\n').map(line).collect();
    lines.join("\n")
}

/// Parses the result once, so that an invalid one is reported now and not later.
fn checked(text: String) -> String {
    match Config::parse(&text, "noren.toml") {
        Ok(_) => text,
        Err(error) => {
            let reasons = error.to_string();
            let reasons = reasons.lines().map(|line| format!("#   {line}\n"));
            format!(
                "# This is not complete yet:\n{}\n{text}",
                reasons.collect::<String>()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_utf_8_is_latin_1_and_the_others_are_what_they_were() {
        assert_eq!(text_of(b"a\n# caf\xe9\nb"), "a\n# caf\u{e9}\nb");
        assert_eq!(text_of("# café\n".as_bytes()), "# café\n");
    }
}
