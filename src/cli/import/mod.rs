//! `noren import`: converts the configuration of the program that served the app before to a noren.toml. A setting
//! without a counterpart becomes a comment with the reason.

mod draft;
mod nginx;
mod nova;
mod survey;
mod websockify;

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use noren::Config;

use crate::cli::Failure;
use crate::cli::output::{print, print_toml};

/// The arguments of `noren import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Format {
    /// Read a file of nginx, such as /etc/nginx/conf.d/wok.conf, and the files that it includes.
    #[command(
        after_help = "With --check, nginx has to be installed. The running nginx, its ports and the apps are not\n\
        touched: a stub replaces each app. Exit status: 0 no request gets further than in nginx, 1 some\n\
        request does, or nothing could be compared."
    )]
    Nginx {
        /// The file; or a directory, to print a line about each of its files in place of a configuration
        file: PathBuf,
        /// Start nginx with the file and Noren with the result, in a temporary directory, send both the same requests,
        /// and print the differences in place of the configuration
        #[arg(long)]
        check: bool,
    },
    /// Read a nova.conf of OpenStack: the proxies of its consoles, and the login at Keystone.
    Nova {
        /// The file; several files are read as one, as with several --config-file
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Read a command line of websockify, behind two dashes.
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
        let text = match self.format {
            Format::Nginx { file, check: true } => {
                let outcome = nginx::compare(&file)?;
                print(&outcome.text)?;
                if outcome.open == 0 {
                    return Ok(());
                }
                return Err(Failure::Other(anyhow!(
                    "{} requests reach an app here and none in nginx: mend the result before it takes the place \
                     of nginx",
                    outcome.open
                )));
            }
            Format::Nginx { file, .. } if file.is_dir() => {
                print(&survey::survey(&file)?)?;
                return Ok(());
            }
            Format::Nginx { file, .. } => nginx::import(&file)?,
            Format::Nova { files } => nova::import(&files)?,
            Format::Websockify { line } => websockify::import(&line),
        };
        print_toml(&checked(text))?;
        Ok(())
    }
}

/// Parses the result once, so that an invalid one is reported at once.
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
