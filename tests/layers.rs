//! The modules are a stack: each names only modules on lower layers, and modules of one layer do not name
//! each other. The list here is the one in the documentation of the library.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, lowest first.
const LAYERS: &[&[&str]] = &[
    &["text", "faults", "sync", "sweep", "clock", "fs"],
    &["config"],
    &["telemetry", "shutdown", "recording", "shares"],
    &["net", "spool", "jwt"],
    &["tls"],
    &["http2"],
    &["http", "amqp", "rfb"],
    &["websocket", "upstream", "tokens", "video"],
    &["access", "acme", "proxy", "bridge", "hub", "files"],
    &["push", "sources", "cluster", "viewers"],
    &["admin"],
    &["router"],
    &["service"],
    &["server"],
    &["lib", "fuzzing", "guide"],
];

/// Every module of the library, and which others its files name with `crate::`.
fn uses() -> BTreeMap<String, Vec<(String, String)>> {
    let mut found: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let source = source();
    for path in files_below(&source).iter().filter(|path| is_rust(path)) {
        let inside = path.strip_prefix(&source).expect("a path below src");
        let text = code(&fs::read_to_string(path).expect("a source file"));
        let uses = found.entry(first_component(inside)).or_default();
        let names = named_behind(&text, "crate::").into_iter();
        uses.extend(names.map(|name| (name, inside.display().to_string())));
    }
    found
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All files below a directory.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.to_owned()];
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
    files
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// The module that a path inside of a room belongs to.
fn first_component(inside: &Path) -> String {
    let first = inside.components().next().expect("a name").as_os_str();
    let first = first.to_str().expect("UTF-8").trim_end_matches(".rs");
    first.to_owned()
}

/// The lines of a file without those that are comments.
fn code(text: &str) -> String {
    let lines = text.lines();
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
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
    let source = source();
    let files = files_below(&source).into_iter();
    let directories = files
        .filter(|path| is_rust(path))
        .filter_map(|path| path.parent().map(Path::to_owned))
        .filter(|directory| *directory != source);
    directories
        .map(|directory| {
            let room = directory.strip_prefix(&source).expect("a path below src");
            room.to_str().expect("UTF-8").to_owned()
        })
        .collect()
}

/// The order inside the largest rooms, lowest first: each file names only those of earlier lists. Files of one list do
/// not name each other.
const INSIDE: &[(&str, &[&[&str]])] = &[
    (
        "hub",
        &[
            &[
                "closed_floors",
                "compression",
                "connect_rate",
                "drain",
                "event_name",
                "overview",
            ],
            &[
                "kind",
                "publisher_id",
                "sequence",
                "sockjs_message",
                "subscriber",
                "wire_cache",
            ],
            &["message", "store"],
            &["error", "history", "publish", "wire"],
            &["address", "channel", "settings"],
            &["channels"],
            &[
                "housekeeping",
                "persistence",
                "sequencer",
                "stream_entries",
                "subscriber_rows",
            ],
            &["handover", "subscription"],
            &["private"],
        ],
    ),
    (
        "push",
        &[
            &[
                "control",
                "event_coding",
                "long_poll",
                "mercure",
                "send_buffer",
                "sockjs_frames",
                "publish_refusal",
            ],
            &["client_messages", "grip", "sse"],
            &["websocket"],
            &["sockjs"],
        ],
    ),
    (
        "upstream",
        &[
            &[
                "affinity",
                "availability",
                "condition",
                "fair_queue",
                "h1",
                "reachability",
                "registry",
            ],
            &["request_body", "restart_wait"],
            &["probe", "upload"],
            &["connection"],
            &["pool"],
            &["backend"],
            &["balancer", "drain", "silence", "status"],
            &["workers"],
            &[
                "abandoned",
                "connect",
                "health",
                "live_app",
                "response_reader",
            ],
            &["response_flow", "send", "upgrade"],
            &["slow_clients"],
            &["response_buffer"],
            &["response"],
        ],
    ),
    (
        "tokens",
        &[
            &[
                "address",
                "connect_path",
                "console",
                "file_access",
                "file_name",
                "lookup",
                "service_client",
                "special_address",
                "token",
            ],
            &["test_directory"],
            &[
                "allow",
                "nova",
                "signed",
                "sockets",
                "token_api",
                "token_file",
                "token_redis",
            ],
            &["named_file", "names", "token_index"],
            &["token_files"],
            &["source"],
            &["sources"],
            &["resolver"],
        ],
    ),
    (
        "service",
        &[
            &[
                "audit_record",
                "grip_keys",
                "headers",
                "mercure_keys",
                "methods",
                "page_message",
            ],
            &[
                "request_bodies",
                "responses",
                "session_auth",
                "setup_error",
                "token_limit",
                "tunnel_permits",
            ],
            &["app_requests", "exchange"],
            &["channel_auth", "login_limit", "route_auth", "route_limits"],
            &["plan", "shared_parts"],
            &["handlers", "upkeep"],
            &["live"],
            &["respond"],
            &["pipeline"],
        ],
    ),
];

