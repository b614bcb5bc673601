//! Tests that the documents are true: their configurations are valid, their links lead somewhere, their commands exist.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use noren::Config;

use crate::support::{blocks, documents, root, run};

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
