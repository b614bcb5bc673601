//! Tests that the documents are true: their configurations are valid, their links lead somewhere, their commands exist.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use noren::Config;

use crate::support::run;

/// A document of the project.
struct Document {
    /// Its path within the repository.
    path: PathBuf,
    text: String,
}

/// A fenced block of a document.
struct Block<'d> {
    document: &'d Document,
    line: usize,
    language: &'d str,
    text: String,
}

impl Block<'_> {
    fn place(&self) -> String {
        format!("{}:{}", self.document.path.display(), self.line)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<Document> {
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

fn blocks(document: &Document) -> Vec<Block<'_>> {
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

/// Text around a block that shows a part of a file.
const SURROUNDINGS: [(&str, &str); 7] = [
    ("", ""),
    ("", "[[channel]]\nname = 'shown'\n"),
    ("", "[[app]]\nurl = 'http://127.0.0.1:8010'\n"),
    (
        "",
        "[[bridge.tokens]]\nsource = 'directory'\npath = '/tokens'\n",
    ),
    ("[[app]]\nurl = 'http://127.0.0.1:8010'\n", ""),
    (
        "[[bridge.tokens]]\nsource = 'directory'\npath = '/tokens'\n",
        "",
    ),
    (
        "[[channel]]\nname = 'nova.*'\n[[channel.source]]\nsource = 'amqp'\nurl = 'amqp://localhost'\n\
         exchange = 'nova'\nformat = 'oslo'\n",
        "",
    ),
];

#[test]
fn each_configuration_in_a_document_is_valid() {
    let mut checked = 0;
    for document in documents() {
        for block in blocks(&document) {
            if block.language != "toml" {
                continue;
            }
            checked += 1;
            let faults: Vec<_> = SURROUNDINGS
                .iter()
                .map_while(|(before, behind)| {
                    Config::parse(&format!("{before}{}{behind}", block.text), "it").err()
                })
                .map(|fault| fault.to_string())
                .collect();
            assert!(
                faults.len() < SURROUNDINGS.len(),
                "{}: nothing makes this a valid file\n{}\n{}",
                block.place(),
                block.text,
                faults.join("\n")
            );
        }
    }
    assert!(checked > 15, "only {checked} configurations were found");
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|&c| c.is_alphanumeric() || c == ' ' || c == '-' || c == '_');
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn each_link_of_a_document_leads_to_a_file_and_a_heading() {
    let mut followed = 0;
    for document in documents() {
        let links = document.text.split("](").skip(1);
        for link in links.filter_map(|rest| rest.split(')').next()) {
            if link.contains(':') || link.is_empty() {
                continue;
            }
            followed += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let here = root().join(&document.path);
            let target = if file.is_empty() {
                here
            } else {
                here.with_file_name("").join(file)
            };
            let said = format!("{} links to {link}", document.path.display());
            assert!(target.exists(), "{said}, which is not there");
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).expect("a document");
                assert!(
                    anchors(&text).iter().any(|anchor| anchor == heading),
                    "{said}, which has no such heading"
                );
            }
        }
    }
    assert!(followed > 40, "only {followed} links were found");
}

/// The words of each call of `noren` in a line of shell, from its name to the end of the command.
fn calls(line: &str) -> Vec<Vec<&str>> {
    let line = line.split(" #").next().unwrap_or_default();
    let commands = line.split(['|', ';', '&', '(', ')']);
    let words = commands.map(|command| command.split_whitespace().collect::<Vec<_>>());
    words
        .filter_map(|words| {
            let at = words
                .iter()
                .position(|word| *word == "noren" || *word == "$(noren")?;
            // The package, a unit, or a user has the name too.
            let before = words.get(..at)?;
            let is_call = before
                .iter()
                .all(|word| word.contains('=') || ["sudo", "-u"].contains(word));
            is_call.then(|| words.get(at + 1..).unwrap_or_default().to_vec())
        })
        .collect()
}

