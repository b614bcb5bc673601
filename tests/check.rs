//! `noren check` and `noren serve` agree: both refuse the same files, in the same words. A check leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::{Certificates, Ran, path, run, scratch};

/// The listener that every file of these tests has.
const LISTENER: &str = "[[listener]]\naddress = '127.0.0.1:0'\n";
const APP: &str = "[[app]]\nurl = 'http://127.0.0.1:1'\n";

/// Files of which each has one fault that only this machine shows, and a part of what is said about it. `DIR` is the
/// directory of the test.
const REFUSED: &[(&str, &str)] = &[
    (
        "[[tls.certificate]]\ncertificate = 'DIR/none.pem'\nkey = 'DIR/door.key'\n",
        "cannot read the certificate DIR/none.pem: No such file",
    ),
    (
        "[[tls.certificate]]\ncertificate = 'DIR/door.pem'\nkey = 'DIR/none.key'\n",
        "cannot read the key DIR/none.key: No such file",
    ),
    (
        "[[tls.certificate]]\ncertificate = 'DIR/door.pem'\nkey = 'DIR/other.key'\n",
        "the key DIR/other.key does not belong to the certificate DIR/door.pem",
    ),
    (
        "[[tls.certificate]]\ncertificate = 'DIR/words'\nkey = 'DIR/door.key'\n",
        "no certificate in DIR/words",
    ),
    (
        "[[tls.certificate]]\ncertificate = 'DIR/door.key'\nkey = 'DIR/door.pem'\n",
        "are certificate and key swapped?",
    ),
    (
        "[[tls.certificate]]\ncertificate = 'DIR/door.pem'\nkey = 'DIR/encrypted.key'\n",
        "the key DIR/encrypted.key is encrypted",
    ),
    (
        "[[listener]]\naddress = '127.0.0.2:0'\nclient-authority = 'DIR/none.pem'\nclient-certificate = 'required'\n",
        "cannot read the certificate DIR/none.pem",
    ),
    (
        "[[listener]]\naddress = 'unix:DIR/a/b/s'\n",
        "listen on unix:DIR/a/b/s: the directory DIR/a/b is missing",
    ),
    // No machine has this address (RFC 5737).
    (
        "[[listener]]\naddress = '192.0.2.1:0'\n",
        "listen on 192.0.2.1:0: ",
    ),
    ("[tls]\nself-signed = 'DIR/words'\n", "DIR/words"),
    (
        "[[app]]\nname = 'b'\npath = '/b'\nurl = 'unix:/b'\nusers = 'DIR/none'\n",
        "cannot use the users in DIR/none",
    ),
    (
        "[[app]]\nname = 'b'\npath = '/b'\nurl = 'unix:/b'\nusers = 'DIR/empty'\n",
        "cannot use the users in DIR/empty: nobody is in it",
    ),
    (
        "[bridge.signed]\nkeys = ['DIR/none']\nstore = 'DIR/used'\n",
        "bridge.signed.keys: DIR/none: No such file",
    ),
    (
        "[bridge.signed]\nkeys = ['DIR/secret']\nstore = 'DIR/none/used'\n",
        "bridge.signed.store: the directory DIR/none is missing",
    ),
    (
        "[[bridge.target]]\ntoken = 'vm'\naddress = '127.0.0.1:5900'\ntls.ca = 'DIR/none.pem'\n",
        "cannot read the authority DIR/none.pem",
    ),
    (
        "[hub.tokens]\nkeys = ['DIR/words']\n",
        "hub.tokens.keys: DIR/words: it is neither",
    ),
    (
        "[hub]\npublish-token = 'DIR/none'\n",
        "hub.publish-token: DIR/none: No such file",
    ),
    (
        "[hub]\nstore = 'DIR/words'\n[[channel]]\nname = 'a'\nhistory.store = 'disk'\n",
        "use DIR/words as hub.store: ",
    ),
    (
        "[hub]\nstore = 'DIR/damaged'\n[[channel]]\nname = 'a'\nhistory.store = 'disk'\n",
        "the history DIR/damaged/history.redb is damaged or not a history",
    ),
    (
        "[[channel]]\nname = 'a'\n[[channel.source]]\nsource = 'listen'\naddress = 'unix:DIR/a/b/s'\n",
        "channel a: source unix:DIR/a/b/s: the directory DIR/a/b is missing",
    ),
    (
        "[[channel]]\nname = 'a'\n[[channel.source]]\nsource = 'listen'\naddress = 'unix:DIR/words'\n",
        "a file that is not a socket is in the way",
    ),
    (
        "[[channel]]\nname = 'a'\n[[channel.source]]\nsource = 'listen'\naddress = 'unix:DIR/s'\n\
         users = ['no-such-user']\n",
        "there is no user \"no-such-user\"",
    ),
    (
        "[[channel]]\nname = 'a'\n[[channel.source]]\nsource = 'amqp'\nurl = 'amqp://127.0.0.1'\n\
         exchange = 'e'\ncredentials = 'DIR/none'\n",
        "DIR/none: No such file",
    ),
    (
        "[[channel]]\nname = 'a'\n[[channel.source]]\nsource = 'postgres'\nurl = 'postgres://n@127.0.0.1/a'\n\
         listen = ['e']\npassfile = 'DIR/none'\n",
        "DIR/none: No such file",
    ),
    (
        "[cluster]\nurl = 'amqp://127.0.0.1'\nkey = 'DIR/words'\n",
        "DIR/words: the key of the cluster has fewer",
    ),
    (
        "[admin]\nsocket = 'DIR/a/b/admin.sock'\n",
        "the directory DIR/a/b is missing",
    ),
    (
        "[[listener]]\naddress = '127.0.0.1:2'\n[admin]\naddress = '127.0.0.1:2'\n",
        "is listened on already",
    ),
];