#[test]
fn the_files_of_a_large_room_name_lower_ones_only() {
    for (room, order) in INSIDE {
        let place = |name: &str| order.iter().position(|list| list.contains(&name));
        for (one, others) in named_inside(room) {
            let own = place(&one);
            assert!(own.is_some(), "src/{room}: {one} has no place in the list");
            let wrong: Vec<_> = others.iter().filter(|other| place(other) >= own).collect();
            assert!(
                wrong.is_empty(),
                "src/{room}: {one} names {wrong:?}, not below it"
            );
        }
    }
}

#[test]
fn the_files_of_a_room_form_no_circle() {
    let mut wrong = Vec::new();
    let mut edges = 0;
    let rooms = rooms();
    for room in &rooms {
        let mut left = named_inside(room);
        edges += left.values().map(BTreeSet::len).sum::<usize>();
        // Files that name none of those that are left go first, until only circles and what names them are left.
        while let Some(lowest) = left.iter().find_map(|(one, others)| {
            let is_lowest = others.iter().all(|other| !left.contains_key(other));
            is_lowest.then(|| one.clone())
        }) {
            left.remove(&lowest);
        }
        if !left.is_empty() {
            let files: Vec<_> = left.keys().collect();
            wrong.push(format!("src/{room}: a circle is among {files:?}"));
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
    let top = source().join(room);
    let files = files_below(&top);
    let module = |path: &Path| first_component(path.strip_prefix(&top).expect("a path below it"));
    let modules: BTreeSet<String> = files.iter().map(|path| module(path)).collect();
    let mut found = BTreeMap::new();
    for path in &files {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let own = module(path);
        if !is_rust(path) || name.ends_with("tests.rs") || own == "mod" {
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
        let text = code(&fs::read_to_string(path).expect("a source file"));
        let named = named_behind(&text, &absolute).into_iter();
        let named = named.chain(named_behind(&text, &supers));
        let named = named.filter(|other| *other != own && modules.contains(other));
        let entry: &mut BTreeSet<String> = found.entry(own.clone()).or_default();
        entry.extend(named);
    }
    found
}

/// The names that directly follow this beginning of a path, one by one or as a list in braces; the path is not the rest
/// of a longer one.
fn named_behind(text: &str, beginning: &str) -> Vec<String> {
    let is_whole = |at: usize| {
        !text[..at].ends_with(|sign: char| sign.is_alphanumeric() || "_:".contains(sign))
    };
    let found = text.match_indices(beginning);
    let found = found.filter(|(at, _)| is_whole(*at));
    found
        .flat_map(|(at, _)| {
            let rest = &text[at + beginning.len()..];
            rest.strip_prefix('{')
                .map_or_else(|| vec![first_name(rest)], listed)
        })
        .collect()
}

/// The first name of each item of a list, up to the brace that closes it.
fn listed(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 1;
    let mut start = 0;
    for (at, sign) in list.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && sign == ',') {
            names.push(first_name(list[start..at].trim_start()));
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_name(text: &str) -> String {
    let end = text.find(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

#[test]
fn a_use_is_found_in_every_form() {
    for (text, beginning, expected) in [
        (
            "use crate::hub::wire::Format;",
            "crate::hub::",
            &["wire"][..],
        ),
        ("use super::sink::Sink;", "super::", &["sink"]),
        ("use super::super::sink::Sink;", "super::super::", &["sink"]),
        ("use super::super::sink::Sink;", "super::", &["super"]),
        ("use crate::net::{Peer, Slot};", "crate::", &["net"]),
        (
            "use crate::net::{Peer, Slot};",
            "crate::net::",
            &["Peer", "Slot"],
        ),
        (
            "use crate::{\n    net::{Peer, Slot},\n    tls::Alpn,\n};",
            "crate::",
            &["net", "tls"],
        ),
        (
            "let a = crate::http::empty(crate::tls::x());",
            "crate::",
            &["http", "tls"],
        ),
    ] {
        assert_eq!(named_behind(text, beginning), expected, "{text}");
    }
}
