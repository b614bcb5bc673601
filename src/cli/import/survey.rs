//! Imports each file of a directory separately, and prints one line about each result.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use noren::Config;

use super::nginx;

/// The beginning of a remark on a directive; its file, line and words follow.
const LEFT: &str = "\n# not carried over: ";
/// Limit on the directives that are listed at the end.
const MOST_NAMED: usize = 12;

/// Imports every file of a directory, and counts the results.
pub(super) fn survey(directory: &Path) -> Result<String> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = paths.filter(|path| path.is_file()).collect();
    paths.sort();
    let mut text = String::new();
    let (mut valid, mut open) = (0, 0);
    let mut left_out = BTreeMap::new();
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let made = nginx::import(path);
        if let Ok(made) = &made {
            count(made, &mut left_out);
        }
        let config = made.as_ref().map(|made| Config::parse(made, "noren.toml"));
        let line = match (&made, config) {
            (Ok(made), Ok(Ok(config))) => {
                let closed = config
                    .apps
                    .iter()
                    .filter(|app| app.name.starts_with("closed-"));
                let closed = closed.count();
                let apps = config.apps.len() - closed;
                let files = config.files.len();
                let left = made.matches(LEFT).count();
                valid += 1;
                open += usize::from(closed == 0);
                format!(
                    "valid: apps {apps}, directories {files}, closed {closed}, not carried over {left}"
                )
            }
            (_, Ok(Err(error))) => format!("not complete: {error}"),
            (Err(error), _) | (Ok(_), Err(error)) => format!("not read: {error:#}"),
        };
        let line = line.lines().next().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: {line}");
    }
    let mut left_out: Vec<_> = left_out.into_iter().collect();
    left_out.sort_by_key(|(_, files)| std::cmp::Reverse(*files));
    let named = left_out.iter().take(MOST_NAMED);
    let named: Vec<_> = named
        .map(|(name, files)| format!("{name} {files}"))
        .collect();
    if !named.is_empty() {
        let _ = writeln!(
            text,
            "not carried over, and in how many files: {}",
            named.join(", ")
        );
    }
    let all = paths.len();
    let _ = writeln!(
        text,
        "{all} files: {valid} valid, {open} of them with nothing closed"
    );
    Ok(text)
}

/// Increases, for each directive of a file that was not carried over, the number of files that have it.
fn count(made: &str, files: &mut BTreeMap<String, usize>) {
    let remarks = made.split(LEFT).skip(1);
    let name = |remark: &str| {
        let words = remark.lines().next()?.splitn(3, ':').nth(2)?.trim();
        let end = words.find([' ', ';', '{']).unwrap_or(words.len());
        words.get(..end).map(str::to_owned)
    };
    let names: BTreeSet<String> = remarks.filter_map(name).collect();
    for name in names {
        *files.entry(name).or_default() += 1;
    }
}
