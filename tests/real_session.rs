//! Wok's login before the bridge: an app of `CherryPy` that answers as Wok and Kimchi do, and the configuration
//! for Wok.

use std::fs;

use crate::support::{Door, Peer, alone, chromium, path, python, run, scratch, until};

/// The tables of `config/wok.toml` that make the session, as they are shipped.
fn shipped() -> String {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/wok.toml"));
    let text = text.expect("the example for Wok");
    let begin = text.find("\n[session]\n").expect("its session");
    let rest = text.get(begin..).unwrap_or_default();
    let end = rest.find("[[bridge.tokens]]").expect("its tokens");
    // CherryPy's own name for the cookie; Wok has another.
    let tables = rest.get(..end).unwrap_or_default();
    assert!(tables.contains("cookies = [\"wok\"]"));
    tables.replace("\"wok\"", "\"session_id\"")
}

/// The app, three tokens in Wok's directory that lead to an echo, and the door.
fn kitchen(settings: &str) -> (tempfile::TempDir, Peer, Peer, Door) {
    let directory = scratch();
    let socket = path(&directory, "echo");
    let echo = Peer::start("echo_server.py", &[&format!("unix:{socket}")]);
    // The socket of a serial console is called like its guest.
    std::os::unix::fs::symlink("echo", directory.path().join("cook-vm")).expect("a link");
    let tokens = path(&directory, "ws-tokens");
    fs::create_dir(&tokens).expect("a directory for the tokens");
    for name in ["cook-vm", "cook-vm-console", "guest-vm", "woknotifications"] {
        let socket = match name {
            "cook-vm-console" => path(&directory, "cook-vm"),
            _ => socket.clone(),
        };
        let line = format!("{}: unix_socket:{socket}", noren::encode_token(name));
        fs::write(format!("{tokens}/{name}"), line).expect("a token file");
    }
    let app = Peer::start("app.py", &[]);
    let door = Door::open(&format!(
        "[[app]]\nname = \"wok\"\nurl = \"http://{}\"\nworkers = 8\n{settings}\
         [[channel]]\nname = \"news\"\n[[bridge.tokens]]\nsource = \"directory\"\npath = \"{tokens}\"\n",
        app.address
    ));
    (directory, echo, app, door)
}

fn client(door: &Door, case: &str) -> std::process::Command {
    let url = format!("wss://localhost:{}/websockify", door.port);
    let mut command = python("websocket_client.py");
    command.args([&url, &door.file("ca.pem"), case]);
    command
}

/// A visit of Chromium, before the login, logged in, and after the logout.
#[track_caller]
fn visit(http2: &str) {
    let (_directory, _echo, _app, door) = kitchen(&shipped());
    let console = |name| format!("/websockify?token={}", noren::encode_token(name));
    let mut command = chromium("session_page.mjs", &door);
    command.args(["--http2", http2, "--own", &console("cook-vm")]);
    let ran = run(command.args(["--foreign", &console("guest-vm")])).well();
    let over = if http2 == "off" { "http1" } else { "http2" };
    let begin = format!("session=ok over={over} took=");
    assert!(ran.stdout.starts_with(&begin), "{}", ran.stdout);
    // The rest is in the audit, which the page is not shown: three consoles before the login and three after the
    // logout, one without the right, and the end of all that was open.
    let log = door.log();
    let lines = |parts: [&str; 2]| {
        let lines = log.lines();
        lines
            .filter(|line| parts.iter().all(|part| line.contains(part)))
            .count()
    };
    assert_eq!(lines(["refused kind=console", "status=401"]), 6, "{log}");
    assert_eq!(lines(["refused kind=console", "status=403"]), 1, "{log}");
    assert_eq!(lines(["closed kind=", "the session "]), 3, "{log}");
}

#[test]
fn chromium_gets_in_with_a_login_and_out_with_a_logout_over_http1() {
    let _alone = alone();
    visit("off");
}

#[test]
fn chromium_gets_in_with_a_login_and_out_with_a_logout_over_http2() {
    let _alone = alone();
    visit("on");
}

#[test]
fn wok_decides_who_opens_which_console_and_a_logout_closes_them_within_a_second() {
    let (_directory, _echo, mut app, door) = kitchen(&shipped());
    let ran = run(&mut client(&door, "session")).well();
    assert_eq!(ran.stdout, "session: ok\n");
    assert!(app.count("questions") > 0);
    let log = door.log();
    assert!(log.contains("reason=\"the session ended\""), "{log}");
    for secret in ["session_id", &noren::encode_token("cook-vm")] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn a_session_that_wok_forgets_closes_its_console() {
    let settings = shipped().replace("[session]\n", "[session]\ninterval = \"1s\"\n");
    let (_directory, _echo, mut app, door) = kitchen(&settings);
    std::thread::scope(|scope| {
        let door = &door;
        let client = scope.spawn(move || run(&mut client(door, "expiry")));
        until("the console to be open", || {
            (client.is_finished() || door.log().contains("opened")).then_some(())
        });
        app.ask("expire");
        let ran = client.join().expect("a thread that does not panic").well();
        assert_eq!(ran.stdout, "open\nexpiry: ok\n");
    });
}
