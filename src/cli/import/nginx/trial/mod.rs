//! `noren import nginx --check`: sends the same requests to nginx with a file and to Noren with the imported file, and
//! reports the differences.
//!
//! Both listen on UNIX sockets in a temporary directory, and a stub that sends back each request (`stub`) replaces
//! every app. So no port, no app and no other nginx of this machine is touched. `nginx_file` writes the file for nginx,
//! `noren_file` the one for Noren, `requests` chooses the requests, and `report` compares the responses.

mod client;
mod nginx_file;
mod noren_file;
mod process;
mod report;
mod requests;
mod stub;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use noren::Config;
use tempfile::TempDir;

use super::syntax::Directive;
use report::Report;

/// Time limit for all requests together.
const LONGEST: Duration = Duration::from_secs(120);

/// The directory of a comparison, with the sockets of the stubs.
struct TrialDirectory {
    directory: TempDir,
    /// The number of the stub for each address of an app.
    apps: BTreeMap<String, usize>,
}

/// An address of nginx, and the socket that replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listener {
    /// `0.0.0.0:80`, `[::]:443` or `unix:/path`.
    address: String,
    is_tls: bool,
    socket: PathBuf,
}

/// The result of a comparison: its lines, and the number of requests that Noren admits and nginx refuses.
pub(in crate::cli::import) struct Outcome {
    pub(in crate::cli::import) text: String,
    pub(in crate::cli::import) open: usize,
}

/// Compares nginx with the configuration that was imported from its file.
pub(super) fn compare(directives: &[Directive], made: &str) -> Result<Outcome> {
    Config::parse(made, "noren.toml").map_err(|error| {
        anyhow!("the result is not complete yet, so nothing can be compared: {error}")
    })?;
    let mut trial = TrialDirectory::new()?;
    let mut theirs = nginx_file::NginxFile::of(directives, &mut trial)?;
    let ours = noren_file::NorenFile::of(made, &mut trial)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("start the runtime")?;
    let nginx = theirs.start(&trial)?;
    let noren = ours.start(&trial)?;
    let asked = requests::requests(directives, &theirs.hosts);
    let report = runtime.block_on(async {
        let _stubs = stub::serve(&trial)?;
        let mut report = Report::new(directives, &trial);
        report.notes(&theirs.notes);
        let end = Instant::now() + LONGEST;
        for listener in &theirs.listeners {
            let Some(own) = ours.beside(listener) else {
                report.not_listening(listener);
                continue;
            };
            for request in &asked {
                if Instant::now() > end {
                    report.ended(LONGEST);
                    return anyhow::Ok(report);
                }
                let answers = [
                    client::ask(listener, request).await,
                    client::ask(own, request).await,
                ];
                report.add(listener, request, &answers);
            }
        }
        Ok(report)
    })?;
    drop((nginx, noren));
    Ok(report.finish())
}

impl TrialDirectory {
    fn new() -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("noren-import-")
            .tempdir()
            .context("make a directory for the comparison")?;
        let names = vec!["check.invalid".to_owned()];
        let pair = rcgen::generate_simple_self_signed(names).context("make a certificate")?;
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
        };
        write("certificate.pem", &pair.cert.pem())?;
        write("key.pem", &pair.signing_key.serialize_pem())?;
        write("users", "check:{PLAIN}check\n")?;
        Ok(Self {
            directory,
            apps: BTreeMap::new(),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the socket of the stub that replaces an address.
    fn app(&mut self, address: &str) -> PathBuf {
        let next = self.apps.len();
        let number = *self.apps.entry(address.to_owned()).or_insert(next);
        self.path(&format!("app-{number}"))
    }

    /// Assigns one stub to several addresses, because nginx and Noren choose between them in different ways.
    fn join(&mut self, addresses: &[String]) {
        let Some(first) = addresses.first() else {
            return;
        };
        let _ = self.app(first);
        let number = self.apps.get(first).copied().unwrap_or_default();
        for other in addresses {
            self.apps.entry(other.clone()).or_insert(number);
        }
    }

    /// Returns the addresses that a stub replaces.
    fn addresses(&self, number: usize) -> String {
        let all = self.apps.iter().filter(|(_, known)| **known == number);
        let all: Vec<&str> = all.map(|(address, _)| address.as_str()).collect();
        all.join(" or ")
    }
}

/// Returns the normal form of an app's address, from a URL or from a `server` of an `upstream`.
fn address(written: &str) -> String {
    let bare = written.trim_end_matches([':', '/']);
    let (is_tls, bare) = match bare.split_once("://") {
        Some((scheme, rest)) => (scheme == "https", rest),
        None => (false, bare),
    };
    if bare.starts_with("unix:") {
        return bare.to_owned();
    }
    super::values::with_port(bare, if is_tls { "https" } else { "http" })
}

/// Finds a program in the usual directories.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    places
        .map(|directory| directory.join(name))
        .find(|file: &PathBuf| Path::is_file(file))
}
