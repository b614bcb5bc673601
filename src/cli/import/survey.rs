//! A directory of nginx's files: each is imported by itself, and a line says what came of it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use noren::Config;

use super::nginx;

/// Imports every file of a directory and counts.
pub(super) fn survey(directory: &Path) -> Result<String> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = paths.filter(|path| path.is_file()).collect();
    paths.sort();
    let mut text = String::new();
    let (mut valid, mut open) = (0, 0);
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let made = nginx::import(path);
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
                let left = made.matches("\n# not carried over: ").count();
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
    let all = paths.len();
    let _ = writeln!(
        text,
        "{all} files: {valid} valid, {open} of them with nothing closed"
    );
    Ok(text)
}
