//! `noren recordings`: lists the recordings of a directory, and verifies recordings by their digests.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use noren::Config;
use noren::recording::{Digest, State, Summary, list, summary, verify};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::cli::output::{note, print_json};
use crate::cli::{Failure, file_or_default, print};

/// The arguments of `noren recordings`.
#[derive(Debug, Args)]
pub(super) struct Recordings {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// List recordings: when, how long, how large, of which console, by whom, and how they ended.
    List(List),
    /// Check recordings against their digests; says which record is the first that was changed.
    Verify(Verify),
}

#[derive(Debug, Args)]
struct List {
    /// The directory [default: bridge.recording.directory of the configuration]
    directory: Option<PathBuf>,
    /// The configuration file that names the directory [default: /etc/noren/noren.toml]
    #[arg(long, value_name = "FILE", conflicts_with = "directory")]
    config: Option<PathBuf>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Verify {
    /// The recordings
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The digest that the audit log has of the recording; it must be the one of the file
    #[arg(long, value_name = "HEX", value_parser = digest)]
    digest: Option<Digest>,
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).ok_or_else(|| {
        "this is no digest; write the 64 hexadecimal digits of the line \"recorded\" in the audit log"
            .to_owned()
    })
}

impl Recordings {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.task {
            Task::List(list) => list.run(),
            Task::Verify(verify) => Ok(verify.run()?),
        }
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let directory = match self.directory {
            Some(directory) => directory,
            None => configured(self.config)?,
        };
        // A directory that is missing has no recordings, but one that cannot be read has some.
        if let Err(error) = std::fs::read_dir(&directory) {
            let error = anyhow!(error).context(format!("read {}", directory.display()));
            return Err(error.into());
        }
        let mut text = String::new();
        for (path, _) in list(&directory) {
            match summary(&path) {
                Ok(summary) if self.json => {
                    let _ = writeln!(text, "{}", summary.json());
                }
                Ok(summary) => {
                    let _ = writeln!(text, "{}", row(&summary));
                }
                Err(error) => note(&format!("{}: {error}", path.display())),
            }
        }
        if self.json {
            print_json(&text).map_err(Failure::Other)?;
        } else {
            print(&text)?;
        }
        Ok(())
    }
}

/// Returns the directory of the configuration.
fn configured(file: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let file = file_or_default(file);
    let config = Config::load(&file).map_err(Failure::configuration)?;
    config.bridge.recording.directory.ok_or_else(|| {
        Failure::Configuration(anyhow!(
            "{} records nothing (bridge.recording.directory); name the directory",
            file.display()
        ))
    })
}

fn row(summary: &Summary) -> String {
    let header = &summary.header;
    let console = header.console.as_deref().unwrap_or(&header.target);
    let user = header.user.as_deref().unwrap_or("-");
    let kind = if summary.graphical {
        "graphical"
    } else {
        "serial"
    };
    let state = match &summary.state {
        State::Open => "being written".to_owned(),
        State::Ended(reason) => reason.clone(),
        State::Cut => "cut off".to_owned(),
    };
    format!(
        "{}  {:>9}  {:>9}  {kind:<9}  {}  {user} at {}  {}  ({state})",
        moment(header.begun),
        length(summary.duration),
        size(summary.size),
        one_line(console),
        one_line(&header.peer),
        name(&summary.path),
    )
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Escapes a text from a recording, so that it cannot begin a line of its own.
fn one_line(text: &str) -> String {
    noren::text::escape::line(text).into_owned()
}

/// Formats a time in UTC.
fn moment(milliseconds: u64) -> String {
    let seconds = i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX);
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
    moment
        .and_then(|moment| moment.format(&format).ok())
        .unwrap_or_else(|| "-".to_owned())
}

fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours}:{minutes:02}:{seconds:02}")
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=1023 => format!("{bytes} B"),
        1024..=1_048_575 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

impl Verify {
    fn run(self) -> anyhow::Result<()> {
        let mut faulty = 0;
        for path in &self.files {
            let shown = path.display();
            let file = File::open(path).with_context(|| format!("open {shown}"))?;
            let verdict = verify(BufReader::new(file)).with_context(|| format!("read {shown}"))?;
            let expected = self.digest.filter(|digest| *digest != verdict.digest);
            let fault = verdict.fault.map(|fault| fault.to_string()).or_else(|| {
                expected.map(|digest| {
                    format!(
                        "its digest is {}, and not {digest}: the whole file was written anew",
                        verdict.digest
                    )
                })
            });
            let records = verdict.records;
            match fault {
                None => print(&format!(
                    "{shown}: {records} records, as they were written; digest {}\n",
                    verdict.digest
                ))?,
                Some(fault) => {
                    faulty += 1;
                    let seconds = verdict.until.as_secs_f64();
                    print(&format!(
                        "{shown}: {fault} ({records} records match, up to {seconds:.3} s)\n"
                    ))?;
                }
            }
        }
        match faulty {
            0 => Ok(()),
            _ => Err(anyhow!(
                "{faulty} of {} recordings cannot be relied on",
                self.files.len()
            )),
        }
    }
}
