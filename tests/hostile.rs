//! The table of attacks is true: each test it names is there.

use std::fs;
use std::path::Path;

/// The text of every test file, and of the program, whose tests of a single part stand beside it.
fn tests() -> String {
    let mut text = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting = vec![root.join("tests"), root.join("src")];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the tests") {
            let path = entry.expect("a file of the tests").path();
            if path.is_dir() {
                let skipped = [".cache", "fuzz", "browser", "peers", "bench.d"];
                if !skipped.iter().any(|name| path.ends_with(name)) {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(&path).expect("a test file");
            }
        }
    }
    text
}

#[test]
fn every_defence_in_the_table_has_its_test() {
    let tests = tests();
    let table = include_str!("hostile.md");
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let named: Vec<&str> = rows
        .filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next())
        .flat_map(|cell| cell.split(", "))
        .filter_map(|name| name.strip_prefix('`')?.strip_suffix('`'))
        .collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !tests.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(named.len() > 40, "only {} names were found", named.len());
}
