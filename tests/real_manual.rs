//! The man pages and completions, read by the programs they are for.

use std::fs;
use std::process::Command;

use crate::support::{path, run, scratch};

fn generate(what: &str, directory: &str) {
    let _ =
        run(Command::new(env!("CARGO_BIN_EXE_noren")).args(["generate", what, directory])).well();
}

#[test]
fn man_shows_every_page_without_a_warning() {
    let directory = scratch();
    let made = path(&directory, "man");
    generate("man", &made);
    let mut pages = 0;
    for page in fs::read_dir(&made).expect("the pages") {
        let page = page.expect("a page").path();
        let shown = run(Command::new("man")
            .args(["--warnings=w", "--local-file", "--encoding=UTF-8"])
            .arg(&page)
            .env("MANROFFOPT", "-ww")
            .env("MANPAGER", "cat"))
        .well();
        assert_eq!(shown.stderr, "", "{}", page.display());
        assert!(shown.stdout.lines().count() > 10, "{}", shown.stdout);
        pages += 1;
    }
    assert!(pages > 8, "{pages}");
}

#[test]
fn bash_completes_the_commands() {
    let directory = scratch();
    generate("completions", &path(&directory, "made"));
    let script = path(&directory, "made/noren.bash");
    let asked =
        "COMP_WORDS=(noren pub) COMP_CWORD=1; _noren noren pub noren; echo \"${COMPREPLY[@]}\"";
    let ran = run(Command::new("bash").args(["-c", &format!("source {script}; {asked}")])).well();
    assert_eq!(ran.stdout, "publish\n", "{}", ran.stderr);
}
