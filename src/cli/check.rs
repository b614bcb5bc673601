//! `noren check`: finds everything for which `serve` would refuse a configuration, without opening or creating
//! anything.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use noren::text::permission::{Account, Use, readers};
use noren::{Checked, Config, Server};

use crate::cli::explain::{explain, source};
use crate::cli::{Failure, current_runtime, file_or_default, print};

/// The user as which the service of the package runs.
const OF_SERVICE: &str = "noren";

/// The arguments of `noren check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file to check [default: /etc/noren/noren.toml]
    file: Option<PathBuf>,
    /// Also describe the configuration: the routes in their order, their access rules, and the limits
    #[arg(long)]
    explain: bool,
    /// Check the file alone, and nothing that it names: for a file of another machine
    #[arg(long)]
    syntax: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let file = file_or_default(self.file);
        let config = Config::load(&file).map_err(Failure::configuration)?;
        let mut text = report(&file, &config);
        if !self.syntax {
            let runtime = current_runtime()?;
            let inside = runtime.enter();
            let checked = Server::check(&config);
            drop(inside);
            refused(&file, &checked)?;
            text.push_str(&notes(&file, &config, &checked));
        }
        if self.explain {
            text.push_str(&explain(&config));
        }
        print(&text).map_err(Failure::Other)
    }
}

/// Fails with the faults that would prevent a start, except files that only this user may not use.
fn refused(file: &Path, checked: &Checked) -> Result<(), Failure> {
    let faults = checked.faults.iter();
    let faults = faults.filter(|fault| fault.denied().is_none());
    let lines: Vec<String> = faults
        .map(|fault| format!("{}: {fault}", file.display()))
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Failure::Configuration(anyhow!(lines.join("\n"))))
}

/// Summarises the file in a few lines.
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
            app.name, app.urls, app.path
        );
    }
    for source in &config.bridge.tokens {
        let _ = writeln!(text, "  tokens from {source}");
    }
    for target in &config.bridge.targets {
        let _ = writeln!(text, "  a fixed token for {}", target.address);
    }
    for files in &config.files {
        let (directory, path) = (files.directory.display(), &files.path);
        let _ = writeln!(text, "  files of {directory}, below {path}");
    }
    for channel in &config.channels {
        let sources = channel.sources.iter().map(source);
        let from = sources.collect::<Vec<_>>().join(", ");
        let from = if from.is_empty() {
            from
        } else {
            format!(", from {from}")
        };
        if channel.is_of_mercure() {
            let path = config.mercure.as_ref().map(|mercure| mercure.path.as_str());
            let _ = writeln!(text, "  a Mercure hub at {}", path.unwrap_or_default());
            continue;
        }
        if channel.is_of_grip() {
            let app = channel.app.as_deref().unwrap_or_default();
            let _ = writeln!(text, "  channels of the app {app} (GRIP)");
            continue;
        }
        let _ = writeln!(text, "  channel {}{from}", channel.name);
    }
    text
}

/// Notes on a valid file: files that this user may not use but others may, files that the service may not use, and
/// certificates that clients will complain about.
fn notes(file: &Path, config: &Config, checked: &Checked) -> String {
    let account = Account::current();
    let mut text = String::new();
    for fault in checked.faults.iter() {
        let Some(denied) = fault.denied() else {
            continue;
        };
        let _ = writeln!(text, "  note: not checked: {fault}");
        if !account.is_root() {
            let _ = writeln!(
                text,
                "        {} may; check with: sudo noren check {}",
                readers(denied),
                file.display()
            );
        }
    }
    // Root reads everything, and the service does not.
    let service = Account::named(OF_SERVICE).filter(|_| account.is_root());
    if let Some(service) = service {
        for file in config.files_read() {
            if let Some(remedy) = service.lacks(&file, Use::Read) {
                let _ = writeln!(text, "  note: {}: {remedy}", file.display());
            }
        }
    }
    for warning in &checked.warnings {
        let _ = writeln!(text, "  note: {warning}");
    }
    text
}