/// Makes the files that the tables above name.
fn furnish(directory: &Path) {
    let authority = Certificates::new(directory);
    for name in ["door", "other"] {
        authority.sign(directory, name, &["localhost"]);
    }
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).expect("written");
    write("words", "no key!\n");
    write("empty", "");
    write("secret", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\n");
    let encrypted = "ENCRYPTED PRIVATE KEY-----";
    write(
        "encrypted.key",
        &format!("-----BEGIN {encrypted}\nAAAA\n-----END {encrypted}\n"),
    );
    fs::create_dir(directory.join("damaged")).expect("a directory");
    write("damaged/history.redb", "no history");
}

fn noren(directory: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
    run(command.args(arguments).current_dir(directory))
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path().display().to_string())
        .collect();
    names.sort();
    names
}

#[test]
fn what_serve_refuses_check_refuses_in_the_same_words() {
    let directory = scratch();
    furnish(directory.path());
    let here = directory.path().display().to_string();
    let file = path(&directory, "noren.toml");
    for (tables, said) in REFUSED {
        let said = said.replace("DIR", &here);
        let text = format!("{LISTENER}{APP}{tables}").replace("DIR", &here);
        fs::write(&file, text).expect("written");
        let before = names(directory.path());
        let check = noren(directory.path(), &["check", &file]);
        assert_eq!(names(directory.path()), before, "{tables}");
        let serve = noren(directory.path(), &["serve", "--config", &file]);
        assert_eq!(check.status.code(), Some(78), "{tables}{}", check.stdout);
        assert!(
            matches!(serve.status.code(), Some(1 | 78)),
            "{tables}{}",
            serve.stderr
        );
        for ran in [&check, &serve] {
            assert!(
                ran.stderr.contains(&said),
                "{tables}{}\nand not: {said}",
                ran.stderr
            );
            assert_eq!(
                ran.stderr.matches(&said).count(),
                1,
                "{tables}{}",
                ran.stderr
            );
        }
    }
}

#[test]
fn a_reload_with_an_invalid_file_names_its_fault_and_nothing_else() {
    let directory = scratch();
    let file = path(&directory, "noren.toml");
    fs::write(&file, "[server]\nthread = 1\n").expect("written");
    let ran = noren(directory.path(), &["reload", "--config", &file]);
    assert_eq!(ran.status.code(), Some(78), "{}", ran.stderr);
    let expected = format!("noren: {file}:2: server.thread: unknown key");
    assert!(ran.stderr.starts_with(&expected), "{}", ran.stderr);
    let missing = path(&directory, "none.toml");
    let ran = noren(directory.path(), &["reload", "--config", &missing]);
    let expected = format!(
        "noren: {missing}: cannot be read: there is no such file; name the admin socket with --socket PATH"
    );
    assert!(ran.stderr.starts_with(&expected), "{}", ran.stderr);
}

