//! The documentation leads a reader to files, functions and types that exist.

use std::fs;
use std::path::Path;

/// The text between each pair of backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// True if a source file defines a function or a type of this name.
fn defines(source: &str, name: &str) -> bool {
    ["fn", "struct", "enum", "trait"].iter().any(|kind| {
        source
            .match_indices(&format!("{kind} {name}"))
            .any(|(at, found)| {
                let next = source
                    .get(at + found.len()..)
                    .unwrap_or_default()
                    .chars()
                    .next();
                next.is_none_or(|next| !next.is_alphanumeric() && next != '_')
            })
    })
}

#[test]
fn each_stage_of_a_life_names_files_and_functions_that_exist() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let text = fs::read_to_string(source.join("life.md")).expect("the page of the three lives");
    let mut names = 0;
    for places in text
        .split('(')
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        for place in places.split(';') {
            let quoted = quoted(place);
            let [file, expected @ ..] = quoted.as_slice() else {
                continue;
            };
            let file = source.join(file);
            // Names alone, in the text, belong to the file before them.
            if file.extension().is_none() {
                continue;
            }
            let source = fs::read_to_string(&file)
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            for name in expected {
                names += 1;
                assert!(defines(&source, name), "{} has no {name}", file.display());
            }
        }
    }
    assert!(names > 40, "only {names} names were found");
}
