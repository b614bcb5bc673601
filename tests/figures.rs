//! The figures of README and guide are those of `tests/bench.d/figures.json`, which `tests/bench --publish` writes.

use std::process::Command;

use crate::support::{root, run};

#[test]
fn each_figure_of_a_document_is_one_that_was_measured() {
    let figures = root().join("tests/bench.d/figures.py");
    run(Command::new("python3").arg("-B").arg(figures).arg("check")).well();
}
