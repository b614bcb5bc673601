//! Rules for comments and names that a program can check: `CONTRIBUTING.md` explains them under "Words".
//!
//! Each test names the file and the line of every violation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Words that open a subordinate clause, in place of a sentence that says what the thing is or does.
const OPENINGS: [&str; 11] = [
    "What",
    "Whatever",
    "Who",
    "Whoever",
    "Whose",
    "Whom",
    "Whether",
    "How",
    "Where",
    "Which",
    "Whichever",
];

/// Limit on the characters of a line.
const COLUMNS: usize = 120;

/// Words that the glossary must explain.
const GLOSSARY: [&str; 24] = [
    "channel",
    "connection",
    "credential",
    "cursor",
    "drain",
    "gap",
    "hand-over",
    "heartbeat",
    "history",
    "lag",
    "lease",
    "listener",
    "message",
    "plan",
    "publisher",
    "queue",
    "relay",
    "request, response",
    "session",
    "snapshot",
    "spool",
    "subscriber",
    "target",
    "tunnel",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below these directories, with its text.
fn sources(directories: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut waiting: Vec<_> = directories.iter().map(|name| root().join(name)).collect();
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("a file of the repository").path();
            if path.is_dir() {
                // What was installed or built here, such as the peers of the tests, is not the project's text.
                let installed = path.ends_with(".cache") || path.ends_with("node_modules");
                if !installed && !path.join("CACHEDIR.TAG").exists() {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let name = path.strip_prefix(root()).expect("a path below the root");
                found.push((name.to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// A documentation comment: its first line, counted from 1, and its text line by line.
struct Comment<'t> {
    line: usize,
    text: Vec<&'t str>,
}

/// The documentation comments of a file.
fn comments(source: &str) -> Vec<Comment<'_>> {
    let mut found: Vec<Comment<'_>> = Vec::new();
    let mut open = "";
    for (index, line) in source.lines().enumerate() {
        let line = line.trim_start();
        let marker = ["//!", "///"]
            .into_iter()
            .find(|marker| line.starts_with(marker) && !line.starts_with("////"));
        let Some(marker) = marker else {
            open = "";
            continue;
        };
        let text = line.get(marker.len()..).unwrap_or_default().trim();
        match found.last_mut() {
            Some(comment) if open == marker => comment.text.push(text),
            _ => found.push(Comment {
                line: index + 1,
                text: vec![text],
            }),
        }
        open = marker;
    }
    found
}

impl Comment<'_> {
    /// The first paragraph as one line.
    fn summary(&self) -> String {
        let lines = self.text.iter().take_while(|line| !line.is_empty());
        lines.copied().collect::<Vec<_>>().join(" ")
    }

    /// The text of the `# Errors` section as one line, if there is one.
    fn errors(&self) -> Option<String> {
        let start = self.text.iter().position(|line| *line == "# Errors")?;
        let lines = self.text.iter().skip(start + 1);
        let section = lines.take_while(|line| !line.starts_with("# "));
        Some(section.copied().collect::<Vec<_>>().join(" "))
    }

    /// The first word of each paragraph, without the signs of a list or of emphasis before it.
    fn openings(&self) -> impl Iterator<Item = &str> {
        let paragraphs = self.text.split(|line| line.is_empty());
        let lines = paragraphs.filter_map(|paragraph| paragraph.first());
        lines.filter_map(|line| {
            let line = line.trim_start_matches(|sign: char| !sign.is_alphabetic());
            line.split(|sign: char| !sign.is_alphabetic()).next()
        })
    }

    fn fault(&self) -> Option<&'static str> {
        let summary = self.summary();
        if self.openings().any(|word| OPENINGS.contains(&word)) {
            return Some("opens with a subordinate clause; say what the thing is or does");
        }
        let is_word = |text: &str| !text.is_empty() && !text.trim().contains(' ');
        if is_word(&summary) {
            return Some("is a single word; write a sentence, or a noun with its attributes");
        }
        let errors = self.errors();
        if errors.is_some_and(|errors| is_word(errors.trim())) {
            return Some("has an `# Errors` section that only names the type; say when it occurs");
        }
        None
    }
}

#[test]
fn every_summary_says_what_the_thing_is_or_does() {
    let mut number = 0;
    let mut wrong = Vec::new();
    for (file, text) in sources(&["src", "tests", "examples"]) {
        for comment in comments(&text) {
            number += 1;
            if let Some(fault) = comment.fault() {
                let (file, line) = (file.display(), comment.line);
                wrong.push(format!("{file}:{line}: {:?} {fault}", comment.summary()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(number > 3_000, "only {number} comments were found");
}

#[test]
fn no_line_is_wider_than_the_limit() {
    let mut number = 0;
    let mut wrong = Vec::new();
    for (file, text) in sources(&["src", "tests", "examples"]) {
        for (index, line) in text.lines().enumerate() {
            number += 1;
            let columns = line.chars().count();
            if columns > COLUMNS {
                let (file, line) = (file.display(), index + 1);
                wrong.push(format!("{file}:{line}: {columns} columns"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(number > 50_000, "only {number} lines were found");
}

/// The names of public functions and constants in a file, with their lines. Those in traits and their implementations
/// have no `pub`.
fn public_names(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim_start();
        let item = line
            .strip_prefix("pub ")
            .or_else(|| line.strip_prefix("pub(crate) "))?;
        let item = item
            .trim_start_matches("const ")
            .trim_start_matches("async ");
        let name = item.strip_prefix("fn ").or_else(|| {
            let is_constant = line.contains("const ") || item.starts_with("static ");
            is_constant.then(|| item.trim_start_matches("static "))
        })?;
        let end = name.find(|sign: char| !sign.is_alphanumeric() && sign != '_')?;
        Some((index + 1, &name[..end]))
    })
}

#[test]
fn nothing_is_public_that_no_other_file_names() {
    let files = sources(&["src", "tests", "examples", "fuzz"]);
    let words = |text: &'static str| -> BTreeSet<&'static str> {
        let words = text.split(|sign: char| !sign.is_alphanumeric() && sign != '_');
        words.filter(|word| !word.is_empty()).collect()
    };
    let files: Vec<(PathBuf, &'static str)> = files
        .into_iter()
        .map(|(name, text)| (name, &*text.leak()))
        .collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, text) in &files {
        for word in words(text) {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut number = 0;
    let mut wrong = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| file.starts_with("src")) {
        for (line, name) in public_names(text) {
            number += 1;
            if counts.get(name).copied().unwrap_or_default() < 2 {
                wrong.push(format!(
                    "{}:{line}: no other file names {name}",
                    file.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(number > 700, "only {number} public items were found");
}

#[test]
fn the_glossary_explains_the_words_of_the_code() {
    let text = fs::read_to_string(root().join("CONTRIBUTING.md")).expect("CONTRIBUTING.md");
    let section = text.split("\n## ").find(|part| part.starts_with("Words\n"));
    let section = section.expect("a section \"Words\" in CONTRIBUTING.md");
    let explained: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .collect();
    for word in GLOSSARY {
        assert!(explained.contains(word), "the glossary lacks {word:?}");
    }
}

#[test]
fn the_maps_name_every_module() {
    let documents: Vec<String> = ["CONTRIBUTING.md", "src/lib.rs"]
        .iter()
        .map(|name| fs::read_to_string(root().join(name)).expect("a document"))
        .collect();
    let mut modules = BTreeSet::new();
    for entry in fs::read_dir(root().join("src")).expect("the sources") {
        let path = entry.expect("an entry of src").path();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        let name = path.file_stem().and_then(|name| name.to_str());
        if is_source || path.is_dir() {
            modules.insert(name.expect("UTF-8").to_owned());
        }
    }
    assert!(modules.len() > 20, "only {} modules", modules.len());
    let [contributing, library] = documents.as_slice() else {
        unreachable!("two documents");
    };
    for module in &modules {
        let named = |text: &str| {
            ["`", "/`", ".rs`"]
                .iter()
                .any(|end| text.contains(&format!("`{module}{end}")))
        };
        assert!(named(contributing), "CONTRIBUTING.md lacks {module}");
        let is_public_map = library.contains(&format!("mod {module};"));
        assert!(
            !is_public_map || named(library),
            "the map in src/lib.rs lacks {module}"
        );
    }
}

#[test]
fn a_violation_is_found() {
    let source = "//! Whether it is.\n\n/// Why.\nfn a() {}\n/// Reads a file.\n///\n/// # Errors\n/// [`Error`].\n\n\
                  /// Adds bytes.\n///\n/// **Whoever reads** gets them.\n";
    let faults: Vec<_> = comments(source)
        .iter()
        .map(|comment| (comment.line, comment.fault().is_some()))
        .collect();
    assert_eq!(faults, [(1, true), (3, true), (5, true), (10, true)]);
    let fine =
        comments("/// Counts whatever the client sends.\n/// # Errors\n/// [`Full`] if it is.\n");
    assert!(fine.iter().all(|comment| comment.fault().is_none()));
}
