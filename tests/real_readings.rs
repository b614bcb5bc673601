//! One reading: what servers of Python make of credentials, cookies and parameters never lets anybody pass whom Noren
//! would have kept out.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use crate::support::{Door, Peer, VERSIONS, ask, until};

const SERVERS: [&str; 2] = ["wsgiref", "cheroot"];

/// Cookies that `SimpleCookie` takes for a session, and a stricter parser does not.
const ODD: [&str; 6] = [
    "wok =7",
    "wok\t= 7",
    "a=b wok=7",
    "a=b, wok=7",
    "wok=\"7\"",
    "wok=6; wok=7",
];

/// The app on this server, and a door whose channel `news` is for who has a session.
fn kitchen(server: &str) -> (Peer, Door) {
    let app = Peer::start("readings.py", &[server]);
    let door = Door::open(&format!(
        "[limits]\nlogin-failures = 5\n[[app]]\nname = \"app\"\nurl = \"http://{}\"\n\
         [session]\npath = \"/tasks\"\ncookies = [\"wok\"]\nallow-cache = \"60s\"\n\
         [[channel]]\nname = \"news\"\n\
         [[channel]]\nname = \"lobby\"\npublish = [\"app\"]\nreceive = \"/say\"\nneeds = \"nothing\"\n",
        app.address
    ));
    (app, door)
}

#[test]
fn no_spelling_of_a_guess_goes_uncounted() {
    for server in SERVERS {
        for version in VERSIONS {
            let (mut app, door) = kitchen(server);
            let basic = |secret: &str| format!("Authorization: Basic {secret}");
            for lines in [
                &["Authorization: x", "Authorization: Basic Y29vazp3b2s="][..],
                &[
                    "Authorization: Basic eA==",
                    "Authorization: Basic Y29vazp3b2s=",
                ],
                &["Authorization: Basic\tY29vazp3b2s="],
                &["Authorization: x, Basic Y29vazp3b2s="],
            ] {
                let request = ask(&door, "/private").over(version);
                let request = lines
                    .iter()
                    .fold(request, |request, line| request.header(line));
                request.gets(400);
            }
            assert_eq!(app.count("guesses"), 0, "{server} {version}");
            for number in 0..5 {
                let line = if number % 2 == 0 {
                    basic("eA==")
                } else {
                    basic(" eA==")
                };
                ask(&door, "/private").over(version).header(&line).gets(401);
            }
            let right = basic("Y29vazp3b2s=");
            ask(&door, "/private")
                .over(version)
                .header(&right)
                .gets(429);
            ask(&door, "/login?password=wok").over(version).gets(429);
            ask(&door, "/login?password=wok")
                .over(version)
                .method("PUT")
                .gets(429);
            assert_eq!(app.count("guesses"), 5, "{server} {version}");
        }
    }
}