#[test]
fn each_command_of_a_document_has_the_flags_that_are_shown() {
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut flags = 0;
    for document in documents() {
        for block in blocks(&document) {
            if block.language != "sh" {
                continue;
            }
            let joined = block.text.replace("\\\n", " ");
            for call in joined.lines().flat_map(calls) {
                let [command, rest @ ..] = call.as_slice() else {
                    continue;
                };
                if command.starts_with('-') {
                    continue;
                }
                // What comes behind these is another program's.
                let own = rest.iter().take_while(|word| **word != "--");
                let names: Vec<_> = match *command {
                    "import" | "generate" => rest.iter().take(1).copied().collect(),
                    _ => Vec::new(),
                };
                let whole = [&[*command][..], &names].concat().join(" ");
                let help = helps.entry(whole.clone()).or_insert_with(|| {
                    let words = whole.split(' ');
                    run(Command::new(env!("CARGO_BIN_EXE_noren"))
                        .args(words)
                        .arg("--help"))
                    .well()
                    .stdout
                });
                for flag in own.filter(|word| word.starts_with("--")) {
                    let name = flag.split('=').next().unwrap_or_default();
                    flags += 1;
                    assert!(
                        help.split(|c: char| c.is_whitespace() || c == ',')
                            .any(|word| word == name),
                        "{}: `noren {whole}` has no {name}",
                        block.place()
                    );
                }
            }
        }
    }
    assert!(helps.len() > 5, "only {} commands were found", helps.len());
    assert!(flags > 8, "only {flags} flags were found");
}

/// The cells of the first row of a table that begins with this text.
fn row(text: &str, beginning: &str) -> Vec<String> {
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix("| ")?.strip_prefix(beginning));
    let found = found.unwrap_or_else(|| panic!("no row begins with {beginning:?}"));
    let cells = found.split('|').map(|cell| cell.trim().to_owned());
    cells.filter(|cell| !cell.is_empty()).collect()
}

/// The number at the beginning of a cell.
fn number(cell: &str) -> &str {
    cell.split(' ').next().unwrap_or_default()
}

#[test]
fn the_pages_with_figures_agree() {
    let read = |name: &str| fs::read_to_string(root().join(name)).expect("a document");
    let (readme, capacity, figures) = (
        read("README.md"),
        read("src/guide/capacity.md"),
        read("src/guide/figures.md"),
    );
    for what in [
        "100,000 requests of 1 KiB, HTTP/1.1",
        "100,000 requests of 1 KiB, HTTP/2",
        "full handshake, ECDSA P-256",
        "bridge, 1 GiB down",
        "memory of an idle bridged connection",
    ] {
        let (short, whole) = (row(&readme, what), row(&figures, what));
        let [.., noren, peer, ratio] = short.as_slice() else {
            panic!("README: {what} is no row of figures");
        };
        for cell in [noren, peer, ratio] {
            assert!(
                whole.contains(cell),
                "README: {what}: {cell} is not in {whole:?}"
            );
        }
    }
    let memory = row(&capacity, "memory, idle, TLS included");
    let of = |transport: &str| {
        row(
            &figures,
            &format!("memory of an idle subscriber, of 5,000, {transport}"),
        )
    };
    assert_eq!(
        memory,
        [of("WebSocket")[0].clone(), of("event stream")[0].clone()]
    );
    let delivery = row(&capacity, "CPU of one delivery, at 10 messages a second");
    let all = |transport: &str| {
        let of = |count: &str| {
            row(
                &figures,
                &format!("{count} {transport}, 10 messages/s: CPU for a million deliveries"),
            )[0]
            .clone()
        };
        [of("1,000"), of("5,000")]
    };
    for (cell, measured) in delivery
        .iter()
        .zip([all("WebSockets"), all("event streams")])
    {
        for seconds in measured {
            assert!(
                cell.contains(number(&seconds)),
                "{cell}: {seconds} was measured"
            );
        }
    }
}
