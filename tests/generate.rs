//! Man pages and completions say all that the program and its reference do.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

fn generated(what: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_noren"))
        .args(["generate", what])
        .arg(directory.path().join("made"))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    directory
}

fn read(directory: &TempDir, name: &str) -> String {
    fs::read_to_string(directory.path().join("made").join(name)).unwrap()
}

/// The names of all commands, out of `noren --help`.
fn commands() -> Vec<String> {
    let ran = Command::new(env!("CARGO_BIN_EXE_noren"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(ran.stdout).unwrap();
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("     "));
    let names: Vec<_> = listed
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 4, "{names:?}");
    names
}

#[test]
fn every_command_has_a_man_page_that_says_what_its_help_says() {
    let made = generated("man");
    let main = read(&made, "noren.1");
    for name in commands() {
        assert!(main.contains(&format!("noren\\-{name}(1)")), "{name}");
        let page = read(&made, &format!("noren-{name}.1"));
        let ran = Command::new(env!("CARGO_BIN_EXE_noren"))
            .args([&name, "--help"])
            .env("COLUMNS", "1000")
            .output()
            .unwrap();
        let help = String::from_utf8(ran.stdout).unwrap();
        let plain = page.replace("\\-", "-");
        let first = help.lines().next().unwrap();
        assert!(plain.contains(first), "{name}: {first}");
        let flags = help
            .split_whitespace()
            .filter(|word| word.starts_with("--") && word.len() > 2);
        for flag in flags {
            let flag = flag.split('[').next().unwrap_or(flag);
            let flag = flag.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            assert!(plain.contains(flag), "{name}: {flag}");
        }
    }
}

#[test]
fn the_page_of_the_configuration_has_every_key_of_the_reference() {
    let made = generated("man");
    let page = read(&made, "noren.toml.5").replace("\\-", "-");
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/noren.toml");
    let reference = fs::read_to_string(reference).unwrap();
    let keys: Vec<_> = reference
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once(" = "))
        .map(|(key, _)| key)
        .filter(|key| !key.contains([' ', '"', '`']))
        .collect();
    assert!(keys.len() > 80, "{}", keys.len());
    for key in keys {
        assert!(page.contains(&format!("\\fB{key} = ")), "{key}");
    }
    for table in reference
        .lines()
        .filter(|line| line.starts_with('[') || line.starts_with("# ["))
    {
        let table = table.trim_start_matches("# ");
        assert!(page.contains(&format!("\\fB{table}")), "{table}");
    }
}

#[test]
fn the_completions_of_each_shell_know_every_command() {
    let made = generated("completions");
    for file in ["noren.bash", "_noren", "noren.fish"] {
        let script = read(&made, file);
        for name in commands() {
            assert!(script.contains(&name), "{file}: {name}");
        }
        assert!(
            script.contains("self-signed") || script.contains("sockets"),
            "{file}"
        );
    }
}
