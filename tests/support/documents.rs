//! The documents of the project and their fenced blocks.

use std::fs;
use std::path::{Path, PathBuf};

/// A document of the project.
pub(crate) struct Document {
    /// Its path within the repository.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A fenced block of a document.
pub(crate) struct Block<'d> {
    pub(crate) document: &'d Document,
    pub(crate) line: usize,
    pub(crate) language: &'d str,
    pub(crate) text: String,
}

impl Block<'_> {
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.document.path.display(), self.line)
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn documents() -> Vec<Document> {
    let mut found = Vec::new();
    for directory in [
        "",
        "src/guide",
        "examples",
        "contrib/horizon",
        "tests/differential",
        "certs",
    ] {
        for entry in fs::read_dir(root().join(directory)).expect("a directory of the project") {
            let path = entry.expect("an entry of it").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).expect("a document");
                let path = path.strip_prefix(root()).expect("within it").to_owned();
                found.push(Document { path, text });
            }
        }
    }
    assert!(
        found.len() > 12,
        "only {} documents were found",
        found.len()
    );
    found
}

pub(crate) fn blocks(document: &Document) -> Vec<Block<'_>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (number, line) in (1..).zip(document.text.lines()) {
        let fence = line.trim_start().strip_prefix("```");
        match (open.take(), fence) {
            (None, Some(language)) => {
                open = Some(Block {
                    document,
                    line: number,
                    language,
                    text: String::new(),
                });
            }
            (Some(block), Some(_)) => found.push(block),
            (Some(mut block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(
        open.is_none(),
        "{} ends within a block",
        document.path.display()
    );
    found
}
