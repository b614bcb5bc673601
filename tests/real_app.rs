//! A real blocking app behind the door: CherryPy with 10 threads, asked by curl and by Chromium.

use std::process::Command;
use std::time::Duration;

use crate::support::{Answer, Door, Peer, alone, chromium, curl, curl_command, path, pause, python, run, scratch, until};

/// The app, and a door in front of it.
fn kitchen() -> (Peer, Door) {
    let app = Peer::start("app.py", &[]);
    let door = Door::in_front_of(&app.address);
    (app, door)
}

/// Every test of a promise that holds in both protocols goes through this.
const PROTOCOLS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2", "2")];

#[test]
fn a_login_sets_its_cookies_and_they_come_back() {
    let (_app, door) = kitchen();
    for (protocol, version) in PROTOCOLS {
        let directory = scratch();
        let jar = path(&directory, "cookies");
        let login = ["--data", "user=cook&password=kitchen", "--cookie-jar", &jar];
        let answer = curl(&door, &[&[protocol, &door.url("/login")], &login[..]].concat()).with_status(303);
        assert_eq!(answer.version, version);
        assert_eq!(answer.all("set-cookie").len(), 3, "{}", answer.head);
        assert_eq!(answer.header("location"), door.url("/whoami"));

        let answer = curl(&door, &[protocol, "--cookie", &jar, &door.url("/whoami")]).with_status(200);
        assert!(answer.text().starts_with("user=cook\n"), "{}", answer.text());
        assert!(answer.text().contains("cookie last=a/b=c"), "{}", answer.text());
        let answer = curl(&door, &[protocol, &door.url("/whoami")]).with_status(401);
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000");
    }
}

#[test]
fn a_redirect_names_the_public_scheme_host_and_port() {
    let (_app, door) = kitchen();
    for (protocol, _) in PROTOCOLS {
        let answer = curl(&door, &[protocol, &door.url("/redirect")]).with_status(302);
        assert_eq!(answer.header("location"), door.url("/login"));
    }
}

#[test]
fn an_upload_of_200_mib_arrives_whole_and_costs_no_memory() {
    const MIB: usize = 1 << 20;
    let _alone = alone();
    let (_app, door) = kitchen();
    let directory = scratch();
    let file = path(&directory, "upload");
    make_file(&file, 200 * MIB);
    let sum = run(Command::new("sha256sum").arg(&file)).well().stdout;
    let sum = sum.split_ascii_whitespace().next().unwrap_or_default();
    for (protocol, version) in PROTOCOLS {
        let answer = curl(&door, &[protocol, "--data-binary", "warm", &door.url("/upload")]).with_status(200);
        assert!(answer.text().ends_with(" 4 length=4\n"), "{}", answer.text());
        let before = door.peak_memory();
        let answer = curl(&door, &[protocol, "--upload-file", &file, "--request", "POST", &door.url("/upload")]);
        let answer = answer.with_status(200);
        assert_eq!(answer.version, version);
        let size = 200 * MIB;
        assert_eq!(answer.text(), format!("{sum} {size} length={size}\n"));
        let growth = door.peak_memory() - before;
        assert!(growth < 64 * 1024, "the upload over HTTP/{version} cost {growth} KiB");
    }
}

#[test]
fn a_download_of_200_mib_arrives_whole_and_costs_no_memory() {
    const MIB: usize = 1 << 20;
    let _alone = alone();
    let (_app, door) = kitchen();
    let directory = scratch();
    let file = path(&directory, "download");
    make_file(&file, 200 * MIB);
    let url = door.url(&format!("/download?path={file}"));
    for (protocol, version) in PROTOCOLS {
        curl(&door, &[protocol, &door.url("/")]).with_status(200);
        let before = door.peak_memory();
        let copy = path(&directory, "copy");
        // A slow reader at first, so that the answer waits in the door.
        let limit = ["--limit-rate", "100M", "--output", &copy];
        run(&mut curl_command(&door, &[&[protocol, &url], &limit[..]].concat())).well();
        run(Command::new("cmp").args([&file, &copy])).well();
        let growth = door.peak_memory() - before;
        assert!(growth < 64 * 1024, "the download over HTTP/{version} cost {growth} KiB");
    }
}

/// A file of numbers that never repeat a block.
fn make_file(file: &str, size: usize) {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(size / 8)
    .flatten()
    .collect();
    std::fs::write(file, bytes).expect("room for the file");
}

