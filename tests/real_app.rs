//! A real blocking app behind the door: CherryPy with 10 threads, asked by curl and by Chromium.

mod bodies;
mod outages;

use crate::support::{
    Answer, Door, Peer, VERSIONS, alone, ask, chromium, path, python, run, scratch, until,
};

/// The app, and a door in front of it.
fn kitchen() -> (Peer, Door) {
    let app = Peer::start("app.py", &[]);
    let door = Door::in_front_of(&app.address);
    (app, door)
}

#[test]
fn a_login_sets_its_cookies_and_they_come_back() {
    let (_app, door) = kitchen();
    for version in VERSIONS {
        let directory = scratch();
        let jar = path(&directory, "cookies");
        let login = ask(&door, "/login")
            .over(version)
            .with("--data", "user=cook&password=kitchen");
        let answer = login.with("--cookie-jar", &jar).gets(303);
        assert_eq!(answer.all("set-cookie").len(), 3, "{}", answer.head);
        assert_eq!(answer.header("location"), door.url("/whoami"));

        let text = ask(&door, "/whoami")
            .over(version)
            .with("--cookie", &jar)
            .gets(200)
            .text();
        assert!(text.starts_with("user=cook\n"), "{text}");
        assert!(text.contains("cookie last=a/b=c"), "{text}");
        let answer = ask(&door, "/whoami").over(version).gets(401);
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(
            answer.header("strict-transport-security"),
            "max-age=31536000"
        );
    }
}

#[test]
fn a_redirect_names_the_public_scheme_host_and_port() {
    let (_app, door) = kitchen();
    for version in VERSIONS {
        let answer = ask(&door, "/redirect").over(version).gets(302);
        assert_eq!(answer.header("location"), door.url("/login"));
    }
}

#[test]
fn ranges_and_head_requests_pass() {
    let (_app, door) = kitchen();
    let directory = scratch();
    let file = path(&directory, "numbers");
    let numbers: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    std::fs::write(&file, &numbers).expect("room for the file");
    let download = format!("/download?path={file}");
    for version in VERSIONS {
        let answer = ask(&door, &download)
            .over(version)
            .with("--range", "1000-1999")
            .gets(206);
        assert_eq!(answer.header("content-range"), "bytes 1000-1999/100000");
        assert_eq!(answer.header("content-length"), "1000");
        assert_eq!(Some(answer.body.as_slice()), numbers.get(1000..2000));
        let answer = ask(&door, &download)
            .over(version)
            .with("--range", "200000-")
            .gets(416);
        assert_eq!(answer.header("content-range"), "bytes */100000");
        let answer = ask(&door, &download).over(version).head().gets(200);
        assert_eq!(answer.header("content-length"), "100000");
        // A resource that knows no HEAD: the door may not make a GET of it.
        ask(&door, "/tasks").over(version).head().gets(405);
    }
}

/// The values that the app was told for this header, in WSGI's spelling.
fn told(answer: &Answer, name: &str) -> Vec<String> {
    let text = answer.text();
    let values = text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    values.map(str::to_owned).collect()
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
    const GONE: [&str; 5] = [
        "X_FORWARDED_SERVER",
        "X_FORWARDED_USER",
        "FORWARDED",
        "REMOTE_USER",
        "PROXY_CONNECTION",
    ];
    let (_app, door) = kitchen();
    let public = format!("localhost:{}", door.port);
    for version in VERSIONS {
        let request = ask(&door, "/head").over(version);
        let answer = SPOOFED
            .iter()
            .fold(request, |request, line| request.header(line))
            .gets(200);
        let text = answer.text();
        assert_eq!(told(&answer, "X_FORWARDED_FOR"), ["127.0.0.1"]);
        assert_eq!(told(&answer, "X_REAL_IP"), ["127.0.0.1"]);
        assert_eq!(told(&answer, "X_FORWARDED_PROTO"), ["https"]);
        assert_eq!(told(&answer, "X_FORWARDED_HOST"), [public.as_str()]);
        assert_eq!(told(&answer, "HOST"), [public.as_str()]);
        for gone in GONE {
            assert!(told(&answer, gone).is_empty(), "{gone}: {text}");
        }
        assert!(!text.contains("6.6.6.6"), "{text}");
        assert!(
            text.contains(&format!("\nBASE https://{public}\n")),
            "{text}"
        );
    }
}

#[test]
fn cookies_in_several_lines_reach_the_app_as_one() {
    let (_app, door) = kitchen();
    for version in VERSIONS {
        let request = ask(&door, "/head").over(version);
        let crumbs = request
            .header("Cookie: a=1")
            .header("Cookie: b=2; c=3")
            .header("Cookie: d=4");
        assert_eq!(
            told(&crumbs.gets(200), "COOKIE"),
            ["a=1; b=2; c=3; d=4"],
            "{version}"
        );
    }
}

#[test]
fn the_bytes_of_a_path_are_kept() {
    let (_app, door) = kitchen();
    for version in VERSIONS {
        for target in [
            "/head/a%2Fb/%C3%BC%20c;d=e?x=%2F&y=a+b&z",
            "/head/~user/%7Euser?",
            "/head/a%2fb",
        ] {
            let text = ask(&door, target).over(version).gets(200).text();
            assert!(
                text.starts_with(&format!("GET {target} HTTP/1.1\n")),
                "{target}: {text}"
            );
        }
    }
}

#[test]
fn events_are_not_held_back() {
    let (mut app, door) = kitchen();
    for version in VERSIONS {
        let directory = scratch();
        let file = path(&directory, "events");
        let stream = ask(&door, "/events").over(version).with("--output", &file);
        let mut client = stream
            .into_command()
            .arg("--no-buffer")
            .spawn()
            .expect("curl, which tests/run installs");
        let seen = |text: &str| {
            std::fs::read_to_string(&file)
                .ok()?
                .contains(text)
                .then_some(())
        };
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
         [[app]]\nname = \"socket\"\nurl = \"http://{}\"\npath = \"/ws\"\nencoded-slash = true\n",
        app.address, socket.address
    ));
    let url = format!("wss://localhost:{}/ws/a%2Fb?x=1", door.port);
    let ran = run(python("websocket_client.py").args([&url, &door.file("ca.pem"), "app"])).well();
    assert!(
        ran.stdout.contains("X-Forwarded-Proto https\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("X-Forwarded-For 127.0.0.1\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains(&format!("Host localhost:{}\n", door.port)),
        "{}",
        ran.stdout
    );
}

#[test]
fn chromium_gets_the_app_over_http2() {
    let _alone = alone();
    let (_app, door) = kitchen();
    let ran = run(&mut chromium("load_page.mjs", &door)).well();
    assert_eq!(ran.stdout, "protocol=h2\n");
}
