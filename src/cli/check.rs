//! `noren check`: the same validation as `serve`, without opening anything.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use noren::Config;
use noren::config::App;

use crate::cli::explain::explain;
use crate::cli::{Failure, file_or_default, print};

/// The arguments of `noren check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file to check [default: /etc/noren/noren.toml]
    file: Option<PathBuf>,
    /// Also tell what it comes to: routes in their order, who may pass, and the limits
    #[arg(long)]
    explain: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let file = file_or_default(self.file);
        let config = Config::load(&file).map_err(Failure::configuration)?;
        let mut text = report(&file, &config);
        if self.explain {
            text.push_str(&explain(&config));
        }
        print(&text).map_err(Failure::Other)
    }
}

/// Summarises the file in a few lines, with notes on files that it names and this machine lacks. These are notes
/// and no errors: a file is often checked on another machine than the one it is for.
fn report(file: &Path, config: &Config) -> String {
    let mut text = format!("{}: valid\n", file.display());
    // Writing to a string cannot fail.
    for listener in &config.listeners {
        let _ = writeln!(
            text,
            "  listens on {} ({})",
            listener.address, listener.protocol
        );
    }
    for app in &config.apps {
        let _ = writeln!(
            text,
            "  app {} at {}, below {}",
            app.name, app.url, app.path
        );
    }
    for source in &config.bridge.tokens {
        let _ = writeln!(text, "  tokens from {source}");
    }
    for target in &config.bridge.targets {
        let _ = writeln!(text, "  a fixed token for {}", target.address);
    }
    let certificates = &config.tls.certificates;
    for app in &config.apps {
        if let Some(fault) = unfit_tls(app) {
            let _ = writeln!(text, "  note: app {}: {fault}", app.name);
        }
    }
    for path in certificates
        .iter()
        .flat_map(|pair| [&pair.certificate, &pair.key])
    {
        if let Err(error) = File::open(path) {
            let _ = writeln!(
                text,
                "  note: {} cannot be read here: {error}",
                path.display()
            );
        }
    }
    text
}

/// The fault in the files by which an app with TLS is known, and Noren to it.
fn unfit_tls(app: &App) -> Option<String> {
    let tls = app.tls.as_ref().filter(|_| app.url.is_https)?;
    noren::check_tls(tls).err().map(|error| error.to_string())
}