#[test]
fn every_body_reaches_the_app_with_its_length() {
    let (_app, door) = kitchen();
    let upload = door.url("/upload");
    let head = door.url("/head");
    for (protocol, _) in PROTOCOLS {
        // A body whose length the client does not say (chunked in HTTP/1.1).
        let directory = scratch();
        let small = path(&directory, "small");
        std::fs::write(&small, "soup").expect("room for four bytes");
        let chunked = ["--header", "Transfer-Encoding: chunked", "--data-binary", &format!("@{small}"), &upload];
        let answer = curl(&door, &[&[protocol], &chunked[..]].concat()).with_status(200);
        assert!(answer.text().ends_with(" 4 length=4\n"), "{}", answer.text());
        // Requests that may have a body and have none.
        for method in ["POST", "PUT", "PATCH"] {
            let answer = curl(&door, &[protocol, "--request", method, "--header", "Content-Length:", &head]);
            let told = answer.with_status(200).text();
            assert!(told.starts_with(method), "{told}");
            assert!(told.contains("\nCONTENT_LENGTH: 0\n"), "{protocol} {told}");
        }
        let told = curl(&door, &[protocol, &head]).with_status(200).text();
        assert!(!told.contains("TRANSFER_ENCODING"), "{told}");
    }
}

#[test]
fn ranges_and_head_requests_pass() {
    let (_app, door) = kitchen();
    let directory = scratch();
    let file = path(&directory, "numbers");
    let numbers: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    std::fs::write(&file, &numbers).expect("room for the file");
    let url = door.url(&format!("/download?path={file}"));
    for (protocol, _) in PROTOCOLS {
        let answer = curl(&door, &[protocol, "--range", "1000-1999", &url]).with_status(206);
        assert_eq!(answer.header("content-range"), "bytes 1000-1999/100000");
        assert_eq!(answer.header("content-length"), "1000");
        assert_eq!(Some(answer.body.as_slice()), numbers.get(1000..2000));
        let answer = curl(&door, &[protocol, "--range", "200000-", &url]).with_status(416);
        assert_eq!(answer.header("content-range"), "bytes */100000");
        let answer = curl(&door, &[protocol, "--head", &url]).with_status(200);
        assert_eq!(answer.header("content-length"), "100000");
        // A resource that knows no HEAD: the door may not make a GET of it.
        curl(&door, &[protocol, "--head", &door.url("/tasks")]).with_status(405);
    }
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    let (_app, door) = kitchen();
    // Without the interim answer curl would wait longer than any test does.
    let expect = ["--header", "Expect: 100-continue", "--expect100-timeout", "1000"];
    for (protocol, version) in PROTOCOLS {
        let rest = ["--data-binary", "soup", &door.url("/head")];
        let answer = curl(&door, &[&[protocol], &expect[..], &rest].concat()).with_status(200);
        assert!(answer.head.starts_with(&format!("HTTP/{version} 100")), "{}", answer.head);
        assert!(!answer.text().contains("EXPECT"), "{}", answer.text());
    }
}

