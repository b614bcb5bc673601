//! SECURITY.md names the tests that show what it promises; here it is held to that.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The text of every Rust file below a directory.
fn sources(directory: &Path, into: &mut String) {
    for entry in fs::read_dir(directory).expect("a directory of the project") {
        let path = entry.expect("a file of the project").path();
        if path.is_dir() {
            if path.ends_with(".cache") || path.ends_with("node_modules") {
                continue;
            }
            sources(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            into.push_str(&fs::read_to_string(path).expect("a source file"));
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("SECURITY.md")).expect("SECURITY.md");
    let (_, table) = text
        .split_once("| somebody does | and Noren | shown by |\n|---|---|---|\n")
        .expect("the table of the threat model");
    let rows: Vec<_> = table.lines().take_while(|line| !line.is_empty()).collect();
    let firsts: BTreeSet<_> = rows
        .iter()
        .filter_map(|row| row.split(" | ").next())
        .collect();
    assert_eq!(firsts.len(), rows.len(), "a row stands there twice");
    let named: BTreeSet<&str> = rows
        .iter()
        .filter_map(|row| row.rsplit(" | ").next())
        .flat_map(|tests| tests.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    let mut code = String::new();
    sources(&root.join("tests"), &mut code);
    sources(&root.join("src"), &mut code);
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !code.contains(&format!("fn {name}()")))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}
