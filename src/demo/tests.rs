//! Tests of the demo's parts together, over their sockets, used as the server uses them.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{APP, CONSOLE, JOBS, PUSH, Services, banner};

impl Services {
    fn open(&self, name: &str) -> UnixStream {
        let stream = UnixStream::connect(self.directory.path(name)).expect("an open socket");
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).expect("a time limit");
        stream
    }

    /// The complete response to one request on a connection of its own.
    fn ask(&self, line: &str, headers: &str, body: &str) -> String {
        let mut stream = self.open(APP);
        let size = body.len();
        let head = format!("{line} HTTP/1.1\r\nHost: inside\r\nConnection: close\r\n{headers}");
        write!(stream, "{head}Content-Length: {size}\r\n\r\n{body}").expect("a request sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Listens on the path where the app will look for the hub.
    fn hub(&self) -> Hub {
        Hub(UnixListener::bind(self.directory.path(JOBS)).expect("a listener"))
    }

    /// Logs `ann` in and returns her Cookie header.
    fn log_in(&self) -> String {
        let body = r#"{"username":"ann","password":"demo"}"#;
        let answer = self.ask("POST /login", "X-Forwarded-For: 192.0.2.7\r\n", body);
        let cookie = answer
            .split("Set-Cookie: ")
            .nth(1)
            .and_then(|rest| rest.split(';').next());
        format!("Cookie: other=1; {}\r\n", cookie.expect("a cookie"))
    }
}

/// A socket that the app takes for the hub's.
struct Hub(UnixListener);

impl Hub {
    /// Accepts the connection of the app, which has something to publish.
    fn connection(&self) -> UnixStream {
        let (stream, _) = self.0.accept().expect("the app");
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).expect("a time limit");
        stream
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// Reads until `wanted` has arrived, and returns everything read.
fn read_until(stream: &mut UnixStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut piece = [0; 1024];
    while !text.contains(wanted) {
        let size = stream.read(&mut piece).unwrap_or(0);
        assert!(size > 0, "{wanted:?} did not come, but {text:?}");
        text.push_str(&String::from_utf8_lossy(
            piece.get(..size).unwrap_or_default(),
        ));
    }
    text
}

#[test]
fn the_front_page_is_for_those_who_logged_in() {
    let demo = Services::start().expect("a demo");
    let door = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: localhost:8001\r\n";
    let answer = demo.ask("GET /", door, "");
    assert_eq!(status(&answer), "303");
    assert!(
        answer.contains("\r\nLocation: https://localhost:8001/login.html\r\n"),
        "{answer}"
    );
    assert_eq!(
        status(&demo.ask("GET /", "Accept: application/json\r\n", "")),
        "401"
    );
    assert_eq!(status(&demo.ask("GET /login.html", "", "")), "200");

    let wrong = r#"{"username":"ann","password":"guess"}"#;
    assert_eq!(status(&demo.ask("POST /login", "", wrong)), "401");
    assert_eq!(
        status(&demo.ask("POST /login", "", r#"{"username":" ","password":"demo"}"#)),
        "400"
    );
    assert_eq!(status(&demo.ask("POST /login", "", "username=ann")), "400");
    // A page without JavaScript sends a form, and gets pages.
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let refused = demo.ask("POST /login", form, "username=ann&password=guess");
    assert_eq!(status(&refused), "401");
    assert!(refused.contains("href=/login.html"), "{refused}");
    let entered = demo.ask("POST /login", form, "username=a%C3%AF+b&password=demo");
    assert_eq!(status(&entered), "303");
    assert!(entered.contains("\r\nLocation: /\r\n"), "{entered}");
    assert!(entered.contains("\r\nSet-Cookie: demo="), "{entered}");
    // curl calls JSON a form.
    let answer = demo.ask(
        "POST /login",
        form,
        r#"{"username":"ann","password":"demo"}"#,
    );
    assert_eq!(status(&answer), "200");

    let cookie = demo.log_in();
    let page = demo.ask("GET /", &cookie, "");
    assert_eq!(status(&page), "200");
    assert!(
        page.contains("\r\nContent-Security-Policy: default-src 'self';"),
        "{page}"
    );
    assert!(page.ends_with("</html>\n"));
    let left = demo.ask("POST /logout", "Accept: text/html\r\n", "");
    assert_eq!(status(&left), "303");
    assert_eq!(status(&demo.ask("POST /logout", &cookie, "")), "200");
    assert_eq!(status(&demo.ask("GET /tasks", &cookie, "")), "401");
}

#[test]
fn an_api_path_answers_json_errors_and_never_a_redirect() {
    let demo = Services::start().expect("a demo");
    let browser = "Accept: text/html,*/*\r\n";
    for path in ["/tasks", "/logs", "/headers", "/slow"] {
        let answer = demo.ask(&format!("GET {path}"), browser, "");
        assert_eq!(status(&answer), "401", "{path}");
        assert!(answer.contains("\r\nContent-Type: application/json\r\n"));
    }
    let head = demo.ask("HEAD /tasks", "", "");
    assert_eq!(status(&head), "405");
    assert!(head.contains("\r\nAllow: GET\r\n") && head.ends_with("\r\n\r\n"));
    assert_eq!(status(&demo.ask("HEAD /style.css", "", "")), "200");
    assert!(demo.ask("GET /nothing", browser, "").contains("text/html"));
    assert!(
        demo.ask("GET /nothing", "", "")
            .contains("application/json")
    );
}

#[test]
fn the_log_says_who_did_what_from_where_and_headers_are_shown_without_secrets() {
    let demo = Services::start().expect("a demo");
    let cookie = demo.log_in();
    let upload = demo.ask("POST /upload", &cookie, &"x".repeat(3_000_000));
    assert!(upload.ends_with(r#"{"bytes":3000000}"#), "{upload}");
    let log = demo.ask("GET /logs", &cookie, "");
    assert!(
        log.contains(r#""user":"ann","action":"logged in","address":"192.0.2.7""#),
        "{log}"
    );
    assert!(
        log.contains(r#""action":"uploaded 3000000 bytes","address":"unknown""#),
        "{log}"
    );
    let forged = format!("{cookie}X-Forwarded-For: <b>\r\nX-Forwarded-For: 2001:db8::1\r\n");
    let headers = demo.ask("GET /headers?a", &forged, "");
    assert!(
        headers.contains(r#"{"request":"GET /headers?a HTTP/1.1","#),
        "{headers}"
    );
    assert!(
        headers.contains(r#"["x-forwarded-for","2001:db8::1"]"#),
        "{headers}"
    );
    assert!(headers.contains(r#"["cookie","(not shown)"]"#), "{headers}");
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let demo = Services::start().expect("a demo");
    let mut stream = BufReader::new(demo.open(APP));
    for _ in 0..3 {
        stream
            .get_mut()
            .write_all(b"GET /tasks HTTP/1.1\r\nHost: a\r\n\r\n")
            .expect("a request");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).expect("a line") > 0);
        }
        assert!(head.contains("\r\nConnection: keep-alive\r\n"));
        let size = head
            .split("Content-Length: ")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let size: usize = size.and_then(|size| size.parse().ok()).expect("a length");
        stream.read_exact(&mut vec![0; size]).expect("a body");
    }
}

#[test]
fn idle_connections_do_not_keep_the_workers_from_others() {
    let demo = Services::start().expect("a demo");
    let _idle: Vec<_> = (0..8).map(|_| demo.open(APP)).collect();
    let started_at = Instant::now();
    assert_eq!(status(&demo.ask("GET /login.html", "", "")), "200");
    assert!(started_at.elapsed() < Duration::from_secs(5));
}

#[test]
fn with_every_worker_held_notifications_and_console_go_on_and_the_end_is_prompt() {
    let demo = Services::start().expect("a demo");
    let directory = demo.directory.path("");
    let cookie = demo.log_in();
    let mut push = demo.open(PUSH);
    let hub = demo.hub();
    let mut console = demo.open(CONSOLE);
    read_until(&mut console, "demo$");
    let ordered = demo.ask("POST /jobs", &cookie, "");
    assert!(ordered.ends_with(r#"{"id":1,"place":1}"#), "{ordered}");
    read_until(&mut push, "TASK:/demo/tasks/1/0//EOM//");
    let mut hub = hub.connection();

    let held: Vec<_> = (0..super::app::WORKERS)
        .map(|_| {
            let mut stream = demo.open(APP);
            write!(stream, "GET /slow HTTP/1.1\r\n{cookie}\r\n").expect("a request sent");
            stream
        })
        .collect();
    read_until(&mut push, "TASK:/demo/slow/5//EOM//");
    read_until(
        &mut hub,
        r#""channel":"job.1","key":"state","event":"progress","data":"#,
    );
    console.write_all(b"uptime\r").expect("a command sent");
    read_until(&mut console, "5 of 5 workers busy");
    console.write_all(b"ring\r").expect("a command sent");
    read_until(&mut push, "POST:/demo/bell//EOM//");
    console.write_all(b"watch\r").expect("a command sent");
    read_until(&mut console, "any key");

    let started_at = Instant::now();
    demo.stop();
    assert!(
        started_at.elapsed() < Duration::from_millis(900),
        "{:?}",
        started_at.elapsed()
    );
    assert!(!directory.exists());
    drop(held);
}

#[test]
fn when_a_job_begins_everybody_behind_it_is_told_its_new_place() {
    let demo = Services::start().expect("a demo");
    let hub = demo.hub();
    let cookie = demo.log_in();
    let filled = demo.ask("POST /jobs/fill", &cookie, "");
    assert!(filled.ends_with(r#"{"ordered":400}"#), "{filled}");
    let mut hub = hub.connection();
    let said = read_until(
        &mut hub,
        r#""channel":"job.400","key":"state","event":"position","data":392}"#,
    );
    // The ninth waits for the first of eight stoves.
    for wanted in [
        r#"{"channel":"jobs","key":"400","event":"waiting","data":{"user":"a regular"}}"#,
        r#"{"channel":"job.9","key":"state","event":"position","data":1}"#,
        r#"{"channel":"job.399","key":"state","event":"position","data":391}"#,
    ] {
        assert!(said.contains(wanted), "{wanted} was not said");
    }
    let ordered = demo.ask("POST /jobs", &cookie, "");
    let own = r#"{"channel":"jobs","key":"401","event":"waiting","data":{"user":"ann"}}"#;
    assert!(ordered.contains(r#"{"id":401,"#), "{ordered}");
    read_until(&mut hub, own);
}

#[test]
fn what_a_guest_says_is_an_answer_for_everybody() {
    let demo = Services::start().expect("a demo");
    assert_eq!(status(&demo.ask("POST /chat", "", "hello")), "401");
    let cookie = demo.log_in();
    let direct = demo.ask("POST /chat?channel=chat", &cookie, "hello");
    assert_eq!(status(&direct), "403");
    let cookie = format!("{cookie}Noren-Channel: chat\r\n");
    let said = demo.ask("POST /chat?channel=chat", &cookie, " a \"b\" ");
    assert!(said.contains("\r\nNoren-Publish: chat\r\n"), "{said}");
    assert!(
        said.ends_with(r#"{"user":"ann","text":"a \"b\""}"#),
        "{said}"
    );
    for nonsense in ["", " ", "a\nb", &"x".repeat(301)] {
        let refused = demo.ask("POST /chat", &cookie, nonsense);
        assert_eq!(status(&refused), "400");
        assert!(!refused.contains("Noren-Publish"), "{refused}");
    }
    let who = demo.ask("GET /tasks", &cookie, "");
    assert!(who.contains("\r\nRemote-User: ann\r\n"), "{who}");
}

#[test]
fn a_seventeenth_console_is_told_why_not_and_a_place_becomes_free_again() {
    let demo = Services::start().expect("a demo");
    let mut consoles: Vec<_> = (0..16).map(|_| demo.open(CONSOLE)).collect();
    for console in &mut consoles {
        read_until(console, "demo$");
    }
    read_until(&mut demo.open(CONSOLE), "in use");
    let mut last = consoles.pop().expect("a console");
    last.write_all(b"say hello\rexit\r").expect("commands sent");
    let mut text = String::new();
    last.read_to_string(&mut text)
        .expect("the rest until it is closed");
    assert!(text.contains("( hello )"), "{text}");
    // The place is free a moment after the connection has ended.
    let deadline = Instant::now() + Duration::from_secs(5);
    while !read_until(&mut demo.open(CONSOLE), "\r\n").contains("Noren") {
        assert!(Instant::now() < deadline, "no place became free");
    }
}

#[test]
fn the_configuration_is_toml_and_names_what_is_there() {
    let demo = Services::start().expect("a demo");
    let text = demo.config("[::1]:0");
    noren::Config::parse(&text, "demo").expect("a configuration");
    for wanted in [
        "address = \"[::1]:0\"\n",
        "token = \"woknotifications\"\n",
        "\nworkers = 4\n",
        "\nworkers = 1\n",
    ] {
        assert!(text.contains(wanted), "{text}");
    }
    let tokens = demo.directory.tokens();
    assert!(
        text.contains(&format!("path = \"{}\"", tokens.display())),
        "{text}"
    );
    let line = std::fs::read_to_string(tokens.join(CONSOLE)).expect("a token file");
    let socket = line
        .strip_prefix("Y29uc29sZQ: unix_socket:")
        .expect("the token of the console");
    read_until(
        &mut UnixStream::connect(socket).expect("a console"),
        "demo$",
    );
}

#[test]
fn the_banner_fits_a_terminal_of_eighty_columns_and_ends_with_the_address() {
    let socket = Path::new("/tmp/noren-demo-yttLv2FXT4Ac9fWqRkMSfg/admin");
    let address = "[::]:8001".parse().expect("an address");
    let text = banner(address, socket, Path::new("target/release/noren"));
    assert!(text.ends_with(" https://localhost:8001\n"));
    assert_eq!(text.lines().find(|line| line.chars().count() > 80), None);
    // Of 24 lines some are the log's.
    assert!(text.lines().count() <= 21, "{text}");
}

#[test]
fn the_pages_obey_their_own_policy() {
    let demo = Services::start().expect("a demo");
    let cookie = demo.log_in();
    for path in ["/", "/login.html"] {
        let page = demo.ask(&format!("GET {path}"), &cookie, "");
        for forbidden in [
            " style=",
            " onclick=",
            "<style",
            "<script>",
            "http://",
            "https://",
        ] {
            assert!(!page.contains(forbidden), "{path} has {forbidden}");
        }
        let mut files = 0;
        for quoted in page
            .split('"')
            .filter(|text| text.starts_with('/') && text.contains('.'))
            .filter(|text| !text.starts_with("/events/"))
        {
            files += 1;
            assert_eq!(
                status(&demo.ask(&format!("GET {quoted}"), "", "")),
                "200",
                "{quoted}"
            );
        }
        assert!(files >= 3, "{path} names {files} files");
    }
}
