//! Tests that every shell block of a document is run somewhere, or says why not: `tests/boot.d/commands.toml`.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::support::{Block, blocks, documents, root};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    document: String,
    begins: String,
    step: Option<String>,
    by: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Entries {
    block: Vec<Entry>,
}

fn entries() -> Vec<Entry> {
    let text = fs::read_to_string(root().join("tests/boot.d/commands.toml")).expect("the entries");
    toml::from_str::<Entries>(&text).expect("the entries").block
}

impl Entry {
    fn is_of(&self, block: &Block<'_>) -> bool {
        block.document.path.to_string_lossy() == self.document
            && block.text.trim_start().starts_with(&self.begins)
    }

    /// The reason why it is run nowhere, if that is true.
    fn fault(&self, steps: &str) -> Option<String> {
        let read = |name: &str| fs::read_to_string(root().join(name)).unwrap_or_default();
        match (&self.step, &self.by, &self.reason) {
            (Some(step), None, None) => {
                let method = format!("    def {step}(self):");
                (!steps.contains(&method)).then(|| format!("no step is called {step}"))
            }
            // A program that runs it has it from the document, or is what the block calls.
            (None, Some(by), None) => {
                let (text, calls) = (read(by), self.begins.starts_with("python -m unittest"));
                let runs = text.contains(&self.document)
                    || calls && text.contains("unittest discover contrib");
                (!runs).then(|| format!("{by} does not read {}", self.document))
            }
            (None, None, Some(reason)) => {
                (reason.len() < 40).then(|| format!("{reason:?} is no reason"))
            }
            _ => Some("write one of step, by and reason".to_owned()),
        }
    }
}

#[test]
fn every_shell_block_is_run_or_says_why_not() {
    let entries = entries();
    let steps: String = ["book", "package"]
        .iter()
        .map(|name| {
            fs::read_to_string(root().join(format!("tests/boot.d/{name}.py"))).expect("the steps")
        })
        .collect();
    let mut faults = Vec::new();
    let mut uses: BTreeMap<usize, usize> = BTreeMap::new();
    let documents = documents();
    for block in documents.iter().flat_map(blocks) {
        if block.language != "sh" {
            continue;
        }
        let own: Vec<_> = (0..)
            .zip(&entries)
            .filter(|(_, entry)| entry.is_of(&block))
            .collect();
        if own.len() != 1 {
            faults.push(format!(
                "{}: {} entries of tests/boot.d/commands.toml are for this block, which begins {:?}",
                block.place(),
                own.len(),
                block.text.trim_start().lines().next().unwrap_or_default()
            ));
        }
        for (number, entry) in own {
            *uses.entry(number).or_default() += 1;
            faults.extend(
                entry
                    .fault(&steps)
                    .map(|fault| format!("{}: {fault}", block.place())),
            );
        }
    }
    for (number, entry) in (0..).zip(&entries) {
        if uses.get(&number) != Some(&1) {
            faults.push(format!(
                "{}: no block begins with {:?}",
                entry.document, entry.begins
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(uses.len() > 40, "only {} blocks were found", uses.len());
}

#[test]
fn every_block_has_a_language_whose_blocks_are_tried() {
    // `sh` above, `toml` in documents.rs, the others in real_blocks.rs; `text` is output and templates.
    let tried = [
        "sh", "toml", "python", "php", "ruby", "js", "html", "json", "sql", "ini", "text",
    ];
    let documents = documents();
    for block in documents.iter().flat_map(blocks) {
        assert!(
            tried.contains(&block.language),
            "{}: {:?} is none of {tried:?}",
            block.place(),
            block.language
        );
    }
}