/// What the app was told, without the values that the client chose freely.
fn told(answer: &Answer, name: &str) -> Vec<String> {
    let text = answer.text();
    text.lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_app_learns_who_asks_from_the_door_alone() {
    const SPOOFED: [&str; 12] = [
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Port: 66",
        "X-Forwarded-Server: evil.example",
        "X-Forwarded-User: root",
        "Forwarded: for=6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "X_Forwarded_For: 6.6.6.6",
        "X_Real-IP: 6.6.6.6",
        "Remote_User: root",
        "Proxy-Connection: keep-alive",
    ];
    let (_app, door) = kitchen();
    let public = format!("localhost:{}", door.port);
    for (protocol, _) in PROTOCOLS {
        let url = door.url("/head");
        let mut arguments = vec![protocol, &url];
        for line in SPOOFED {
            arguments.extend(["--header", line]);
        }
        let answer = curl(&door, &arguments).with_status(200);
        assert_eq!(told(&answer, "X_FORWARDED_FOR"), ["127.0.0.1"]);
        assert_eq!(told(&answer, "X_REAL_IP"), ["127.0.0.1"]);
        assert_eq!(told(&answer, "X_FORWARDED_PROTO"), ["https"]);
        assert_eq!(told(&answer, "X_FORWARDED_HOST"), [public.as_str()]);
        assert_eq!(told(&answer, "HOST"), [public.as_str()]);
        for gone in ["X_FORWARDED_SERVER", "X_FORWARDED_USER", "FORWARDED", "REMOTE_USER", "PROXY_CONNECTION"] {
            assert!(told(&answer, gone).is_empty(), "{gone}: {}", answer.text());
        }
        assert!(!answer.text().contains("6.6.6.6"), "{}", answer.text());
        assert!(answer.text().contains(&format!("\nBASE https://{public}\n")), "{}", answer.text());
    }
}

#[test]
fn cookies_in_several_lines_reach_the_app_as_one() {
    let (_app, door) = kitchen();
    for (protocol, _) in PROTOCOLS {
        let crumbs = ["--header", "Cookie: a=1", "--header", "Cookie: b=2; c=3", "--header", "Cookie: d=4"];
        let answer = curl(&door, &[&[protocol, &door.url("/head")], &crumbs[..]].concat()).with_status(200);
        assert_eq!(told(&answer, "COOKIE"), ["a=1; b=2; c=3; d=4"], "{protocol}");
    }
}

#[test]
fn the_bytes_of_a_path_are_kept() {
    let (_app, door) = kitchen();
    for (protocol, _) in PROTOCOLS {
        for target in ["/head/a%2Fb/%C3%BC%20c;d=e?x=%2F&y=a+b&z", "/head//double/~user/%7Euser?", "/head/a%2fb"] {
            let text = curl(&door, &[protocol, &door.url(target)]).with_status(200).text();
            assert!(text.starts_with(&format!("GET {target} HTTP/1.1\n")), "{target}: {text}");
        }
    }
}

#[test]
fn events_are_not_held_back() {
    let (mut app, door) = kitchen();
    for (protocol, _) in PROTOCOLS {
        let directory = scratch();
        let file = path(&directory, "events");
        let arguments = [protocol, "--no-buffer", "--output", &file, &door.url("/events")];
        let mut client = curl_command(&door, &arguments)
            .spawn()
            .expect("curl is installed");
        let seen = |text: &str| std::fs::read_to_string(&file).ok()?.contains(text).then_some(());
        until("the beginning of the stream", || seen(": hello"));
        for event in ["one", "two", "three"] {
            // The next event leaves the app only after this one was seen.
            app.ask(&format!("event {event}"));
            until("an event", || seen(&format!("data: {event}\n\n")));
        }
        app.ask("event end");
        assert!(client.wait().expect("the state of a child").success());
    }
}

#[test]
fn the_apps_own_websocket_passes_through() {
    let app = Peer::start("app.py", &[]);
    let socket = Peer::start("websocket_app.py", &[]);
    let door = Door::open(&format!(
        "[[app]]\nname = \"app\"\nurl = \"http://{}\"\n\
         [[app]]\nname = \"socket\"\nurl = \"http://{}\"\npath = \"/ws\"\n",
        app.address, socket.address
    ));
    let url = format!("wss://localhost:{}/ws/a%2Fb?x=1", door.port);
    let ran = run(python("websocket_client.py").args([&url, &door.file("ca.pem"), "app"])).well();
    assert!(ran.stdout.contains("X-Forwarded-Proto https\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("X-Forwarded-For 127.0.0.1\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("Host localhost:{}\n", door.port)), "{}", ran.stdout);
}

#[test]
fn an_app_that_is_down_gives_a_clear_page_and_is_used_again_when_it_is_back() {
    let directory = scratch();
    let address = format!("unix:{}", path(&directory, "app.sock"));
    let door = Door::open(&format!("[[app]]\nname = \"kitchen\"\nurl = \"{address}\"\n"));
    for round in 0..3 {
        for (accept, kind) in [("text/html,*/*;q=0.8", "text/html"), ("application/json", "application/json")] {
            let accept = format!("Accept: {accept}");
            let answer = curl(&door, &["--header", &accept, &door.url("/")]);
            assert!([502, 503].contains(&answer.status), "{}", answer.head);
            assert!(answer.header("content-type").starts_with(kind), "{}", answer.head);
            assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{}", answer.head);
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert!(!answer.text().contains("app.sock"), "the inside of the house: {}", answer.text());
        }
        // In place of the one that was killed, whose socket file is still there.
        let app = Peer::start("app.py", &["--address", &address]);
        for (protocol, _) in PROTOCOLS {
            curl(&door, &[protocol, &door.url("/")]).with_status(200);
        }
        assert!(round < 3);
        app.crash();
    }
}

#[test]
fn a_connection_that_the_app_just_closed_never_costs_a_request() {
    // The app closes idle connections long before the door does, and the requests come around that moment.
    let app = Peer::start("app.py", &["--keep-alive", "0.3"]);
    let door = Door::in_front_of(&app.address);
    let url = door.url("/head");
    std::thread::scope(|scope| {
        for worker in 0..4_u64 {
            let (door, url) = (&door, &url);
            scope.spawn(move || {
                for turn in 0..15_u64 {
                    let arguments: &[&str] = if turn % 2 == 0 { &[url] } else { &["--data-binary", "soup", url] };
                    curl(door, arguments).with_status(200);
                    pause(Duration::from_millis(280 + 10 * turn + 3 * worker));
                }
            });
        }
    });
}

#[test]
fn chromium_gets_the_app_over_http2() {
    let _alone = alone();
    let (_app, door) = kitchen();
    let ran = run(&mut chromium("load_page.mjs", &door)).well();
    assert_eq!(ran.stdout, "protocol=h2\n");
}
