//! Wok's own page and Kimchi's serial console, in real Chromium, against servers that behave as Wok's do.

use std::fs;

use crate::support::{Door, Peer, alone, chromium, path, run, scratch, until};

/// The app that serves the pages of tests/browser.
fn pages() -> Peer {
    let pages = concat!(
        "/pages=",
        env!("CARGO_MANIFEST_DIR"),
        "/tests/browser/pages"
    );
    Peer::start("app.py", &["--static", pages])
}

/// Two tabs see one broadcast. With `http2` "off" the browser speaks HTTP/1.1 only.
#[track_caller]
fn notifications(http2: &str) {
    let directory = scratch();
    let socket = path(&directory, "woknotifications");
    let mut push = Peer::start("push_server.py", &[&socket]);
    let app = pages();
    let door = Door::open(&format!(
        "[[app]]\nname = \"wok\"\nurl = \"http://{}\"\nworkers = 10\n\
         [[bridge.target]]\ntoken = \"woknotifications\"\naddress = \"unix:{socket}\"\n\
         [bridge.boundaries]\nwoknotifications = \"//EOM//\"\n",
        app.address
    ));
    let (ran, sent) = std::thread::scope(|scope| {
        let door = &door;
        let browser = scope.spawn(move || {
            let mut command = chromium("wok_page.mjs", door);
            run(command.args(["--http2", http2, "--tabs", "2"]))
        });
        until("both tabs to be connected", || {
            (browser.is_finished() || push.count("clients") == 2).then_some(())
        });
        // The page talks while it listens; the server only reads that.
        until("a heartbeat", || {
            (browser.is_finished() || push.count("heard heartbeat") > 3).then_some(())
        });
        let sent = push.count("broadcast");
        (
            browser.join().expect("a thread that does not panic").well(),
            sent,
        )
    });
    assert!(sent > 100, "only {sent} messages were sent");
    let over = if http2 == "off" { "http1" } else { "http2" };
    assert_eq!(ran.stdout, format!("messages={sent},{sent} over={over}\n"));
    until("both connections to end with their tabs", || {
        (push.count("clients") == 0).then_some(())
    });
}

#[test]
fn every_notification_reaches_every_tab_whole_over_http1() {
    let _alone = alone();
    notifications("off");
}

#[test]
fn every_notification_reaches_every_tab_whole_over_http2() {
    let _alone = alone();
    notifications("on");
}

/// A console that accepts one connection in its life, found through Wok's token directory.
#[track_caller]
fn serial_console(http2: &str) {
    let directory = scratch();
    let socket = path(&directory, "vm1");
    let mut console = Peer::start("serial_console.py", &[&socket]);
    let tokens = path(&directory, "ws-tokens");
    fs::create_dir(&tokens).expect("a directory for the tokens");
    // base64url("vm1-console"), and no line end, as Kimchi writes it.
    let token = "dm0xLWNvbnNvbGU";
    fs::write(
        format!("{tokens}/vm1-console"),
        format!("{token}: unix_socket:{socket}"),
    )
    .expect("a token file");
    let app = pages();
    let door = Door::open(&format!(
        "[[app]]\nname = \"wok\"\nurl = \"http://{}\"\nworkers = 10\n\
         [[bridge.tokens]]\nsource = \"directory\"\npath = \"{tokens}\"\n",
        app.address
    ));
    let mut command = chromium("serial_page.mjs", &door);
    let ran = run(command.args(["--http2", http2, "--token", token])).well();
    let over = if http2 == "off" { "http1" } else { "http2" };
    assert_eq!(ran.stdout, format!("serial=ok over={over}\n"));
    assert_eq!(console.count("accepted"), 1);
    assert!(!door.log().contains(token), "the token is in the log");
}

#[test]
fn a_serial_console_that_accepts_once_is_shown_over_http1() {
    let _alone = alone();
    serial_console("off");
}

#[test]
fn a_serial_console_that_accepts_once_is_shown_over_http2() {
    let _alone = alone();
    serial_console("on");
}

/// Number of pages that subscribe beside the one in the browser.
const CROWD: usize = 3000;

#[test]
fn wok_has_one_connection_for_thousands_of_pages_and_a_stock_page_outlives_its_restart() {
    let _alone = alone();
    let directory = scratch();
    let (socket, plain) = (
        path(&directory, "woknotifications"),
        path(&directory, "door"),
    );
    let mut push = Peer::start("push_server.py", &[&socket]);
    let app = pages();
    let door = Door::open(&format!(
        "[[listener]]\naddress = \"unix:{plain}\"\nprotocol = \"http\"\n[limits]\nconnections-per-address = 0\n\
         [[app]]\nname = \"wok\"\nurl = \"http://{}\"\nworkers = 10\n\
         [[channel]]\nname = \"wok\"\ntoken = \"woknotifications\"\nboundary = \"//EOM//\"\n\
         [[channel.source]]\nsource = \"wok\"\naddress = \"unix:{socket}\"\n",
        app.address
    ));
    let token = "d29rbm90aWZpY2F0aW9ucw";
    let mut crowd = Peer::start("crowd.py", &[&plain, token, &CROWD.to_string()]);
    let mut browser = Peer::speak("wok_channel.mjs", chromium("wok_channel.mjs", &door));
    until("the crowd to listen", || {
        (crowd.count("open") == CROWD).then_some(())
    });
    assert_eq!(push.count("clients"), 1);
    assert!(push.count("broadcast") > 100);
    browser.ask("leave");
    until("the crowd to have heard it", || {
        (crowd.count("complete 1") == CROWD).then_some(())
    });
    assert_eq!(
        push.count("heard heartbeat"),
        0,
        "the page's heartbeats end here"
    );

    // Wok restarts, and nobody notices.
    push.crash();
    fs::remove_file(&socket).expect("the socket of the Wok that is gone");
    let mut push = Peer::start("push_server.py", &[&socket]);
    until("Noren to be back at Wok", || {
        (push.count("clients") == 1).then_some(())
    });
    assert!(push.count("broadcast") > 100);
    browser.ask("come");
    until("the crowd to have heard it again", || {
        (crowd.count("complete 2") == CROWD).then_some(())
    });
    assert_eq!(crowd.count("open"), CROWD, "nobody was closed");
    assert_eq!(push.count("clients"), 1);
}