/// The responses to this many requests with this password that are all sent before the app answers any of them, as
/// connections or as streams of one.
fn at_once(
    app: &mut Peer,
    door: &Door,
    version: &'static str,
    secret: &str,
    number: usize,
) -> Vec<String> {
    let before = app.count("guesses");
    app.ask("close");
    let mut command = ask(door, &format!("/private?[1-{number}]"))
        .over(version)
        .header(&format!("Authorization: Basic {secret}"))
        .with("--parallel-max", &number.to_string())
        .with("--output", "/dev/null")
        .with("--write-out", "%{stderr}%{http_code}\n")
        .into_command();
    let mut curl = command
        .args(["--parallel", "--no-progress-meter"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl");
    let lines = BufReader::new(curl.stderr.take().expect("its errors")).lines();
    let (sender, receiver) = mpsc::sync_channel(number);
    let reader = thread::Builder::new()
        .name("answers".into())
        .spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
    let mut answers = Vec::new();
    until("all to be asked or refused", || {
        answers.extend(receiver.try_iter());
        (answers.len() + app.count("guesses") - before == number).then_some(())
    });
    app.ask("open");
    answers.extend(receiver);
    reader.expect("a thread").join().expect("all lines");
    assert!(curl.wait().expect("an end").success());
    answers.sort();
    answers
}

#[test]
fn guesses_that_are_sent_at_once_are_no_more_than_those_sent_one_by_one() {
    for version in VERSIONS {
        let (mut app, door) = kitchen("wsgiref");
        let answers = at_once(&mut app, &door, version, "eA==", 40);
        assert_eq!(app.count("guesses"), 5, "{version}: {answers:?}");
        assert_eq!(answers, [vec!["401"; 5], vec!["429"; 35]].concat());
        let right = ask(&door, "/private").header("Authorization: Basic Y29vazp3b2s=");
        right.over(version).gets(429);
    }
}

#[test]
fn a_password_that_is_right_is_never_refused_however_much_is_loaded_at_once() {
    for version in VERSIONS {
        let (mut app, door) = kitchen("wsgiref");
        for number in [5, 60, 60] {
            let answers = at_once(&mut app, &door, version, "Y29vazp3b2s=", number);
            assert_eq!(answers, vec!["200"; number], "{version}");
        }
    }
}

#[test]
fn a_cookie_that_only_the_app_reads_lets_nobody_else_in() {
    for server in SERVERS {
        let (mut app, door) = kitchen(server);
        for version in VERSIONS {
            let listen = |lines: &[&str]| {
                let request = ask(&door, "/events/news").over(version);
                let request = lines
                    .iter()
                    .fold(request, |request, line| request.header(line));
                request.send().status
            };
            for odd in ODD {
                app.ask("admit 7");
                let cookie = format!("Cookie: {odd}");
                assert_eq!(listen(&[&cookie]), 200, "{server} {version} {odd}");
                assert_eq!(listen(&[]), 401, "{server} {version} {odd}");
                assert_eq!(
                    listen(&["Cookie: lang=en"]),
                    401,
                    "{server} {version} {odd}"
                );
                app.ask("forget 7");
                assert_eq!(listen(&[&cookie]), 401, "{server} {version} {odd}");
            }
        }
    }
}

#[test]
fn a_logout_that_only_the_app_reads_ends_the_session() {
    for server in SERVERS {
        let (mut app, door) = kitchen(server);
        for version in VERSIONS {
            let listen = || {
                let request = ask(&door, "/events/news").over(version);
                request.header("Cookie: wok=7; lang=de").send().status
            };
            for odd in ODD {
                app.ask("admit 7");
                assert_eq!(listen(), 200, "{server} {version} {odd}");
                let before = app.count("questions");
                assert_eq!(
                    (listen(), app.count("questions")),
                    (200, before),
                    "it is believed"
                );
                let logout = ask(&door, "/logout").over(version).method("POST");
                logout.header(&format!("Cookie: {odd}")).gets(200);
                assert_eq!(listen(), 401, "{server} {version} {odd}");
            }
        }
    }
}

#[test]
fn a_login_under_the_cookie_of_before_is_good_at_once() {
    for server in SERVERS {
        for (number, version) in VERSIONS.into_iter().enumerate() {
            let (_app, door) = kitchen(server);
            let cookie = format!("Cookie: wok={number}");
            let listen = || ask(&door, "/events/news").over(version).header(&cookie);
            listen().gets(401);
            let login = ask(&door, "/login?password=wok").over(version);
            login.method("POST").header(&cookie).gets(200);
            listen().gets(200);
        }
    }
}

#[test]
fn a_message_is_for_the_channel_it_was_sent_to() {
    for server in SERVERS {
        let (_app, door) = kitchen(server);
        for version in VERSIONS {
            for query in ["", "?channel=kitchen", "?%63hannel=kitchen&channel=kitchen"] {
                let request = ask(&door, &format!("/events/lobby{query}")).over(version);
                let request = request.header("Noren-Channel: kitchen");
                let said = request.with("--data", "channel=kitchen").gets(200).text();
                assert_eq!(said, "lobby lobby", "{server} {version} {query}");
            }
            let direct = ask(&door, "/say?channel=kitchen").over(version);
            direct.header("Noren-Channel: kitchen").gets(403);
        }
    }
}