#[test]
fn all_faults_are_told_at_once() {
    let directory = scratch();
    furnish(directory.path());
    let file = path(&directory, "noren.toml");
    let tables = "[[tls.certificate]]\ncertificate = 'door.pem'\nkey = 'other.key'\n\
                  [hub.tokens]\nkeys = ['./words', './empty']\n\
                  [[app]]\nname = 'b'\npath = '/b'\nurl = 'unix:/b'\nusers = 'none'\n";
    fs::write(&file, format!("{LISTENER}{APP}{tables}")).expect("written");
    for arguments in [["check", &file, "--explain"], ["serve", "--config", &file]] {
        let ran = noren(directory.path(), &arguments);
        assert_eq!(ran.status.code(), Some(78), "{}", ran.stderr);
        for said in ["./words", "./empty", "the users in none", "does not belong"] {
            assert!(ran.stderr.contains(said), "{said}:\n{}", ran.stderr);
        }
    }
    let syntax = noren(directory.path(), &["check", "--syntax", &file]).well();
    assert!(syntax.stdout.contains("valid"), "{}", syntax.stdout);
}

#[test]
fn a_check_makes_nothing_and_what_it_calls_valid_can_be_made() {
    let directory = scratch();
    furnish(directory.path());
    let file = path(&directory, "noren.toml");
    let tables = "[tls]\nself-signed = 'new/certs'\n[bridge.signed]\nkeys = ['./secret']\nstore = 'used'\n\
                  [hub]\nstore = 'new/history'\n[[channel]]\nname = 'a'\nhistory.store = 'disk'\n";
    let here = directory.path().display();
    let sockets = format!(
        "[[channel.source]]\nsource = 'listen'\naddress = 'unix:{here}/publish/a'\n[admin]\n\
         socket = '{here}/run/admin.sock'\n"
    );
    fs::write(&file, format!("{LISTENER}{APP}{tables}{sockets}")).expect("written");
    let before = names(directory.path());
    let ran = noren(directory.path(), &["check", &file]).well();
    assert!(ran.stdout.contains("valid"), "{}", ran.stdout);
    assert_eq!(names(directory.path()), before);
}

#[test]
fn what_this_user_may_not_read_is_a_note_for_check_and_a_fault_for_serve() {
    let directory = scratch();
    furnish(directory.path());
    let file = path(&directory, "noren.toml");
    let secret = directory.path().join("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("our own file");
    let tables = "[hub.tokens]\nkeys = ['./secret']\n[[tls.certificate]]\ncertificate = 'door.pem'\nkey = 'door.key'\n";
    fs::write(&file, format!("{LISTENER}{APP}{tables}")).expect("written");
    let ordinary = |arguments: &[&str]| {
        // Root reads every file, unless this capability is gone.
        let without = "-dac_override,-dac_read_search";
        let mut command = Command::new("setpriv");
        command
            .args(["--bounding-set", without, "--inh-caps", without])
            .arg(env!("CARGO_BIN_EXE_noren"));
        let is_root = fs::File::open(&secret).is_ok();
        let mut command = if is_root {
            command
        } else {
            Command::new(env!("CARGO_BIN_EXE_noren"))
        };
        run(command.args(arguments).current_dir(directory.path()))
    };
    let check = ordinary(&["check", &file]).well();
    assert!(
        check
            .stdout
            .contains("note: not checked: hub.tokens.keys: ./secret: the user "),
        "{}",
        check.stdout
    );
    let serve = ordinary(&["serve", "--config", &file]);
    assert_eq!(serve.status.code(), Some(78), "{}", serve.stderr);
    assert!(
        serve.stderr.contains("may not read it (mode 0000, of "),
        "{}",
        serve.stderr
    );
    // Beside it, what is wrong is still found.
    fs::write(
        &file,
        format!("{LISTENER}{APP}{tables}[hub]\npublish-token = 'none'\n"),
    )
    .expect("written");
    let check = ordinary(&["check", &file]);
    assert_eq!(check.status.code(), Some(78), "{}", check.stderr);
    assert!(
        check.stderr.contains("hub.publish-token: none"),
        "{}",
        check.stderr
    );
}
