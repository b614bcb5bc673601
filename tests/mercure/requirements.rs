//! The table of the specification's requirements is true: each test it names is there, and no row has neither a test
//! nor a reason.

use std::fs;
use std::path::Path;

/// The text of the tests and of the program, whose tests of a single part stand beside it.
fn sources() -> String {
    let mut text = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting = vec![root.join("tests"), root.join("src")];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if ![".cache", "node_modules", "fuzz"]
                    .iter()
                    .any(|name| path.ends_with(name))
                {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(&path).unwrap();
            }
        }
    }
    text
}

#[test]
fn every_requirement_has_its_test_or_a_reason() {
    let sources = sources();
    let table = include_str!("../mercure.md");
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut tests = 0;
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{row}");
        assert!(cells[2].len() > 10, "neither a test nor a reason: {row}");
        let names = cells[2].split('`').skip(1).step_by(2);
        for name in names.filter(|name| name.contains('_') && *name != "insufficient_scope") {
            assert!(sources.contains(&format!("fn {name}(")), "{name}: {row}");
            tests += 1;
        }
    }
    assert!(tests > 60, "only {tests} names were found");
}
