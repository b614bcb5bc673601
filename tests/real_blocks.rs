//! Code of the documents, read by the language it is written in: each block is at least a text of that language.
//!
//! Shell and configuration have tests of their own: `book.rs`, `documents.rs`.

use std::fs;
use std::process::Command;

use crate::support::{Block, blocks, documents, run, scratch};

/// The scripts of a piece of HTML.
fn scripts(html: &str) -> String {
    let pieces = html.split("<script").skip(1);
    let texts =
        pieces.filter_map(|piece| Some(piece.split_once('>')?.1.split_once("</script>")?.0));
    texts.collect::<Vec<_>>().join("\n")
}

const PYTHON: &str = "import ast, sys; ast.parse(open(sys.argv[1]).read())";
const INI: &str =
    "import configparser, sys; configparser.ConfigParser().read_file(open(sys.argv[1]))";

/// The program that reads the language without running it, the ending of its files, and the text for it.
fn reader(block: &Block<'_>) -> Option<(&'static [&'static str], &'static str, String)> {
    let text = block.text.clone();
    Some(match block.language {
        "python" => (&["python3", "-c", PYTHON], "py", text),
        "ini" => (&["python3", "-c", INI], "ini", text),
        "json" => (&["python3", "-m", "json.tool"], "json", text),
        "php" => (&["php", "-l"], "php", format!("<?php\n{text}")),
        "ruby" => (&["ruby", "-c"], "rb", text),
        "js" => (&["node", "--check"], "mjs", text),
        "html" => (&["node", "--check"], "mjs", scripts(&text)),
        _ => return None,
    })
}

#[test]
fn each_block_of_code_is_a_text_of_its_language() {
    let directory = scratch();
    let mut seen = 0;
    let documents = documents();
    for block in documents.iter().flat_map(blocks) {
        let Some((command, ending, text)) = reader(&block) else {
            continue;
        };
        seen += 1;
        let file = directory.path().join(format!("block.{ending}"));
        fs::write(&file, text).expect("a file");
        let [program, arguments @ ..] = command else {
            continue;
        };
        let ran = run(Command::new(program).args(arguments).arg(&file));
        assert!(
            ran.status.success(),
            "{}: {}{}\n{}",
            block.place(),
            ran.stdout,
            ran.stderr,
            block.text
        );
    }
    assert!(seen > 15, "only {seen} blocks of code were found");
}
