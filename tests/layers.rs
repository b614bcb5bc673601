//! The modules are a stack: each names only modules on lower layers, and modules of one layer do not name
//! each other. The list here is the one in the documentation of the library.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The layers, lowest first.
const LAYERS: &[&[&str]] = &[
    &["text", "faults", "sync"],
    &["config"],
    &["telemetry", "shutdown", "recording", "shares"],
    &["net", "spool", "jwt"],
    &["tls"],
    &["http", "amqp", "rfb"],
    &["websocket", "upstream", "tokens"],
    &["access", "acme", "proxy", "bridge", "hub", "files"],
    &["push", "sources", "cluster"],
    &["admin"],
    &["router"],
    &["service"],
    &["server"],
    &["lib", "fuzzing", "guide"],
];

/// Every module of the library, and which others its files name with `crate::`.
fn uses() -> BTreeMap<String, Vec<(String, String)>> {
    let mut found: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut waiting = vec![source.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the library") {
            let path = entry.expect("a file of the library").path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let inside = path.strip_prefix(&source).expect("a path below src");
            let room = inside.components().next().expect("a name").as_os_str();
            let module = room
                .to_str()
                .expect("UTF-8")
                .trim_end_matches(".rs")
                .to_owned();
            let text = fs::read_to_string(&path).expect("a source file");
            let named = found.entry(module).or_default();
            named.extend(
                text.lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .flat_map(named_modules)
                    .map(|name| (name, inside.display().to_string())),
            );
        }
    }
    found
}

/// The modules a line names with `crate::name` or `crate::{name, …}`.
fn named_modules(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let list = rest
            .strip_prefix('{')
            .map_or(rest, |list| list.trim_end_matches("};"));
        let several = rest.starts_with('{');
        for item in list.split(',').take(if several { usize::MAX } else { 1 }) {
            let name: String = item
                .trim()
                .chars()
                .take_while(|sign| sign.is_ascii_alphanumeric() || *sign == '_')
                .collect();
            names.push(name);
        }
    }
    names
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The rooms of the binary, which stand above the library and see it from outside.
const BINARY: &[&str] = &["main", "cli", "demo", "signals", "notify"];

#[test]
fn modules_name_lower_layers_only() {
    let mut edges = 0;
    let mut wrong = Vec::new();
    for (module, named) in uses() {
        if BINARY.contains(&module.as_str()) {
            continue;
        }
        let Some(own) = layer(&module) else {
            wrong.push(format!("src/{module} has no place in the list of layers"));
            continue;
        };
        for (name, file) in named.iter().filter(|(name, _)| *name != module) {
            edges += 1;
            match layer(name) {
                Some(other) if other < own => {}
                Some(_) => wrong.push(format!("{file} names {name}, which is not below {module}")),
                None => wrong.push(format!(
                    "{file} names {name}, which has no place in the list of layers"
                )),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(
        edges > 30,
        "only {edges} uses were found: is this test still reading the right files?"
    );
}

/// Every folder of source files, as a path below `src`: each is a room, whose files have an order too.
fn rooms() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    let mut waiting = vec![source.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the library") {
            let path = entry.expect("a file of the library").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && directory != source
            {
                let room = directory.strip_prefix(&source).expect("a path below src");
                found.insert(room.to_str().expect("UTF-8").to_owned());
            }
        }
    }
    found
}

#[test]
fn no_two_files_of_a_room_name_each_other() {
    let mut wrong = Vec::new();
    let mut edges = 0;
    let rooms = rooms();
    for room in &rooms {
        let named = named_inside(room);
        edges += named.values().map(BTreeSet::len).sum::<usize>();
        for (one, others) in &named {
            let back = |other: &&String| named.get(*other).is_some_and(|back| back.contains(one));
            wrong.extend(
                others
                    .iter()
                    .filter(|other| one < *other)
                    .filter(back)
                    .map(|other| format!("src/{room}: {one} and {other} name each other")),
            );
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(
        rooms.len() > 30 && edges > 500,
        "only {edges} uses in {} rooms were found: is this test still reading the right files?",
        rooms.len()
    );
}

/// The modules of a room, and which other modules of the same room their files name with `crate::` or `super::`.
/// The root of the room, which re-exports, and unit tests in files of their own are left out.
fn named_inside(room: &str) -> BTreeMap<String, BTreeSet<String>> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room);
    let mut files = Vec::new();
    let mut waiting = vec![top.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the library") {
            let path = entry.expect("a file of the library").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                files.push(path);
            }
        }
    }
    let module = |path: &Path| {
        let inside = path.strip_prefix(&top).expect("a path below the room");
        let first = inside.components().next().expect("a name").as_os_str();
        let first = first.to_str().expect("UTF-8").trim_end_matches(".rs");
        first.to_owned()
    };
    let modules: BTreeSet<String> = files.iter().map(|path| module(path)).collect();
    let mut found = BTreeMap::new();
    for path in &files {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let own = module(path);
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if !is_rust || name.ends_with("tests.rs") || own == "mod" {
            continue;
        }
        let depth = path
            .strip_prefix(&top)
            .expect("a path")
            .components()
            .count()
            - usize::from(name == "mod.rs");
        let supers = format!("{}::", vec!["super"; depth].join("::"));
        let absolute = format!("crate::{}::", room.replace('/', "::"));
        let text = fs::read_to_string(path).expect("a source file");
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let named = lines.flat_map(|line| {
            let mut named = named_behind(line, &absolute);
            named.extend(named_behind(line, &supers));
            named
        });
        let named = named.filter(|other| *other != own && modules.contains(other));
        let entry: &mut BTreeSet<String> = found.entry(own.clone()).or_default();
        entry.extend(named);
    }
    found
}

/// The names that directly follow this beginning of a path in a line; the path is not the rest of a longer one.
fn named_behind(line: &str, beginning: &str) -> Vec<String> {
    let is_whole = |at: usize| {
        !line[..at].ends_with(|sign: char| sign.is_alphanumeric() || "_:".contains(sign))
    };
    let mut names = Vec::new();
    for (at, _) in line
        .match_indices(beginning)
        .filter(|(at, _)| is_whole(*at))
    {
        let rest = &line[at + beginning.len()..];
        let end = rest.find(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
        names.push(rest[..end.unwrap_or(rest.len())].to_owned());
    }
    names
}

#[test]
fn a_use_inside_a_room_is_found() {
    assert_eq!(
        named_behind("use crate::hub::wire::Format;", "crate::hub::"),
        ["wire"]
    );
    assert_eq!(named_behind("use super::sink::Sink;", "super::"), ["sink"]);
    assert_eq!(
        named_behind("use super::super::sink::Sink;", "super::super::"),
        ["sink"]
    );
    assert_eq!(
        named_behind("use super::super::sink::Sink;", "super::"),
        ["super"]
    );
}

#[test]
fn a_use_is_found_in_every_form() {
    assert_eq!(named_modules("use crate::net::{Peer, Slot};"), ["net"]);
    assert_eq!(
        named_modules("use crate::{net, tls::Alpn};"),
        ["net", "tls"]
    );
    assert_eq!(
        named_modules("let a = crate::http::empty(crate::tls::x());"),
        ["http", "tls"]
    );
}
