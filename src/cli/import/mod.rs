//! `noren import`: the configuration of what stood in front of the app before, as a noren.toml. What has no place
//! in it becomes a comment that says so, and why.

mod draft;
mod nginx;
mod survey;
mod websockify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use noren::Config;

use crate::cli::Failure;
use crate::cli::output::{print, print_toml};

/// The arguments of `noren import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// From a file of nginx, such as /etc/nginx/conf.d/wok.conf, and what it includes.
    Nginx {
        /// The file; or a directory, for a line about each of its files and no configuration
        file: PathBuf,
    },
    /// From a command line of websockify, behind two dashes.
    #[command(after_help = "Example:\n  \
        noren import websockify -- --cert /etc/ssl/self.pem --token-plugin TokenFile --token-source /etc/tokens 6080")]
    Websockify {
        /// The command line, with or without `websockify` at its beginning
        #[arg(required = true, last = true)]
        line: Vec<String>,
    },
}

impl Import {
    pub(super) fn run(self) -> Result<(), Failure> {
        let text = match self.what {
            What::Nginx { file } if file.is_dir() => {
                print(&survey::survey(&file)?)?;
                return Ok(());
            }
            What::Nginx { file } => nginx::import(&file)?,
            What::Websockify { line } => websockify::import(&line),
        };
        print_toml(&checked(text))?;
        Ok(())
    }
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
